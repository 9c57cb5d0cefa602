//! Interval training: worst-case cross-entropy over the whole ε box (Gowal et al. 2018).

use super::{Batch, Method, RobustLoss, box_loss};
use crate::error::Result;
use crate::graph::Graph;

/// The box `[x − ε, x + ε]` cut with `[0,1]`.
pub(super) struct IntervalBounds;

impl Method for IntervalBounds {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let region = batch.ball(g)?.interval(g)?;
        box_loss(g, batch, region)
    }
}
