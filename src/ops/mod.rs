//! The concrete ops, one folder each: `mod.rs` (shape rule, gradient, cost), `gpu.rs` (dispatches), `cpu.rs` (native kernel).
//!
//! Each op is used through a free function that adds it to a [`Graph`]. Images are `[N,C,H,W]`, vectors
//! `[N,F]`, weights `[O,C,KH,KW]` and `[G,F]`, biases `[O]`; everything is dense, row-major f32 unless it says u32.
//! A box is a pair (center, radius ≥ 0) of one shape.

mod dispatch;
mod elementwise;
mod functions;
mod native;
pub mod shaders;
pub mod simd;
mod support;
mod window;

#[cfg(test)]
pub(crate) use elementwise::swept;
pub use window::{ROW_WORDS, Window};

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        $(pub use $name::*;)*
    };
}

// One line per op; adding one touches nothing else here.
ops! {
    adam,
    argmax,
    assign,
    attack_progress,
    binary,
    bound_penalty,
    bound_statistics,
    compare_labels,
    concat,
    concretize,
    conv2d,
    conv2d_interval,
    cross_entropy,
    embed_window,
    expand,
    fill,
    gather_rows,
    label_margin,
    linear,
    linear_interval,
    margin_radius,
    multiply_adds,
    pgd_step,
    random,
    record_row,
    reduce,
    relu,
    relu_interval,
    relu_relaxation,
    select,
    transpose,
    unary,
}

use crate::error::Result;
use crate::graph::{Graph, Value, autodiff};

/// d(loss)/d(w) for each `w`, for a `loss` of one element (see [`autodiff::gradients`]).
pub fn gradients(graph: &mut Graph, loss: Value, wrt: &[Value]) -> Result<Vec<Option<Value>>> {
    let shape = graph.shape(loss).clone();
    let seed = fill(graph, 1.0, shape)?;
    gradients_from(graph, loss, seed, wrt)
}

/// Gradients for a value of any shape, given the gradient `seed` with respect to it.
pub fn gradients_from(graph: &mut Graph, of: Value, seed: Value, wrt: &[Value]) -> Result<Vec<Option<Value>>> {
    autodiff::gradients(graph, of, seed, wrt, &|g, a, b| add(g, a, b))
}
