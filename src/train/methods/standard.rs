//! Standard training: cross-entropy on clean images.

use super::{Batch, Method, RobustLoss, point_loss};
use crate::error::Result;
use crate::graph::Graph;

/// CE(h(x), y).
pub(super) struct Standard;

impl Method for Standard {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let (loss, rate) = point_loss(g, batch.network, batch.x, batch.labels)?;
        Ok(RobustLoss { loss, rate, propagated: None })
    }
}
