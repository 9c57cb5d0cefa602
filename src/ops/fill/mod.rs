//! A tensor of one value.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::shape::{Shape, TensorType};

#[derive(Debug)]
struct Fill {
    value: f32,
    shape: Shape,
}

/// `value` everywhere.
pub fn fill(graph: &mut Graph, value: f32, shape: impl Into<Shape>) -> Result<Value> {
    graph.push1(Fill { value, shape: shape.into() }, &[])
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        "fill"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[])?;
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn constant(&self, _inputs: &[&[u32]], output: &TensorType) -> Option<Vec<u32>> {
        Some(vec![self.value.to_bits(); output.elements()])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call(self)
    }
}
