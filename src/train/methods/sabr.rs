//! SABR: worst-case cross-entropy over a small box around an attacked point (Müller et al. 2023).

use super::{Batch, Method, RobustLoss, box_loss};
use crate::error::Result;
use crate::graph::Graph;
use crate::interval::small_box;
use crate::ops;

/// Attack in the full ε ball, then the box of radius τ = λ·ε around the found point, slid into the ball.
pub(super) struct SmallBoxes;

impl Method for SmallBoxes {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let attacked = batch.attack(g)?;
        let ball = batch.ball(g)?;
        let tau = ops::scale(g, batch.epsilon, batch.lambda)?;
        let region = small_box(g, attacked.point, ball, tau, batch.faithful_border)?;
        let center = g.detach(region.center);
        let (_, network) = batch.at_points(g, center)?;
        box_loss(g, &Batch { network: &network, ..*batch }, region)
    }
}
