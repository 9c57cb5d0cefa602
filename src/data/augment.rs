//! Which part of an image the network sees: the middle in evaluation, a random part in training.

use super::manifest::Augmentation;
use super::split::Split;
use crate::philox::{Stream, purpose};

/// The value of each pixel byte: byte / 255, rounded once.
static PIXEL_VALUE: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    values
};

/// A window on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Row of the image at the window's first row; below 0 or beyond the end the border row is repeated.
    pub top: isize,
    /// Column of the (mirrored) image at the window's first column, likewise.
    pub left: isize,
    /// Left and right exchanged before the window is cut.
    pub mirrored: bool,
}

impl View {
    /// The middle of the images of `split`.
    pub fn middle(split: &Split) -> View {
        let [height, width] = split.window;
        View {
            top: ((split.height - height) / 2) as isize,
            left: ((split.width - width) / 2) as isize,
            mirrored: false,
        }
    }

    /// A random view of sample `index`: depends on `(seed, epoch, index)` alone, not on the batch or on who draws it.
    pub fn random(split: &Split, augmentation: Augmentation, seed: u64, epoch: u64, index: u32) -> View {
        let mut stream = Stream::new(seed, index, epoch as u32, purpose::AUGMENTATION | (epoch >> 32) as u32);
        let mirrored = augmentation.flip && stream.next_u32() & 1 == 1;
        let [height, width] = split.window;
        let padding = augmentation.padding;
        let mut offset = |extent: usize, window: usize| {
            let places = extent + 2 * padding - window + 1;
            // An image is never so large that the number of places does not fit.
            stream.below(places as u32) as isize - padding as isize
        };
        View { top: offset(split.height, height), left: offset(split.width, width), mirrored }
    }
}

impl Split {
    /// The pixels in the middle of sample `index`, which is what the network sees of it in evaluation: C, h, w.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn middle_bytes(&self, index: usize) -> Vec<u8> {
        let View { top, left, .. } = View::middle(self);
        let [height, width] = self.window;
        let planes = self.image(index).chunks_exact(self.height * self.width);
        let rows = planes.flat_map(|plane| plane.chunks_exact(self.width).skip(top as usize).take(height));
        rows.flat_map(|row| &row[left as usize..][..width]).copied().collect()
    }

    /// Writes what `view` shows of sample `index` to `image`: C · h · w values in `[0, 1]` (byte / 255) for the window h × w.
    ///
    /// # Panics
    /// If there is no such sample or `image` has another length.
    pub fn write_view(&self, index: usize, view: View, image: &mut [f32]) {
        let [height, width] = self.window;
        assert_eq!(image.len(), self.channels * height * width, "one f32 per pixel of the window");
        let last_row = self.height as isize - 1;
        let last_column = self.width as isize - 1;
        let planes = self.image(index).chunks_exact(self.height * self.width);
        for (plane, out) in planes.zip(image.chunks_exact_mut(height * width)) {
            for (y, out) in out.chunks_exact_mut(width).enumerate() {
                let row = (view.top + y as isize).clamp(0, last_row) as usize;
                let row = &plane[row * self.width..][..self.width];
                for (x, value) in out.iter_mut().enumerate() {
                    let column = (view.left + x as isize).clamp(0, last_column);
                    let column = if view.mirrored { last_column - column } else { column };
                    *value = PIXEL_VALUE[usize::from(row[column as usize])];
                }
            }
        }
    }
}
