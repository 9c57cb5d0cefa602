//! One step of projected gradient ascent on the sign of the gradient (Madry et al. 2018).
//!
//! z' = min(max(z + step · reach · sign(g), lower), upper), sign(0) = 0, unless all of `done` > 0, in which case z' = z: an attack
//! that stops early keeps its point.
//! Shapes: z, g, lower, upper of one shape; reach f32 `[1]`, done f32 `[P]` → z'. `step` is relative to `reach`. No gradient flows.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Inputs z, g, lower, upper, reach, done.
#[derive(Debug)]
struct PgdStep {
    step: f32,
}

/// What bounds an attack: its region and whether it is over.
#[derive(Clone, Copy, Debug)]
pub struct PgdRegion {
    /// Least value of each pixel.
    pub lower: Value,
    /// Greatest value of each pixel.
    pub upper: Value,
    /// Length that steps are relative to, f32 `[1]`.
    pub reach: Value,
}

/// One step from `z` along the sign of `grad`.
pub fn pgd_step(graph: &mut Graph, z: Value, grad: Value, region: PgdRegion, done: Value, step: f32) -> Result<Value> {
    graph.push1(PgdStep { step }, &[z, grad, region.lower, region.upper, region.reach, done])
}

impl Op for PgdStep {
    fn name(&self) -> &'static str {
        "pgd_step"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 6])?;
        for input in &inputs[1..4] {
            expect_same(self.name(), &inputs[0].shape, &input.shape)?;
        }
        expect_same(self.name(), &[1].into(), &inputs[4].shape)?;
        if inputs[5].shape.rank() != 1 || inputs[5].elements() == 0 {
            return Err(Error::shape(self.name(), "done [P]", inputs[5].shape.to_string()));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call(self)
    }
}
