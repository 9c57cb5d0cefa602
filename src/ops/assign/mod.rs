//! Copies a value into a state, in place.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

#[derive(Debug)]
struct Assign;

/// state := value (one shape), and declares the update.
pub fn assign(graph: &mut Graph, state: Value, value: Value) -> Result<()> {
    let new = graph.push1(Assign, &[state, value])?;
    graph.update(state, new);
    Ok(())
}

impl Op for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call()
    }
}
