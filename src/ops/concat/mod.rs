//! Joins up to seven tensors into one vector: their elements, one tensor after the other.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::shape::{DType, TensorType};

/// Most tensors that are joined: with the output they fill the storage bindings that every GPU has.
pub const CONCAT_LIMIT: usize = 7;

#[derive(Debug)]
struct Concat;

/// Tensors of any shapes → a vector of all their elements in order.
pub fn concat(graph: &mut Graph, parts: &[Value]) -> Result<Value> {
    graph.push1(Concat, parts)
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if inputs.is_empty() || inputs.len() > CONCAT_LIMIT || inputs.iter().any(|t| t.dtype != DType::F32) {
            return Err(Error::shape(self.name(), format!("1 to {CONCAT_LIMIT} f32 tensors"), format!("{inputs:?}")));
        }
        Ok(vec![TensorType::f32([inputs.iter().map(TensorType::elements).sum::<usize>()])])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}
