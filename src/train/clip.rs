//! Gradient clipping by the global norm.

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops;

/// Keeps the quotient finite where all gradients are 0; PyTorch's value.
const TINY: f32 = 1e-6;

/// Gradients scaled down together so that the Euclidean norm of all of them is at most `limit`: each times
/// min(1, limit / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_` does.
pub fn clip_gradients(g: &mut Graph, grads: &[Value], limit: f32) -> Result<Vec<Value>> {
    let mut total = ops::fill(g, 0.0, [1])?;
    for &grad in grads {
        let squares = ops::unary(g, ops::UnaryKind::Square, grad)?;
        let sum = ops::sum_all(g, squares)?;
        total = ops::add(g, total, sum)?;
    }
    let norm = ops::unary(g, ops::UnaryKind::Sqrt, total)?;
    let raised = ops::affine(g, norm, 1.0, TINY)?;
    let limit = ops::fill(g, limit, [1])?;
    let quotient = ops::div(g, limit, raised)?;
    let factor = ops::clamp(g, quotient, 0.0, 1.0)?;
    grads.iter().map(|&grad| ops::mul(g, grad, factor)).collect()
}
