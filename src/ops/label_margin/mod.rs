//! Differences to the label's entry: `y[n,k]` = `z[n,k]` − `z[n,label]`, so that `y[n,label]` = 0. Linear in z.
//!
//! Shapes: z `[N,K]`, labels u32 `[N]` → `[N,K]`. Gradient: grad_z = grad_y, except `grad_z[n,label]` = `grad_y[n,label]` − Σ_k `grad_y[n,k]`.

mod cpu;
mod gpu;

use super::cross_entropy::expect_labelled;
use crate::error::Result;
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::expect_types;
use crate::shape::{DType, TensorType};

/// Forward, or with `transposed` the adjoint map, which is its gradient. Inputs z (or grad_y), labels.
#[derive(Debug)]
struct LabelMargin {
    transposed: bool,
}

/// z `[N,K]`, labels u32 `[N]` (below K) → z − z at the label.
pub fn label_margin(graph: &mut Graph, z: Value, labels: Value) -> Result<Value> {
    graph.push1(LabelMargin { transposed: false }, &[z, labels])
}

impl Op for LabelMargin {
    fn name(&self) -> &'static str {
        if self.transposed { "label_margin_backward" } else { "label_margin_forward" }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32])?;
        expect_labelled(self.name(), &inputs[0], &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None, None]) };
        let adjoint = LabelMargin { transposed: !self.transposed };
        Ok(vec![Some(g.push1(adjoint, &[grad, at.inputs[1]])?), None])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(self, signature)
    }
}
