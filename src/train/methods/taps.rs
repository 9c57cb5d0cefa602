//! TAPS: the bounds of IBP times an attack on the last layers within the box of the first (Mao et al. 2023).

use super::{Batch, Method, RobustLoss, STREAMS, box_loss, box_margins};
use crate::error::Result;
use crate::graph::Graph;
use crate::interval::Interval;
use crate::ops;
use crate::train::latent::{estimated_margins, product_loss};

/// First random stream of the attack in the latent box; the attack on the images has those before it.
const STREAM: u32 = STREAMS / 2;

/// The product of losses over the ε box.
pub(super) struct Estimated;

impl Method for Estimated {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let region = batch.ball(g)?.interval(g)?;
        estimated_loss(g, batch, region)
    }
}

/// [`product_loss`] over a box, which is a constant of differentiation; while ε grows, the loss of the box alone. Behind the split the
/// batch norms use the same statistics as the box, in the attack too. Estimates are no bounds: the samples that count as
/// robust are those whose estimated margins are all positive, as the authors report it.
pub(super) fn estimated_loss(g: &mut Graph, batch: &Batch<'_>, region: Interval) -> Result<RobustLoss> {
    if batch.annealing {
        return box_loss(g, batch, region);
    }
    let (taps, network) = (batch.taps, batch.network);
    let bounds = box_margins(g, batch, region)?;
    let latent = bounds.propagated.before_layer[network.network().split_layer(taps.split)?];
    let estimated = estimated_margins(g, network, latent, batch.labels, taps, (batch.key, batch.stream(STREAM)))?;
    let loss = product_loss(g, estimated, bounds.margins, batch.labels, taps.grad_scale)?;
    let certified = network.certified(g, estimated)?;
    Ok(RobustLoss { loss, rate: ops::mean_all(g, certified)?, propagated: Some(bounds.propagated) })
}
