//! What the expressive losses (De Palma et al. 2024) mix: an attacked point and bounds over the whole ε box.

use super::{Batch, BoxMargins, RobustLoss, box_margins};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::nn::Bound;
use crate::ops;

/// Both ends of a mixture.
pub(super) struct Ends {
    /// Logits at the attacked points relative to the label, `[N,K]`.
    pub(super) attacked: Value,
    /// Their upper bounds over the ε box, `[N,K]`.
    pub(super) bounded: Value,
    bounds: BoxMargins,
}

impl Ends {
    pub(super) fn new(g: &mut Graph, batch: &Batch<'_>) -> Result<Ends> {
        let attacked = batch.attack(g)?;
        let (logits, network): (Value, Bound<'_>) = batch.at_points(g, attacked.point)?;
        let attacked = ops::label_margin(g, logits, batch.labels)?;
        let region = batch.ball(g)?.interval(g)?;
        let bounds = box_margins(g, &Batch { network: &network, ..*batch }, region)?;
        Ok(Ends { attacked, bounded: bounds.margins, bounds })
    }

    /// Cross-entropy of each sample at the attacked points and over the box, `[N]` each.
    pub(super) fn losses(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<(Value, Value)> {
        let attacked = ops::cross_entropy(g, self.attacked, batch.labels)?;
        Ok((attacked, ops::cross_entropy(g, self.bounded, batch.labels)?))
    }

    /// The mean of per-sample `losses` as the method's loss.
    pub(super) fn finish(self, g: &mut Graph, losses: Value) -> Result<RobustLoss> {
        let loss = ops::mean_all(g, losses)?;
        Ok(RobustLoss { loss, rate: self.bounds.rate, propagated: Some(self.bounds.propagated) })
    }
}

/// (1 − α) · a + α · b.
pub(super) fn mix(g: &mut Graph, alpha: f32, a: Value, b: Value) -> Result<Value> {
    let a = ops::scale(g, a, 1.0 - alpha)?;
    let b = ops::scale(g, b, alpha)?;
    ops::add(g, a, b)
}
