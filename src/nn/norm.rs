//! Batch norm (Ioffe and Szegedy 2015): statistics of a batch, running statistics, and the affine map that both make of it.

use super::layer::per_channel;
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::interval::Interval;
use crate::ops;

/// What a batch norm adds to the variance; PyTorch's default.
pub const EPSILON: f32 = 1e-5;
/// Weight of the newest batch in the running statistics; PyTorch's default.
const MOMENTUM: f32 = 0.1;

/// Mean and variance of each channel, `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Value,
    /// Variance: biased for a batch's own, PyTorch's mixture for the running one.
    pub variance: Value,
}

impl Statistics {
    /// The same as constants of differentiation.
    pub fn detach(self, g: &mut Graph) -> Statistics {
        Statistics { mean: g.detach(self.mean), variance: g.detach(self.variance) }
    }
}

/// What a batch norm does to a point or a box.
#[derive(Clone, Copy, Debug)]
pub(super) enum Norm {
    /// scale · x + shift, both `[C]`.
    Affine {
        /// γ / √(variance + ε).
        scale: Value,
        /// β − scale · mean.
        shift: Value,
    },
    /// Nothing: the layer before it has taken it in.
    Folded,
}

impl Norm {
    /// The map that γ, β and `statistics` make; gradients flow through all of them.
    pub(super) fn new(g: &mut Graph, (gamma, beta): (Value, Value), statistics: Statistics) -> Result<Norm> {
        let raised = ops::affine(g, statistics.variance, 1.0, EPSILON)?;
        let deviation = ops::unary(g, ops::UnaryKind::Sqrt, raised)?;
        let scale = ops::div(g, gamma, deviation)?;
        let moved = ops::mul(g, scale, statistics.mean)?;
        Ok(Norm::Affine { scale, shift: ops::sub(g, beta, moved)? })
    }

    /// x `[N,C,…]` → the same shape.
    pub(super) fn forward(self, g: &mut Graph, x: Value) -> Result<Value> {
        let Norm::Affine { scale, shift } = self else { return Ok(x) };
        let [scale, shift] = [per_channel(g, scale, x)?, per_channel(g, shift, x)?];
        let scaled = ops::mul(g, x, scale)?;
        ops::add(g, scaled, shift)
    }

    /// Center by the map, radius by |scale|.
    pub(super) fn propagate(self, g: &mut Graph, x: Interval) -> Result<Interval> {
        let Norm::Affine { scale, .. } = self else { return Ok(x) };
        let magnitude = ops::abs(g, scale)?;
        let magnitude = per_channel(g, magnitude, x.radius)?;
        Ok(Interval { center: self.forward(g, x.center)?, radius: ops::mul(g, x.radius, magnitude)? })
    }
}

/// Mean and biased variance over all samples and positions of each channel of x `[N,C,…]`.
pub(super) fn of_batch(g: &mut Graph, x: Value) -> Result<Statistics> {
    let share = 1.0 / positions(g, x) as f32;
    let sum = ops::reduce_channels(g, ops::ReduceKind::Sum, x)?;
    let rounded = ops::scale(g, sum, share)?;
    // The squares of differences, not the difference of squares: f32 would cancel. From which number they are taken makes no difference if
    // their own mean is taken into account (Chan, Golub and LeVeque 1983). So no gradient has to wait for another one's sum.
    let pivot = g.detach(rounded);
    let spread = per_channel(g, pivot, x)?;
    let centered = ops::sub(g, x, spread)?;
    let squares = ops::unary(g, ops::UnaryKind::Square, centered)?;
    let [sum, sum_of_squares] = [centered, squares].map(|of| ops::reduce_channels(g, ops::ReduceKind::Sum, of));
    let (residue, mean_square) = (ops::scale(g, sum?, share)?, ops::scale(g, sum_of_squares?, share)?);
    let correction = ops::unary(g, ops::UnaryKind::Square, residue)?;
    Ok(Statistics { mean: ops::add(g, pivot, residue)?, variance: ops::sub(g, mean_square, correction)? })
}

/// Running statistics after a batch of `positions` values per channel with the statistics `batch`: nine tenths of the old ones,
/// one tenth of the batch's mean and unbiased variance.
pub(super) fn updated(g: &mut Graph, running: Statistics, batch: Statistics, positions: usize) -> Result<Statistics> {
    let mut mix = |old: Value, new: Value, factor: f32| {
        let kept = ops::scale(g, old, 1.0 - MOMENTUM)?;
        let added = ops::scale(g, new, MOMENTUM * factor)?;
        ops::add(g, kept, added)
    };
    Ok(Statistics {
        mean: mix(running.mean, batch.mean, 1.0)?,
        variance: mix(running.variance, batch.variance, unbiased(positions))?,
    })
}

/// Running statistics with `share` `[1]` of the batch's mean and unbiased variance and the rest of the old ones: with 1/k for the k-th of
/// several batches, their plain average.
pub(super) fn averaged(
    g: &mut Graph,
    running: Statistics,
    batch: Statistics,
    positions: usize,
    share: Value,
) -> Result<Statistics> {
    let variance = ops::scale(g, batch.variance, unbiased(positions))?;
    let mut mix = |old: Value, new: Value| {
        let difference = ops::sub(g, new, old)?;
        let moved = ops::mul(g, difference, share)?;
        ops::add(g, old, moved)
    };
    Ok(Statistics { mean: mix(running.mean, batch.mean)?, variance: mix(running.variance, variance)? })
}

/// Factor from the biased to the unbiased variance of n values.
fn unbiased(n: usize) -> f32 {
    n as f32 / n.saturating_sub(1).max(1) as f32
}

/// Values per channel of x `[N,C,…]`.
pub(super) fn positions(g: &Graph, x: Value) -> usize {
    let shape = g.shape(x);
    shape.elements() / shape[1]
}
