//! What is added to the loss: the bound regulariser of the annealing phase and the L1 penalty.

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::nn::Propagated;
use crate::ops;

/// Radius of the box that stands in for the small box while ε is 0.
pub const WARM_UP_RADIUS: f32 = 1e-6;

/// weight · fade · (Σ tightness + Σ balance) / (number of ReLU layers) over the boxes before the ReLUs (Shi et al. 2021, as in the
/// SABR code) → `[1]`. `fade` f32 `[1]` is 1 − ε/ε_end.
pub fn bound_regulariser(g: &mut Graph, propagated: &Propagated, fade: Value, weight: f32) -> Result<Value> {
    let input_radius = ops::mean_all(g, propagated.normalized.radius)?;
    let mut sum: Option<Value> = None;
    for layer in &propagated.before_relu {
        let statistics = ops::bound_statistics(g, (layer.center, layer.radius))?;
        let penalty = ops::bound_penalty(g, statistics, input_radius)?;
        sum = Some(match sum {
            Some(sum) => ops::add(g, sum, penalty)?,
            None => penalty,
        });
    }
    match sum {
        Some(sum) => {
            let mean = ops::scale(g, sum, weight / propagated.before_relu.len() as f32)?;
            ops::mul(g, mean, fade)
        }
        None => ops::fill(g, 0.0, [1]),
    }
}

/// factor · Σ|θ| over all parameters → `[1]`.
pub fn l1_penalty(g: &mut Graph, parameters: &[Value], factor: f32) -> Result<Value> {
    let mut sum: Option<Value> = None;
    for &p in parameters {
        let magnitude = ops::abs(g, p)?;
        let part = ops::sum_all(g, magnitude)?;
        sum = Some(match sum {
            Some(sum) => ops::add(g, sum, part)?,
            None => part,
        });
    }
    match sum {
        Some(sum) => ops::scale(g, sum, factor),
        None => ops::fill(g, 0.0, [1]),
    }
}
