//! Radius of the margins of a last linear layer over a box: the part of last-layer elision that is not linear.
//!
//! `y[n,k]` = Σ_f |`w[label_n,f]` − `w[k,f]`| · `r[n,f]` (so `y[n,label]` = 0). The differences are taken before the absolute value,
//! which is what makes elided margins tighter than differences of separate bounds (Gowal et al. 2018, §3).
//! Shapes: radius r `[N,F]`, w `[K,F]`, labels u32 `[N]` → `[N,K]`.
//! Gradients: d/`dr[n,f]` = Σ_k `g[n,k]` |`w[label,f]` − `w[k,f]`|;
//! d/`dw[k,f]` = Σ_n `r[n,f]` · ( `[k = label_n]` Σ_j `g[n,j]` s(n,j,f) − `g[n,k]` s(n,k,f) ), s(n,k,f) = sign(`w[label_n,f]` − `w[k,f]`).

mod cpu;
mod gpu;

use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value, traffic};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Forward. Inputs r, w, labels.
#[derive(Debug)]
struct MarginRadius;

/// Gradient with respect to r. Inputs g `[N,K]`, w, labels; output `[N,F]`.
#[derive(Debug)]
struct MarginRadiusBackwardInput;

/// Gradient with respect to w. Inputs g `[N,K]`, r, w, labels; output `[K,F]`.
#[derive(Debug)]
struct MarginRadiusBackwardWeight;

/// r `[N,F]` ≥ 0, w `[K,F]`, labels u32 `[N]` (below K) → `[N,K]`.
pub fn margin_radius(graph: &mut Graph, r: Value, w: Value, labels: Value) -> Result<Value> {
    graph.push1(MarginRadius, &[r, w, labels])
}

/// Extents N, F, K.
#[derive(Clone, Copy, Debug)]
struct Extents {
    batch: usize,
    features: usize,
    classes: usize,
}

fn extents(op: &'static str, batch: usize, w: &TensorType, labels: &TensorType) -> Result<Extents> {
    if w.shape.rank() != 2 || w.elements() == 0 || batch == 0 {
        return Err(Error::shape(op, "w [K,F] and at least one sample", format!("{}, {batch}", w.shape)));
    }
    expect_same(op, &[batch].into(), &labels.shape)?;
    Ok(Extents { batch, features: w.shape[1], classes: w.shape[0] })
}

fn cost(signature: &Signature, e: Extents) -> Cost {
    Cost { flops: 3 * (e.batch * e.features * e.classes) as u64, bytes: traffic(signature) }
}

impl Op for MarginRadius {
    fn name(&self) -> &'static str {
        "margin_radius_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::U32])?;
        let e = extents(self.name(), inputs[0].shape[0], &inputs[1], &inputs[2])?;
        expect_same(self.name(), &[e.batch, e.features].into(), &inputs[0].shape)?;
        Ok(vec![TensorType::f32([e.batch, e.classes])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; 3];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        let (r, w, labels) = (at.inputs[0], at.inputs[1], at.inputs[2]);
        if at.needs[0] {
            grads[0] = Some(g.push1(MarginRadiusBackwardInput, &[grad, w, labels])?);
        }
        if at.needs[1] {
            grads[1] = Some(g.push1(MarginRadiusBackwardWeight, &[grad, r, w, labels])?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let s = &signature.inputs;
        cost(signature, Extents { batch: s[0].shape[0], features: s[1].shape[1], classes: s[1].shape[0] })
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(signature)
    }
}

impl Op for MarginRadiusBackwardInput {
    fn name(&self) -> &'static str {
        "margin_radius_backward_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::U32])?;
        let e = extents(self.name(), inputs[0].shape[0], &inputs[1], &inputs[2])?;
        expect_same(self.name(), &[e.batch, e.classes].into(), &inputs[0].shape)?;
        Ok(vec![TensorType::f32([e.batch, e.features])])
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let s = &signature.inputs;
        cost(signature, Extents { batch: s[0].shape[0], features: s[1].shape[1], classes: s[1].shape[0] })
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_input(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_input(signature)
    }
}

impl Op for MarginRadiusBackwardWeight {
    fn name(&self) -> &'static str {
        "margin_radius_backward_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::F32, DType::F32, DType::U32])?;
        let e = extents(self.name(), inputs[0].shape[0], &inputs[2], &inputs[3])?;
        expect_same(self.name(), &[e.batch, e.classes].into(), &inputs[0].shape)?;
        expect_same(self.name(), &[e.batch, e.features].into(), &inputs[1].shape)?;
        Ok(vec![inputs[2].clone()])
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let s = &signature.inputs;
        cost(signature, Extents { batch: s[0].shape[0], features: s[2].shape[1], classes: s[2].shape[0] })
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_weight(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_weight(signature)
    }
}
