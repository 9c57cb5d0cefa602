//! Whether two label vectors agree: a, b u32 `[N]` → f32 `[N]`, 1 where equal, else 0.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

#[derive(Debug)]
struct CompareLabels;

/// 1 where the labels a, b u32 `[N]` are equal, else 0 → f32 `[N]`.
pub fn compare_labels(graph: &mut Graph, a: Value, b: Value) -> Result<Value> {
    graph.push1(CompareLabels, &[a, b])
}

impl Op for CompareLabels {
    fn name(&self) -> &'static str {
        "compare_labels"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::U32; 2])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(vec![TensorType::f32(inputs[0].shape.clone())])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call()
    }
}
