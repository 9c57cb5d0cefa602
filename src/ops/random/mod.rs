//! Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011).
//!
//! Element `i` depends only on (key, stream, i): word `i % 4` of the block with counter `[i / 4, stream, key₂, key₃]` and key
//! `[key₀, key₁]`. The key input is u32 `[4]` = `[seed low, seed high, step low, step high]`, fed anew each step.
//! Uniform: (word >> 8) · 2⁻²⁴ ∈ [0, 1), then lower + (upper − lower) · that: the same bits on every device as long as
//! lower and upper − lower are powers of two (or 0); otherwise within one rounding.
//! Normal: Box–Muller on words (0,1) and (2,3) of a block; the words are the same everywhere, ln, √ and cos are the device's.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, Shape, TensorType};

/// The distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Uniform on [lower, upper).
    Uniform {
        /// Inclusive.
        lower: f32,
        /// Exclusive.
        upper: f32,
    },
    /// Gaussian.
    Normal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        deviation: f32,
    },
}

#[derive(Debug)]
struct Random {
    distribution: Distribution,
    stream: u32,
    shape: Shape,
}

/// Random numbers of `shape` from `key` (u32 `[4]`). Draws that share a key must differ in `stream`.
pub fn random(
    graph: &mut Graph,
    distribution: Distribution,
    key: Value,
    stream: u32,
    shape: impl Into<Shape>,
) -> Result<Value> {
    graph.push1(Random { distribution, stream, shape: shape.into() }, &[key])
}

impl Op for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::U32])?;
        expect_same(self.name(), &[4].into(), &inputs[0].shape)?;
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call(self)
    }
}
