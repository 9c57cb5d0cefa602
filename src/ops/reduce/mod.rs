//! Reduction of the outer and inner axis of a three-axis view.
//!
//! `y[k]` = Σ_{o,i} `x[o,k,i]` (or the mean, minimum, maximum) for x `[outer, keep, inner]` → y `[keep]`.
//! Everything (`[1,1,n]`), per channel (`[N,C,H·W]`) and per sample (`[1,N,rest]`) are views that reshaping gives for free.
//! Numerics: a fixed tree, so the result never depends on threads or timing; f32.

mod cpu;
pub(super) mod fold;
mod gpu;

pub(super) use gpu::{add_channel_sums, of_magnitudes};

use crate::error::{Error, Result};
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Lowering, Made, Steps, describe};
use crate::ops::support::expect_types;
use crate::ops::{expand, scale};
use crate::shape::{DType, TensorType};

/// What is computed. The discriminants are the shader's `KIND`; the mean is a sum, scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ReduceKind {
    /// Sum.
    Sum = 0,
    /// Least element; no gradient.
    Min = 1,
    /// Greatest element; no gradient.
    Max = 2,
}

#[derive(Debug)]
pub(super) struct Reduce {
    kind: ReduceKind,
}

/// x `[outer, keep, inner]` → `[keep]`.
pub fn reduce(graph: &mut Graph, kind: ReduceKind, x: Value) -> Result<Value> {
    graph.push1(Reduce { kind }, &[x])
}

/// All of x, whatever its shape → `[1]`.
pub fn reduce_all(graph: &mut Graph, kind: ReduceKind, x: Value) -> Result<Value> {
    let n = graph.shape(x).elements();
    let view = graph.reshape(x, [1, 1, n])?;
    reduce(graph, kind, view)
}

/// Sum of all elements → `[1]`.
pub fn sum_all(graph: &mut Graph, x: Value) -> Result<Value> {
    reduce_all(graph, ReduceKind::Sum, x)
}

/// Mean of all elements → `[1]`.
pub fn mean_all(graph: &mut Graph, x: Value) -> Result<Value> {
    let n = graph.shape(x).elements();
    let sum = sum_all(graph, x)?;
    scale(graph, sum, 1.0 / n as f32)
}

/// Each sample of x `[N,…]` → `[N]`.
pub fn reduce_samples(graph: &mut Graph, kind: ReduceKind, x: Value) -> Result<Value> {
    let shape = graph.shape(x).clone();
    let view = graph.reshape(x, [1, shape[0], shape.inner()])?;
    reduce(graph, kind, view)
}

/// Each channel of x `[N,C,…]` → `[C]`.
pub fn reduce_channels(graph: &mut Graph, kind: ReduceKind, x: Value) -> Result<Value> {
    let shape = graph.shape(x).clone();
    let view = graph.reshape(x, [shape[0], shape[1], shape.inner() / shape[1]])?;
    reduce(graph, kind, view)
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        if shape.rank() != 3 || shape.elements() == 0 {
            return Err(Error::shape(self.name(), "a non-empty view [outer, keep, inner]", shape.to_string()));
        }
        Ok(vec![TensorType::f32([shape[1]])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None]) };
        if self.kind != ReduceKind::Sum {
            return Err(Error::NoGradient { op: self.name(), input: 0 });
        }
        let shape = g.shape(at.inputs[0]).clone();
        Ok(vec![Some(expand(g, grad, shape[0], shape[2])?)])
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        let shape = &signature.inputs[0].shape;
        let view = [shape[0], shape[1], shape[2]];
        // With nothing to reduce by, the output would have as many elements as the pass.
        (view[0] * view[2] > 1).then_some(())?;
        Some(Elementwise { reduces: Some(view), ..describe(shape.elements(), vec![true], false)? })
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}

impl Steps for Reduce {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let shape = &at.signature.inputs[0].shape;
        let view = [shape[0], shape[1], shape[2]];
        vec![Made::Reduced { value: at.each(0), kind: self.kind, view }]
    }
}
