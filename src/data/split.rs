//! Pictures and labels of one split.

use crate::error::{Error, Result};

/// Samples of one split, as stored: one byte a pixel. Checked by [`Split::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Pixels, 0 = 0.0 and 255 = 1.0, in the order N, C, H, W.
    pub images: Vec<u8>,
    /// Class of each sample.
    pub labels: Vec<u8>,
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// Number of classes; every label is below it.
    pub classes: usize,
    /// Height and width of the part that the network sees; in evaluation, the middle.
    pub window: [usize; 2],
}

impl Split {
    /// A split of `labels.len()` pictures of `shape` = `[C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of bytes and the number of labels don't fit together or a label is not below
    /// `classes`.
    pub fn new(images: Vec<u8>, labels: Vec<u8>, shape: [usize; 3], classes: usize) -> Result<Self> {
        let [channels, height, width] = shape;
        let split = Split { images, labels, channels, height, width, classes, window: [height, width] };
        let expected = split.labels.len() * split.pixels();
        if split.images.len() != expected {
            return Err(Error::shape(
                "split",
                format!("{expected} bytes for {} samples of {channels}x{height}x{width}", split.labels.len()),
                format!("{} bytes", split.images.len()),
            ));
        }
        if let Some(at) = split.labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(Error::shape(
                "split",
                format!("labels below {classes}"),
                format!("label {} at sample {at}", split.labels[at]),
            ));
        }
        Ok(split)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// No samples at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// C, H, W of what the network sees.
    pub fn input(&self) -> [usize; 3] {
        [self.channels, self.window[0], self.window[1]]
    }

    /// From now on the network sees a square of `side` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] when the images are smaller, or `side` is 0.
    pub(super) fn crop(&mut self, side: usize) -> Result<()> {
        if side == 0 || side > self.height.min(self.width) {
            let message = format!("crop {side}: expected 1 to {}", self.height.min(self.width));
            return Err(Error::Usage(format!("{message}, the side of the images")));
        }
        self.window = [side, side];
        Ok(())
    }

    /// Bytes of one sample as stored: C · H · W.
    pub fn pixels(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The pixels of sample `index`, in the order C, H, W.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.pixels()..][..self.pixels()]
    }

    /// Keeps the first `samples` and returns the rest.
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn split_off(&mut self, samples: usize) -> Split {
        Split {
            images: self.images.split_off(samples * self.pixels()),
            labels: self.labels.split_off(samples),
            channels: self.channels,
            height: self.height,
            width: self.width,
            classes: self.classes,
            window: self.window,
        }
    }

    /// Keeps the first `samples` where there are more.
    pub(super) fn truncate(&mut self, samples: usize) {
        if samples < self.len() {
            drop(self.split_off(samples));
        }
    }

    /// Mean and standard deviation (of the population) of each channel over all samples, of pixel values in `[0, 1]`. The
    /// sums are integers, so the result does not depend on any order. An empty split gives mean 0 and deviation 1.
    pub fn channel_statistics(&self) -> ChannelStatistics {
        let plane = self.height * self.width;
        let mut statistics = ChannelStatistics { mean: vec![0.0; self.channels], std: vec![1.0; self.channels] };
        let count = (self.len() * plane) as f64;
        if count == 0.0 {
            return statistics;
        }
        for channel in 0..self.channels {
            let (mut sum, mut squares) = (0u64, 0u64);
            for image in self.images.chunks_exact(self.pixels()) {
                for &pixel in &image[channel * plane..][..plane] {
                    sum += u64::from(pixel);
                    squares += u64::from(pixel) * u64::from(pixel);
                }
            }
            let mean = sum as f64 / count;
            let variance = squares as f64 / count - mean * mean;
            statistics.mean[channel] = mean / 255.0;
            statistics.std[channel] = variance.max(0.0).sqrt() / 255.0;
        }
        statistics
    }
}

/// Per-channel mean and standard deviation of pixel values in `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelStatistics {
    /// Mean of each channel.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
}
