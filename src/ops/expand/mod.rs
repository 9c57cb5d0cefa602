//! Repetition of a vector: the gradient of a sum.
//!
//! `y[o,k,i]` = `x[k]` for x `[keep]` → y `[outer, keep, inner]`.

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Lowering, Made, Steps, describe};
use crate::ops::support::{Spread, expect_types};
use crate::ops::{ReduceKind, reduce};
use crate::shape::{DType, TensorType};

#[derive(Debug)]
pub(super) struct Expand {
    outer: usize,
    inner: usize,
}

/// x `[keep]` → `[outer, keep, inner]`.
pub fn expand(graph: &mut Graph, x: Value, outer: usize, inner: usize) -> Result<Value> {
    graph.push1(Expand { outer, inner }, &[x])
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        if shape.rank() != 1 || self.outer * self.inner == 0 {
            return Err(Error::shape(self.name(), "a vector [keep] and extents of at least 1", shape.to_string()));
        }
        Ok(vec![TensorType::f32([self.outer, shape[0], self.inner])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None]) };
        Ok(vec![Some(reduce(g, ReduceKind::Sum, grad)?)])
    }

    fn constant(&self, inputs: &[&[u32]], _output: &TensorType) -> Option<Vec<u32>> {
        let row = inputs[0].iter().flat_map(|&v| std::iter::repeat_n(v, self.inner));
        Some(std::iter::repeat_n(row, self.outer).flatten().collect())
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![self.outer * self.inner == 1], true)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}

impl Steps for Expand {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let spread = Spread { inner: self.inner, len: at.signature.inputs[0].elements() };
        vec![Made::Each(at.spread(0, spread, 0))]
    }
}
