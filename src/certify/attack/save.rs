//! Adversarial images in files: a picture to look at, and the very numbers, to be verified again.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::formats::atomic::write_atomically;

/// An image and what an attack has made of it, pixels of `[0, 1]` in the order C, H, W.
#[derive(Clone, Debug, PartialEq)]
pub struct Adversarial {
    /// C, H, W.
    pub shape: [usize; 3],
    /// The image.
    pub original: Vec<f32>,
    /// The counter-example.
    pub adversarial: Vec<f64>,
}

/// Tensor names.
const ORIGINAL: &str = "original";
const ADVERSARIAL: &str = "adversarial";

/// Pixels between pictures.
const GAP: usize = 2;
/// Height that small pictures are magnified to by a whole factor, at most.
const HEIGHT: usize = 128;
const BACKGROUND: Rgb<u8> = Rgb([40, 44, 60]);

impl Adversarial {
    /// Largest difference of a pixel.
    pub fn distance(&self) -> f64 {
        let differences = self.original.iter().zip(&self.adversarial).map(|(&o, a)| (a - f64::from(o)).abs());
        differences.fold(0.0, f64::max)
    }

    /// Writes the numbers as safetensors, atomically: `original` F32 and `adversarial` F64, both `[C,H,W]`.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        // Little-endian, as the format has it.
        let original: Vec<u8> = self.original.iter().flat_map(|v| v.to_le_bytes()).collect();
        let adversarial: Vec<u8> = self.adversarial.iter().flat_map(|v| v.to_le_bytes()).collect();
        let wrong = |e: safetensors::SafeTensorError| Error::data(path, e.to_string());
        let view = |dtype, bytes| TensorView::new(dtype, self.shape.to_vec(), bytes).map_err(wrong);
        let views = [(ORIGINAL, view(Dtype::F32, &original)?), (ADVERSARIAL, view(Dtype::F64, &adversarial)?)];
        let metadata: Option<HashMap<String, String>> = None;
        write_atomically(path, &safetensors::serialize(views, metadata).map_err(wrong)?)
    }

    /// Reads what [`Adversarial::write`] has written.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Data`] for a file of other content.
    pub fn read(path: &Path) -> Result<Adversarial> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let wrong = |e: safetensors::SafeTensorError| Error::data(path, format!("no adversarial image: {e}"));
        let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
        let (original, adversarial) = (file.tensor(ORIGINAL).map_err(wrong)?, file.tensor(ADVERSARIAL).map_err(wrong)?);
        let &[c, h, w] = original.shape() else {
            return Err(Error::data(path, format!("'{ORIGINAL}' of extents {:?}: expected [C,H,W]", original.shape())));
        };
        if adversarial.shape() != [c, h, w] || [original.dtype(), adversarial.dtype()] != [Dtype::F32, Dtype::F64] {
            let expected = format!("'{ORIGINAL}' F32 and '{ADVERSARIAL}' F64 of equal extents");
            return Err(Error::data(path, format!("expected {expected}")));
        }
        let f32_of = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("4 bytes"));
        let f64_of = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("8 bytes"));
        Ok(Adversarial {
            shape: [c, h, w],
            original: original.data().chunks_exact(4).map(f32_of).collect(),
            adversarial: adversarial.data().chunks_exact(8).map(f64_of).collect(),
        })
    }

    /// Writes a PNG, atomically: the image, the counter-example, and their difference, grey where there is none and magnified
    /// so that the largest is black or white.
    ///
    /// # Errors
    /// [`Error::Shape`] for images of neither one channel nor three, [`Error::Io`].
    pub fn write_picture(&self, path: &Path) -> Result<()> {
        let [channels, height, width] = self.shape;
        if channels != 1 && channels != 3 {
            return Err(Error::shape("picture", "1 or 3 channels", channels.to_string()));
        }
        let zoom = (HEIGHT / height).max(1);
        let distance = self.distance().max(f64::MIN_POSITIVE);
        let difference = |i: usize| 0.5 + 0.5 * (self.adversarial[i] - f64::from(self.original[i])) / distance;
        let panels: [&dyn Fn(usize) -> f64; 3] =
            [&|i| f64::from(self.original[i]), &|i| self.adversarial[i], &difference];
        let extent = |count: usize, side: usize| (GAP + count * (side * zoom + GAP)) as u32;
        let mut picture = RgbImage::from_pixel(extent(3, width), extent(1, height), BACKGROUND);
        for (number, panel) in panels.into_iter().enumerate() {
            let left = GAP + number * (width * zoom + GAP);
            for y in 0..height * zoom {
                for x in 0..width * zoom {
                    let at = y / zoom * width + x / zoom;
                    // A grey picture repeats its only channel.
                    let value = |c: usize| (255.0 * panel((c % channels) * height * width + at)).round() as u8;
                    picture.put_pixel((left + x) as u32, (GAP + y) as u32, Rgb([value(0), value(1), value(2)]));
                }
            }
        }
        let mut png = Vec::new();
        let encoded = picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png);
        encoded.map_err(|e| Error::data(path, e.to_string()))?;
        write_atomically(path, &png)
    }
}
