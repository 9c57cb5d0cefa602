//! Training batches prepared ahead, on a thread of their own, so that the device does not wait for them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::batches::Batches;
use super::dataset::Dataset;
use super::manifest::Augmentation;
use crate::error::Result;

/// Batches that are in the making or ready beside the one in use.
const AHEAD: usize = 2;

/// Which batches a [`Loader`] makes.
#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    /// Samples of a batch.
    pub batch: usize,
    /// Seed of the order and of the views.
    pub seed: u64,
    /// How images vary.
    pub augmentation: Augmentation,
    /// Epoch to begin in, from 1.
    pub epoch: u64,
    /// Batch of that epoch to begin with.
    pub first_batch: usize,
    /// Last epoch.
    pub epochs: u64,
}

/// A batch.
#[derive(Debug, Default)]
pub struct TrainingBatch {
    /// Images N, C, h, w in `[0, 1]`.
    pub images: Vec<f32>,
    /// Classes.
    pub labels: Vec<u32>,
}

/// Makes the batches of a run in their order, some ahead of their use. What a batch holds does not depend on when it is made.
pub struct Loader {
    ready: Option<Receiver<TrainingBatch>>,
    used: SyncSender<TrainingBatch>,
    current: TrainingBatch,
    thread: Option<JoinHandle<()>>,
    waited: Duration,
}

impl Loader {
    /// Begins to make batches of the training split.
    ///
    /// # Errors
    /// As [`Batches::training`].
    pub fn new(dataset: Arc<Dataset>, options: LoaderOptions) -> Result<Loader> {
        let LoaderOptions { batch, seed, augmentation, epoch, first_batch, epochs } = options;
        // Checked here, where an error can be returned.
        Batches::training(&dataset.train, batch, seed, epoch, first_batch, augmentation)?;
        let (fill, ready) = sync_channel::<TrainingBatch>(AHEAD);
        let (used, free) = sync_channel::<TrainingBatch>(AHEAD + 1);
        let pixels: usize = dataset.input().iter().product();
        for _ in 0..=AHEAD {
            let batch = TrainingBatch { images: vec![0.0; batch * pixels], labels: vec![0; batch] };
            used.send(batch).expect("the other end is in this function");
        }
        let thread = std::thread::spawn(move || {
            let made = Batches::training(&dataset.train, batch, seed, epoch, first_batch, augmentation);
            let mut batches = made.expect("the same arguments were good before");
            let mut epoch = epoch;
            // Both ends close when the loader is dropped.
            while let Ok(mut batch) = free.recv() {
                let fits = "the buffers were made for these batches";
                while batches.next_into(&mut batch.images, &mut batch.labels).expect(fits).is_none() {
                    if epoch >= epochs {
                        return;
                    }
                    epoch += 1;
                    batches.restart(epoch, 0).expect("an epoch has a first batch");
                }
                if fill.send(batch).is_err() {
                    return;
                }
            }
        });
        let current = TrainingBatch::default();
        Ok(Loader { ready: Some(ready), used, current, thread: Some(thread), waited: Duration::ZERO })
    }

    /// The next batch; waits for it if it is not ready.
    ///
    /// # Panics
    /// After the last batch of the last epoch.
    pub fn next_batch(&mut self) -> &TrainingBatch {
        let begun = Instant::now();
        let ready = self.ready.as_ref().expect("open until the loader is dropped");
        let Ok(next) = ready.recv() else {
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                std::panic::resume_unwind(panic);
            }
            panic!("no batch is left after the last epoch");
        };
        self.waited += begun.elapsed();
        let used = std::mem::replace(&mut self.current, next);
        // The first one is not a buffer.
        if !used.labels.is_empty() {
            // The thread has ended when the last batch is made.
            drop(self.used.send(used));
        }
        &self.current
    }

    /// Time spent waiting since this was asked last.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A closed channel ends the thread where it waits.
        self.ready = None;
        let (closed, _) = sync_channel(0);
        self.used = closed;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by `next_batch`, or its batch was never asked for.
            drop(thread.join());
        }
    }
}
