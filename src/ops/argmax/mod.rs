//! Index of the greatest entry of each row: x `[N,K]` → u32 `[N]`; the first one at ties.

mod cpu;
mod gpu;

pub(super) use cpu::first_greatest;

use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::shape::{DType, TensorType};

#[derive(Debug)]
struct Argmax;

/// x `[N,K]` → u32 `[N]`.
pub fn argmax(graph: &mut Graph, x: Value) -> Result<Value> {
    graph.push1(Argmax, &[x])
}

impl Op for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        if shape.rank() != 2 || shape.elements() == 0 {
            return Err(Error::shape(self.name(), "x [N,K]", shape.to_string()));
        }
        Ok(vec![TensorType::u32([shape[0]])])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}
