//! MTL-IBP: convex combination of the losses at an attacked point and over the box (De Palma et al. 2024).

use super::expressive::{Ends, mix};
use super::{Batch, Method, RobustLoss};
use crate::error::Result;
use crate::graph::Graph;

/// (1 − α) · CE at the attacked point + α · worst-case CE.
pub(super) struct MultiTask;

impl Method for MultiTask {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let ends = Ends::new(g, batch)?;
        let (attacked, bounded) = ends.losses(g, batch)?;
        let losses = mix(g, batch.alpha, attacked, bounded)?;
        ends.finish(g, losses)
    }
}
