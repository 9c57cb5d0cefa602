//! Cutting a split into batches.

use super::augment::View;
use super::manifest::Augmentation;
use super::split::Split;
use crate::error::{Error, Result};
use crate::philox::{Stream, purpose};

/// Writes the order of the samples of `epoch` to `order`, whose length is the number of samples: a uniformly random
/// permutation that depends only on `(seed, epoch)` and that length.
///
/// # Panics
/// If there are 2³² samples or more.
pub fn epoch_order(order: &mut [u32], seed: u64, epoch: u64) {
    for (position, index) in order.iter_mut().enumerate() {
        *index = u32::try_from(position).expect("a split has fewer than 2^32 samples");
    }
    let (low, high) = (epoch as u32, (epoch >> 32) as u32);
    Stream::new(seed, low, high, purpose::EPOCH_ORDER).shuffle(order);
}

/// Iterates over the batches of one epoch, all of one size, into buffers of the caller; allocates nothing after
/// construction.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    batch: usize,
    /// Index of the next batch.
    next: usize,
    order: Order,
}

/// In which order, and what happens to a last batch that is not full.
#[derive(Clone, Debug)]
enum Order {
    /// Random, a rest is left out (of this epoch: the next one has another order).
    Shuffled { seed: u64, epoch: u64, augmentation: Augmentation, order: Vec<u32> },
    /// As stored, the middle of each image, a rest is filled up.
    Stored,
}

impl<'a> Batches<'a> {
    /// Batches for training: random views ([`View::random`]) of the samples in the random order of [`epoch_order`], beginning at
    /// batch `first_batch`. Samples that don't fill a batch are left out. A run that stopped at `(seed, epoch, batch)` goes on with the same
    /// samples when this is made with the same numbers.
    ///
    /// # Errors
    /// [`Error::Usage`] when `batch` is 0 or above the number of samples, or when `first_batch` is beyond the epoch's
    /// end.
    pub fn training(
        split: &'a Split,
        batch: usize,
        seed: u64,
        epoch: u64,
        first_batch: usize,
        augmentation: Augmentation,
    ) -> Result<Self> {
        check_batch(batch)?;
        if batch > split.len() {
            return Err(Error::Usage(format!(
                "batch size {batch}: expected at most the {} training samples",
                split.len()
            )));
        }
        let order = Order::Shuffled { seed, epoch, augmentation, order: vec![0; split.len()] };
        let mut batches = Batches { split, batch, next: 0, order };
        batches.restart(epoch, first_batch)?;
        Ok(batches)
    }

    /// Batches for evaluation: every sample once, in the stored order. The last batch is filled up with black pictures
    /// of class 0 that don't count.
    ///
    /// # Errors
    /// [`Error::Usage`] when `batch` is 0.
    pub fn evaluation(split: &'a Split, batch: usize) -> Result<Self> {
        check_batch(batch)?;
        Ok(Batches { split, batch, next: 0, order: Order::Stored })
    }

    /// Goes to batch `first_batch` of `epoch`, reusing the memory. Batches for evaluation are the same in every epoch.
    ///
    /// # Errors
    /// [`Error::Usage`] when `first_batch` is beyond the epoch's end (just at the end is allowed: then there is none
    /// left).
    pub fn restart(&mut self, epoch: u64, first_batch: usize) -> Result<()> {
        if first_batch > self.per_epoch() {
            return Err(Error::Usage(format!(
                "batch {first_batch}: expected at most the {} batches of an epoch",
                self.per_epoch()
            )));
        }
        if let Order::Shuffled { seed, epoch: current, order, .. } = &mut self.order {
            epoch_order(order, *seed, epoch);
            *current = epoch;
        }
        self.next = first_batch;
        Ok(())
    }

    /// Number of batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        match self.order {
            Order::Shuffled { .. } => self.split.len() / self.batch,
            Order::Stored => self.split.len().div_ceil(self.batch),
        }
    }

    /// Index in the epoch of the batch that comes next.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Writes the next batch and returns how many samples of it count, or `None` at the end of the epoch. `images`
    /// takes batch · C · h · w values in `[0, 1]` (h × w is what the network sees), `labels` one class per sample.
    ///
    /// # Errors
    /// [`Error::Shape`] when a buffer has another length.
    pub fn next_into(&mut self, images: &mut [f32], labels: &mut [u32]) -> Result<Option<usize>> {
        let pixels: usize = self.split.input().iter().product();
        if images.len() != self.batch * pixels || labels.len() != self.batch {
            return Err(Error::shape(
                "batch",
                format!("buffers of {} values and {} labels", self.batch * pixels, self.batch),
                format!("{} and {}", images.len(), labels.len()),
            ));
        }
        if self.next == self.per_epoch() {
            return Ok(None);
        }
        let start = self.next * self.batch;
        let count = self.batch.min(self.split.len() - start);
        for slot in 0..count {
            let (index, view) = match &self.order {
                &Order::Shuffled { seed, epoch, augmentation, ref order } => {
                    let index = order[start + slot];
                    (index as usize, View::random(self.split, augmentation, seed, epoch, index))
                }
                Order::Stored => (start + slot, View::middle(self.split)),
            };
            self.split.write_view(index, view, &mut images[slot * pixels..][..pixels]);
            labels[slot] = u32::from(self.split.labels[index]);
        }
        images[count * pixels..].fill(0.0);
        labels[count..].fill(0);
        self.next += 1;
        Ok(Some(count))
    }
}

fn check_batch(batch: usize) -> Result<()> {
    if batch == 0 {
        return Err(Error::Usage("batch size 0: expected at least 1".into()));
    }
    Ok(())
}
