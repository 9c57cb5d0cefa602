//! CC-IBP: cross-entropy of a convex combination of logit differences (De Palma et al. 2024).

use super::expressive::{Ends, mix};
use super::{Batch, Method, RobustLoss};
use crate::error::Result;
use crate::graph::Graph;
use crate::ops;

/// CE((1 − α) · differences at the attacked point + α · their bounds).
pub(super) struct ConvexCombination;

impl Method for ConvexCombination {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let ends = Ends::new(g, batch)?;
        let mixed = mix(g, batch.alpha, ends.attacked, ends.bounded)?;
        let losses = ops::cross_entropy(g, mixed, batch.labels)?;
        ends.finish(g, losses)
    }
}
