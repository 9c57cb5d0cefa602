//! The images that an analysis looks at.

use crate::data::{Split, View};
use crate::error::{Error, Result};

/// The first images of a split, with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// C, H, W.
    pub input: [usize; 3],
    /// Classes of the dataset.
    pub classes: usize,
    /// Pixels in `[0, 1]`, image by image.
    pub images: Vec<f32>,
    /// One for each image.
    pub labels: Vec<u32>,
}

impl Sample {
    /// The first `count` images of `split`, as an evaluation sees them.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are fewer, or none is asked for.
    pub fn first(split: &Split, count: usize) -> Result<Sample> {
        if count == 0 || count > split.len() {
            let held = split.len();
            return Err(Error::Usage(format!("--limit {count}: expected 1 to {held}, the number of images")));
        }
        let pixels: usize = split.input().iter().product();
        let mut images = vec![0.0; count * pixels];
        for (index, image) in images.chunks_mut(pixels).enumerate() {
            split.write_view(index, View::middle(split), image);
        }
        let labels = split.labels[..count].iter().map(|&label| u32::from(label)).collect();
        Ok(Sample { input: split.input(), classes: split.classes, images, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one image.
    pub fn pixels(&self) -> usize {
        self.input.iter().product()
    }

    /// Image `index`.
    pub fn image(&self, index: usize) -> &[f32] {
        &self.images[index * self.pixels()..][..self.pixels()]
    }

    /// The images in groups of `size`, each with the number of images that count: the last group is filled up with repeated images.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = (Vec<f32>, Vec<u32>, usize)> + '_ {
        (0..self.len()).step_by(size).map(move |first| {
            let counted = size.min(self.len() - first);
            let index = |i: usize| if i < counted { first + i } else { first };
            let images = (0..size).flat_map(|i| self.image(index(i)).iter().copied()).collect();
            let labels = (0..size).map(|i| self.labels[index(i)]).collect();
            (images, labels, counted)
        })
    }
}
