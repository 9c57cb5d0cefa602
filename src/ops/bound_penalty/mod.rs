//! One layer's term of the bound regulariser (Shi et al. 2021): tightness plus ReLU balance, from the layer's statistics.
//!
//! With s from [`super::bound_statistics`], R₀ the mean radius of the input box and t = 1/2:
//! tightness = max(t − R₀ / max(s₀, 1e-12), 0) / t;
//! q₁ = s₁ / (−s₂), q₂ = s₃ / s₄, each replaced by min(q, 1 / max(q, 1e-12));
//! balance = (max(t − q₁, 0) + max(t − q₂, 0)) / t.
//! A layer without an inactive neuron (−s₂ > 0 and s₄ > 0 fails) has no ratio: its balance is left out, as the authors do
//! with terms that are not finite.
//! Shapes: s `[8]`, R₀ `[1]` → `[1]`. No gradient flows to R₀.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::BOUND_STATISTICS;
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// The tolerance t.
const TOLERANCE: f32 = 0.5;
/// Least divisor.
const TINY: f32 = 1e-12;

/// Forward. Inputs s, R₀.
#[derive(Debug)]
struct BoundPenalty;

/// Gradient. Inputs s, R₀, grad `[1]`; output d/ds `[8]`.
#[derive(Debug)]
struct BoundPenaltyBackward;

/// Tightness plus balance `[1]` of a layer with statistics `[8]`, for an input box of mean radius `input_radius` `[1]`.
pub fn bound_penalty(graph: &mut Graph, statistics: Value, input_radius: Value) -> Result<Value> {
    graph.push1(BoundPenalty, &[statistics, input_radius])
}

impl Op for BoundPenalty {
    fn name(&self) -> &'static str {
        "bound_penalty_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        expect_same(self.name(), &[BOUND_STATISTICS].into(), &inputs[0].shape)?;
        expect_same(self.name(), &[1].into(), &inputs[1].shape)?;
        Ok(vec![TensorType::f32([1])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None, None]) };
        Ok(vec![Some(g.push1(BoundPenaltyBackward, &[at.inputs[0], at.inputs[1], grad])?), None])
    }

    fn gpu(&self, _signature: &Signature, _limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward()
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::forward()
    }
}

impl Op for BoundPenaltyBackward {
    fn name(&self) -> &'static str {
        "bound_penalty_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3])?;
        expect_same(self.name(), &[BOUND_STATISTICS].into(), &inputs[0].shape)?;
        expect_same(self.name(), &[1].into(), &inputs[1].shape)?;
        expect_same(self.name(), &[1].into(), &inputs[2].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, _signature: &Signature, _limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward()
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::backward()
    }
}
