//! Where a run stands, as a checkpoint keeps it.

use serde::{Deserialize, Serialize};

use super::best::BestEpoch;

/// Where a run stands; with the session's states all that a resume needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Current epoch, from 1.
    pub(super) epoch: u32,
    /// Next batch of the epoch.
    pub(super) batch: usize,
    /// Steps done.
    pub(super) step: u64,
    /// Seconds of training so far.
    pub(super) seconds: f64,
    /// Figures of the epoch so far.
    pub(super) sums: Sums,
    /// Mean loss of the last whole epoch.
    pub(super) last_loss: Option<f64>,
    /// The best epoch so far; states of earlier versions have none.
    #[serde(default)]
    pub(super) best: Option<BestEpoch>,
}

/// Sums over an epoch's steps; kept as bits, since the text form of a resume must not round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    steps: u64,
    loss_bits: u64,
    robust_bits: u64,
}

impl Sums {
    pub(super) fn add(&mut self, loss: f32, robust: f32) {
        self.steps += 1;
        self.loss_bits = (f64::from_bits(self.loss_bits) + f64::from(loss)).to_bits();
        self.robust_bits = (f64::from_bits(self.robust_bits) + f64::from(robust)).to_bits();
    }

    pub(super) fn means(&self) -> (f64, f64) {
        let n = self.steps.max(1) as f64;
        (f64::from_bits(self.loss_bits) / n, f64::from_bits(self.robust_bits) / n)
    }
}
