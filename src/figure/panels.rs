//! Several charts as one picture: as a part of a page, as a file, as pixels.

use std::sync::{Arc, LazyLock};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use resvg::{tiny_skia, usvg};

use super::chart::{Chart, Figure};
use super::plane::Room;
use super::svg::{ALONE, element, legend};
use crate::error::{Error, Result};

/// Colours of a picture that stands alone.
const PAPER: &str = "#ffffff";
const INK: &str = "#1f2328";
/// Pixels of a PNG for one unit of the SVG.
const PIXELS_PER_UNIT: f32 = 2.0;

impl Figure {
    /// Room of each chart: the more in a row, the smaller.
    fn room(&self) -> Room {
        match self.columns.min(self.charts.len()) {
            0..=2 => ALONE,
            3 => Room { width: 360.0, height: 270.0 },
            _ => Room { width: 270.0, height: 250.0 },
        }
    }

    /// Width of the picture in the units that its letters are 12 high in.
    pub fn width(&self) -> f64 {
        self.columns.min(self.charts.len()) as f64 * self.room().width
    }

    /// Size, what it says to those who can't see it, and its elements.
    fn parts(&self) -> (f64, f64, String, String) {
        let (room, width) = (self.room(), self.width());
        let rows = self.charts.len().div_ceil(self.columns) as f64;
        let series = self.charts.iter().flat_map(|chart| &chart.series);
        let (legend, legend_height) = legend(series, width, rows * room.height);
        let mut body = String::new();
        for (i, chart) in self.charts.iter().enumerate() {
            let (x, y) = ((i % self.columns) as f64 * room.width, (i / self.columns) as f64 * room.height);
            body += &format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", chart.body(room));
        }
        let description: Vec<String> = self.charts.iter().map(Chart::description).collect();
        (width, rows * room.height + legend_height, description.join(" "), body + &legend)
    }

    /// The charts as one `<svg>` element that grows with its container and takes the colour of words and axes from it.
    pub fn svg(&self) -> String {
        let (width, height, description, body) = self.parts();
        element(width, height, &description, &body)
    }

    /// The same as a file: on white paper, whatever it is shown on.
    pub fn file_svg(&self) -> String {
        let (width, height, description, body) = self.parts();
        let paper = format!("<rect width=\"{width}\" height=\"{height}\" fill=\"{PAPER}\"/>\n");
        let svg = element(width, height, &description, &(paper + &body));
        svg.replacen("<svg ", &format!("<svg width=\"{width}\" height=\"{height}\" color=\"{INK}\" "), 1)
    }

    /// [`Figure::file_svg`] as a PNG with two pixels for each unit, its words in DejaVu Sans.
    ///
    /// # Errors
    /// [`Error::Usage`] for a picture that is too large for an image.
    pub fn png(&self) -> Result<Vec<u8>> {
        let wrong = |what: String| Error::Usage(format!("figure '{}' as PNG: {what}", self.caption));
        let options = usvg::Options { fontdb: FONTS.clone(), font_family: FAMILY.into(), ..usvg::Options::default() };
        let tree = usvg::Tree::from_str(&self.file_svg(), &options).map_err(|e| wrong(e.to_string()))?;
        let [width, height] =
            [tree.size().width(), tree.size().height()].map(|side| (side * PIXELS_PER_UNIT).ceil() as u32);
        let mut pixels =
            tiny_skia::Pixmap::new(width, height).ok_or_else(|| wrong(format!("{width} by {height} pixels")))?;
        let scale = tiny_skia::Transform::from_scale(PIXELS_PER_UNIT, PIXELS_PER_UNIT);
        resvg::render(&tree, scale, &mut pixels.as_mut());
        // The paper covers all of it, so no pixel is translucent and the colours are those that PNG has.
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(pixels.data(), width, height, ExtendedColorType::Rgba8)
            .map_err(|e| wrong(e.to_string()))?;
        Ok(png)
    }
}

const FAMILY: &str = "DejaVu Sans";

/// Fonts that are part of the program: pictures look the same on every machine.
static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});
