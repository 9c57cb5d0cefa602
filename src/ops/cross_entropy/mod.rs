//! Softmax cross-entropy per sample, and its gradient.
//!
//! `y[n]` = log Σ_k exp(`z[n,k]` − `z[n,label]`) computed with the row's maximum taken out, so that no logit overflows.
//! Shapes: logits z `[N,K]`, labels u32 `[N]` → `[N]`. Gradient: (softmax(z) − onehot(label)) · `grad_y[n]`.

mod cpu;
mod gpu;

pub(super) use cpu::softmax_differences;

use crate::error::{Error, Result};
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Forward. Inputs logits, labels.
#[derive(Debug)]
struct CrossEntropy;

/// Gradient. Inputs logits, labels, grad_y `[N]`; output `[N,K]`.
#[derive(Debug)]
struct CrossEntropyBackward;

/// Cross-entropy of logits `[N,K]` against labels u32 `[N]` (below K) → `[N]`.
pub fn cross_entropy(graph: &mut Graph, logits: Value, labels: Value) -> Result<Value> {
    graph.push1(CrossEntropy, &[logits, labels])
}

/// Checks logits `[N,K]` and labels `[N]`.
pub(crate) fn expect_labelled(op: &'static str, logits: &TensorType, labels: &TensorType) -> Result<()> {
    if logits.shape.rank() != 2 || logits.elements() == 0 {
        return Err(Error::shape(op, "logits [N,K]", logits.shape.to_string()));
    }
    expect_same(op, &[logits.shape[0]].into(), &labels.shape)
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32])?;
        expect_labelled(self.name(), &inputs[0], &inputs[1])?;
        Ok(vec![TensorType::f32([inputs[0].shape[0]])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None, None]) };
        Ok(vec![Some(g.push1(CrossEntropyBackward, &[at.inputs[0], at.inputs[1], grad])?), None])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(signature)
    }
}

impl Op for CrossEntropyBackward {
    fn name(&self) -> &'static str {
        "cross_entropy_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32, DType::F32])?;
        expect_labelled(self.name(), &inputs[0], &inputs[1])?;
        expect_same(self.name(), &inputs[1].shape, &inputs[2].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward(signature)
    }
}
