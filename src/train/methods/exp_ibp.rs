//! Exp-IBP: weighted geometric mean of the losses at an attacked point and over the box (De Palma et al. 2024).

use super::expressive::{Ends, mix};
use super::{Batch, Method, RobustLoss};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops;

/// A loss below this counts as this, without gradient: f32 rounds the loss of a sure sample to 0, which has no logarithm.
const SMALLEST: f32 = 1e-6;

/// CE at the attacked point ^ (1 − α) · worst-case CE ^ α.
pub(super) struct GeometricMean;

impl Method for GeometricMean {
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss> {
        let ends = Ends::new(g, batch)?;
        let (attacked, bounded) = ends.losses(g, batch)?;
        let mut logarithm = |losses: Value| {
            let positive = ops::clamp(g, losses, SMALLEST, f32::MAX)?;
            ops::unary(g, ops::UnaryKind::Log, positive)
        };
        let (attacked, bounded) = (logarithm(attacked)?, logarithm(bounded)?);
        let mixed = mix(g, batch.alpha, attacked, bounded)?;
        let losses = ops::unary(g, ops::UnaryKind::Exp, mixed)?;
        ends.finish(g, losses)
    }
}
