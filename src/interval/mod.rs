//! Boxes as graph values: how they are made, what they say about margins.
//!
//! A box is held as center and radius ≥ 0; how layers map boxes is in the `*_interval` ops. Sound in real arithmetic; f32
//! rounding is not directed outward, so what is read off here is an estimate, not a certificate.

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops;

/// A box `[center − radius, center + radius]`.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Middle.
    pub center: Value,
    /// Half width, ≥ 0, of the center's shape.
    pub radius: Value,
}

/// A box given by its ends.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Least values.
    pub lower: Value,
    /// Greatest values.
    pub upper: Value,
}

impl Bounds {
    /// `[x − ε, x + ε]` cut with `[0, 1]`: the perturbation set of an image. `radius` is spread over x (`[1]` for one ε).
    pub fn ball(graph: &mut Graph, x: Value, radius: Value) -> Result<Bounds> {
        let lower = ops::sub(graph, x, radius)?;
        let upper = ops::add(graph, x, radius)?;
        // Cut on both sides: with x in [0,1] one side suffices in real arithmetic and both do in f32.
        Ok(Bounds { lower: ops::clamp(graph, lower, 0.0, 1.0)?, upper: ops::clamp(graph, upper, 0.0, 1.0)? })
    }

    /// The same box by middle and half width.
    pub fn interval(self, graph: &mut Graph) -> Result<Interval> {
        let sum = ops::add(graph, self.upper, self.lower)?;
        let difference = ops::sub(graph, self.upper, self.lower)?;
        Ok(Interval { center: ops::scale(graph, sum, 0.5)?, radius: ops::scale(graph, difference, 0.5)? })
    }
}

impl Interval {
    /// The same box as a constant of differentiation.
    pub fn detach(self, graph: &mut Graph) -> Interval {
        Interval { center: graph.detach(self.center), radius: graph.detach(self.radius) }
    }

    /// Lower and upper ends.
    pub fn bounds(self, graph: &mut Graph) -> Result<Bounds> {
        Ok(Bounds {
            lower: ops::sub(graph, self.center, self.radius)?,
            upper: ops::add(graph, self.center, self.radius)?,
        })
    }

    /// The box behind a ReLU with both ends scaled by `factor` where the box `before` it has 0 inside: `[0, factor · u]` instead
    /// of `[0, u]` (Müller et al. 2023, shrinking). Gradients flow through the scaled ends, not through the choice.
    pub fn shrink_unstable(self, graph: &mut Graph, before: Interval, factor: f32) -> Result<Interval> {
        let ends = before.bounds(graph)?;
        let zero = ops::fill(graph, 0.0, [1])?;
        let below = ops::greater(graph, zero, ends.lower)?;
        let above = ops::greater(graph, ends.upper, zero)?;
        let unstable = ops::mul(graph, below, above)?;
        let factors = ops::affine(graph, unstable, factor - 1.0, 1.0)?;
        Ok(Interval { center: ops::mul(graph, self.center, factors)?, radius: ops::mul(graph, self.radius, factors)? })
    }

    /// Worst-case logits relative to the label, with the last layer elided: entry k is an upper bound of z_k − z_label over the
    /// box, and 0 at the label. `self` `[N,F]` is the box before the last linear layer w `[K,F]`, b `[K]`. Cross-entropy of these
    /// logits is the robust loss; the sample is certified iff all other entries are negative.
    pub fn margin_logits(self, graph: &mut Graph, w: Value, b: Value, labels: Value) -> Result<Value> {
        let logits = ops::linear(graph, self.center, w, Some(b))?;
        let center = ops::label_margin(graph, logits, labels)?;
        let radius = ops::margin_radius(graph, self.radius, w, labels)?;
        ops::add(graph, center, radius)
    }
}

/// The small box of SABR: radius τ around the attacked point, slid so that it stays in the perturbation set `region`.
///
/// `tau` is f32 `[1]`. The radius of a pixel is min(τ, half the width of its region), which is τ unless λ > 1/2 and the region
/// was cut at the border of `[0,1]`; the center is clamp(point, lower + radius, upper − radius). With `faithful_border` the
/// radius is τ everywhere and crossing clamp bounds give the upper one, as in the authors' code: the box then may leave
/// the region near pixel value 1. Either way it is finally cut with `[0,1]`.
pub fn small_box(
    graph: &mut Graph,
    point: Value,
    region: Bounds,
    tau: Value,
    faithful_border: bool,
) -> Result<Interval> {
    let radius = if faithful_border {
        tau
    } else {
        let half = region.interval(graph)?.radius;
        ops::minimum(graph, half, tau)?
    };
    let least = ops::add(graph, region.lower, radius)?;
    let greatest = ops::sub(graph, region.upper, radius)?;
    let raised = ops::maximum(graph, point, least)?;
    let center = ops::minimum(graph, raised, greatest)?;
    Bounds::ball(graph, center, radius)?.interval(graph)
}
