//! STAPS: TAPS over SABR's small box instead of the ε box (Mao et al. 2023).

use super::taps::estimated_loss;
use super::{Batch, Method, RobustLoss, sabr};
use crate::error::Result;
use crate::graph::Graph;

/// The product of losses over the small box.
pub(super) struct EstimatedSmallBoxes;

impl Method for EstimatedSmallBoxes {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let (region, network) = sabr::region(g, batch)?;
        estimated_loss(g, &Batch { network: &network, ..*batch }, region)
    }
}
