//! What a run tells who watches it, and what it comes to.

use serde::{Deserialize, Serialize};

use super::best::BestEpoch;
use crate::train::evaluate::Evaluation;

/// What the loop is asked before each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    No,
    /// The time is over: save, evaluate, end well.
    TimeOver,
    /// Save and end with [`crate::error::Error::Interrupted`].
    Interrupted,
}

/// Who watches a run.
pub trait Observer {
    /// The first step of this process is over; the device has been waited for.
    fn first_step(&mut self) {}
    /// Figures were read (every few steps).
    fn step(&mut self, progress: &Progress) {
        let _ = progress;
    }
    /// An epoch ended.
    fn epoch(&mut self, metrics: &EpochMetrics) {
        let _ = metrics;
    }
    /// The final evaluation has seen `done` of `of` images.
    fn evaluating(&mut self, done: usize, of: usize) {
        let _ = (done, of);
    }
    /// Asked before each step.
    fn stop(&self) -> Stop {
        Stop::No
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Current epoch, from 1.
    pub epoch: u32,
    /// Epochs of the run.
    pub epochs: u32,
    /// Steps done.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Mean loss of the steps read last.
    pub loss: f64,
    /// Current ε.
    pub epsilon: f64,
    /// Current learning rate.
    pub lr: f64,
    /// Training samples per second since the process began this run.
    pub samples_per_second: f64,
    /// Seconds of training, earlier parts of a resumed run included.
    pub seconds: f64,
}

/// Natural, adversarial and certified rates on a slice of a split, in 0..1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceRates {
    /// Classified correctly.
    pub natural: f64,
    /// Correct under the training attack at the final ε.
    pub adversarial: f64,
    /// Certified by interval bounds at the final ε.
    pub ibp: f64,
    /// Certified by interval bounds over the method's own small box, around the attacked point at the final ε; `None` for a
    /// method without one.
    #[serde(rename = "box")]
    pub small_box: Option<f64>,
}

impl From<Evaluation> for SliceRates {
    fn from(e: Evaluation) -> Self {
        SliceRates {
            natural: e.natural.rate,
            adversarial: e.adversarial.rate,
            ibp: e.ibp.rate,
            small_box: e.small_box.map(|rate| rate.rate),
        }
    }
}

/// Figures of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Seconds since the run began.
    pub seconds: f64,
    /// Seconds of this epoch's steps, without evaluation.
    pub epoch_seconds: f64,
    /// Seconds of these that were spent waiting for a batch.
    pub wait_seconds: f64,
    /// Training samples per second of this epoch's steps, of those that this process did.
    pub samples_per_second: f64,
    /// ε of the last step.
    pub epsilon: f64,
    /// Learning rate.
    pub lr: f64,
    /// Mean loss of the epoch's steps.
    pub loss: f64,
    /// Mean share of samples that were robust by the method's own criterion in training.
    pub robust: f64,
    /// On the first training samples.
    pub train: SliceRates,
    /// On the first validation samples, if there are any.
    pub validation: Option<SliceRates>,
}

impl EpochMetrics {
    /// The line of `metrics.jsonl`; every epoch has the same keys.
    pub fn row(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut row = serde_json::Map::new();
        let mut put = |key: &str, value: serde_json::Value| row.insert(key.to_string(), value);
        put("epoch", self.epoch.into());
        put("step", self.step.into());
        put("seconds", self.seconds.into());
        put("epoch_seconds", self.epoch_seconds.into());
        put("wait_seconds", self.wait_seconds.into());
        put("samples_per_second", self.samples_per_second.into());
        put("epsilon", self.epsilon.into());
        put("lr", self.lr.into());
        put("loss", self.loss.into());
        put("robust", self.robust.into());
        for (prefix, rates) in [("train", Some(self.train)), ("validation", self.validation)] {
            put(&format!("{prefix}_natural"), rates.map(|r| r.natural).into());
            put(&format!("{prefix}_adversarial"), rates.map(|r| r.adversarial).into());
            put(&format!("{prefix}_ibp"), rates.map(|r| r.ibp).into());
            put(&format!("{prefix}_box"), rates.and_then(|r| r.small_box).into());
        }
        row
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Steps done.
    pub steps: u64,
    /// Epochs done.
    pub epochs: u32,
    /// Seconds of training and monitoring, without the final evaluation.
    pub seconds: f64,
    /// Training samples per second of this process.
    pub samples_per_second: f64,
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// Greatest device memory.
    pub peak_bytes: usize,
    /// All epochs were done.
    pub complete: bool,
    /// The epoch whose weights `best.safetensors` holds; `None` without validation images or an epoch at the full ε.
    pub best: Option<BestEpoch>,
    /// On the test split, with the weights of the last epoch.
    pub test: Evaluation,
}
