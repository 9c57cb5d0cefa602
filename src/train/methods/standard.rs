//! Standard training: cross-entropy on clean images.

use super::{Batch, Method, RobustLoss, logit_loss};
use crate::error::Result;
use crate::graph::Graph;

/// CE(h(x), y).
pub(super) struct Standard;

impl Method for Standard {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let (loss, rate) = logit_loss(g, batch, batch.clean)?;
        Ok(RobustLoss { loss, rate, propagated: None })
    }
}
