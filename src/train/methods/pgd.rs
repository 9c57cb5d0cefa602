//! Adversarial training: cross-entropy on attacked images (Madry et al. 2018), with SABR's attack.

use super::{Batch, Method, RobustLoss, logit_loss};
use crate::error::Result;
use crate::graph::Graph;

/// CE(h(x_adv), y), x_adv the point that the attack returns.
pub(super) struct Adversarial;

impl Method for Adversarial {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let attacked = batch.attack(g)?;
        let (logits, _) = batch.at_points(g, attacked.point)?;
        let (loss, rate) = logit_loss(g, batch, logits)?;
        Ok(RobustLoss { loss, rate, propagated: None })
    }
}
