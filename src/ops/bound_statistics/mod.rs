//! Statistics of a layer's pre-activation box that the bound regulariser (Shi et al. 2021) is made of, and their gradient.
//!
//! For center c and radius r of any shape, with on = `[c − r > 0]`, off = `[c + r < 0]`, n elements and μ = mean c → f32 `[8]`:
//! 0 mean r · 1 mean c·on · 2 mean c·off · 3 Σ (c−μ)²·on · 4 Σ (c−μ)²·off · 5 μ · 6 Σ (c−μ)·on · 7 Σ (c−μ)·off.
//! Means are over all n elements, as the authors take them. The masks are constants of differentiation; entries 5 to 7
//! serve the gradient, and no gradient flows through them.
//! Gradient: d/dc = on·(g₁/n + 2g₃(c−μ)) + off·(g₂/n + 2g₄(c−μ)) − (2/n)(g₃·s₆ + g₄·s₇); d/dr = g₀/n.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Number of statistics.
pub const BOUND_STATISTICS: usize = 8;

/// Forward. Inputs c, r.
#[derive(Debug)]
struct BoundStatistics;

/// Gradient. Inputs c, r, statistics, grad `[8]`; outputs d/dc, d/dr.
#[derive(Debug)]
struct BoundStatisticsBackward;

/// Statistics `[8]` of the box (center, radius).
pub fn bound_statistics(graph: &mut Graph, (center, radius): (Value, Value)) -> Result<Value> {
    graph.push1(BoundStatistics, &[center, radius])
}

impl Op for BoundStatistics {
    fn name(&self) -> &'static str {
        "bound_statistics_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(vec![TensorType::f32([BOUND_STATISTICS])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0] else { return Ok(vec![None, None]) };
        let grads = g.push(BoundStatisticsBackward, &[at.inputs[0], at.inputs[1], at.outputs[0], grad])?;
        Ok(vec![Some(grads[0]), Some(grads[1])])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(signature)
    }
}

impl Op for BoundStatisticsBackward {
    fn name(&self) -> &'static str {
        "bound_statistics_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 4])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        expect_same(self.name(), &[BOUND_STATISTICS].into(), &inputs[2].shape)?;
        expect_same(self.name(), &[BOUND_STATISTICS].into(), &inputs[3].shape)?;
        Ok(vec![inputs[0].clone(); 2])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::backward()
    }
}
