//! Many samples in one picture, to look at.

use image::{Rgb, RgbImage};

use super::split::Split;
use crate::error::{Error, Result};

/// Pixels between two samples and around all.
const GAP: usize = 2;
const BACKGROUND: Rgb<u8> = Rgb([40, 44, 60]);

/// The first `rows` · `columns` samples of `split`, row by row; places for which there is no sample stay empty.
///
/// # Errors
/// [`Error::Usage`] when there are no rows or columns or the picture would be wider or higher than 65 535 pixels,
/// [`Error::Shape`] when the samples have neither one channel (grey) nor three (red, green, blue).
pub fn contact_sheet(split: &Split, rows: usize, columns: usize) -> Result<RgbImage> {
    if split.channels != 1 && split.channels != 3 {
        return Err(Error::shape("contact sheet", "1 or 3 channels", split.channels.to_string()));
    }
    let extent = |count: usize, side: usize| {
        count
            .checked_mul(side + GAP)
            .map(|pixels| pixels + GAP)
            .filter(|&pixels| count > 0 && pixels <= usize::from(u16::MAX))
    };
    let (Some(width), Some(height)) = (extent(columns, split.width), extent(rows, split.height)) else {
        return Err(Error::Usage(format!(
            "contact sheet of {rows} rows and {columns} columns: expected 1 or more of each, at most {} pixels a side",
            u16::MAX
        )));
    };
    let mut sheet = RgbImage::from_pixel(width as u32, height as u32, BACKGROUND);
    for index in 0..split.len().min(rows * columns) {
        let left = GAP + (index % columns) * (split.width + GAP);
        let top = GAP + (index / columns) * (split.height + GAP);
        let image = split.image(index);
        let plane = split.height * split.width;
        for y in 0..split.height {
            for x in 0..split.width {
                let at = y * split.width + x;
                // A grey picture repeats its only channel.
                let value = |channel: usize| image[(channel % split.channels) * plane + at];
                let color = Rgb([value(0), value(1), value(2)]);
                sheet.put_pixel((left + x) as u32, (top + y) as u32, color);
            }
        }
    }
    Ok(sheet)
}
