//! What a row goes up, and how far it is from breaking its property.

use super::spec::Loss;
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops::{self, ReduceKind};
use crate::shape::TensorType;

/// More than any output: what is lowered by it is nobody's maximum.
pub(super) const FAR: f32 = 1e30;

/// Two values of each row, `[R]`.
pub(super) struct Valued {
    /// What the gradient is taken of, to be made greater.
    pub(super) objective: Value,
    /// ≤ 0 where the row's clause, or of several any, holds.
    pub(super) margin: Value,
}

/// The objective of `rows` rows at `logits` `[R,K]`. What the rows are about is in states named by `name`.
pub(super) fn objective(
    g: &mut Graph,
    loss: Loss,
    constraints: usize,
    logits: Value,
    name: &dyn Fn(&str) -> String,
) -> Result<Valued> {
    let shape = g.shape(logits).clone();
    let rows = shape[0];
    if loss == Loss::CrossEntropy {
        let labels = g.state(&name("labels"), TensorType::u32([rows]))?;
        let mask = g.state(&name("mask"), TensorType::f32(shape))?;
        let objective = ops::cross_entropy(g, logits, labels)?;
        let ahead = ops::label_margin(g, logits, labels)?;
        let others = ops::sub(g, ahead, mask)?;
        let closest = ops::reduce_samples(g, ReduceKind::Max, others)?;
        return Ok(Valued { objective, margin: ops::scale(g, closest, -1.0)? });
    }
    let mut margin: Option<Value> = None;
    for c in 0..constraints {
        let coefficients = g.state(&name(&format!("coefficients.{c}")), TensorType::f32(shape.clone()))?;
        let bound = g.state(&name(&format!("bound.{c}")), TensorType::f32([rows]))?;
        let products = ops::mul(g, coefficients, logits)?;
        let sum = ops::reduce_samples(g, ReduceKind::Sum, products)?;
        let excess = ops::sub(g, sum, bound)?;
        margin = Some(match margin {
            None => excess,
            Some(before) => ops::maximum(g, before, excess)?,
        });
    }
    let margin = margin.expect("at least one constraint");
    let mut objective = ops::scale(g, margin, -1.0)?;
    if loss == Loss::LogitsRatio {
        let spread = spread(g, logits)?;
        objective = ops::div(g, objective, spread)?;
    }
    Ok(Valued { objective, margin })
}

/// z₍₁₎ − (z₍₃₎ + z₍₄₎)/2 of each row, the outputs in descending order without repetition.
fn spread(g: &mut Graph, logits: Value) -> Result<Value> {
    let rows = g.shape(logits)[0];
    let mut left = g.detach(logits);
    let mut ranked = Vec::new();
    for _ in 0..4 {
        let greatest = ops::reduce_samples(g, ReduceKind::Max, left)?;
        let column = g.reshape(greatest, [rows, 1])?;
        let lower = ops::greater(g, column, left)?;
        let equal = ops::affine(g, lower, -1.0, 1.0)?;
        // The value by its place, so that gradients find it; equal ones share.
        let count = ops::reduce_samples(g, ReduceKind::Sum, equal)?;
        let placed = ops::mul(g, equal, logits)?;
        let sum = ops::reduce_samples(g, ReduceKind::Sum, placed)?;
        ranked.push(ops::div(g, sum, count)?);
        let lowering = ops::scale(g, equal, FAR)?;
        left = ops::sub(g, left, lowering)?;
    }
    let pair = ops::add(g, ranked[2], ranked[3])?;
    let half = ops::scale(g, pair, 0.5)?;
    let spread = ops::sub(g, ranked[0], half)?;
    // Croce and Hein's guard against a division by 0.
    ops::affine(g, spread, 1.0, 1e-12)
}
