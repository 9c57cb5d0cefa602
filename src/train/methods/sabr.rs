//! SABR: worst-case cross-entropy over a small box around an attacked point (Müller et al. 2023).

use super::{Batch, Method, RobustLoss, box_loss};
use crate::error::Result;
use crate::graph::Graph;
use crate::interval::{Interval, small_box};
use crate::nn::Bound;
use crate::ops;

/// Attack in the full ε ball, then the box of radius τ = λ·ε around the found point, slid into the ball.
pub(super) struct SmallBoxes;

impl Method for SmallBoxes {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let (region, network) = region(g, batch)?;
        box_loss(g, &Batch { network: &network, ..*batch }, region)
    }
}

/// The small box, and the network with the statistics that its batch norms use there.
pub(super) fn region<'a>(g: &mut Graph, batch: &Batch<'a>) -> Result<(Interval, Bound<'a>)> {
    let attacked = batch.attack(g)?;
    let ball = batch.ball(g)?;
    let tau = ops::scale(g, batch.epsilon, batch.lambda)?;
    let region = small_box(g, attacked.point, ball, tau, batch.faithful_border)?;
    let center = g.detach(region.center);
    let (_, network) = batch.at_points(g, center)?;
    Ok((region, network))
}
