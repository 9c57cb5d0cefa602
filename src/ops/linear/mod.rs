//! Matrix product with a weight, and its gradients.
//!
//! `y[n,g]` = `b[g]` + Σ_f `w[g,f]` · `x[n,f]`. Shapes: x `[N,F]`, w `[G,F]`, b `[G]` → y `[N,G]`.
//! Gradients: grad_x = grad_y · w, grad_w = grad_yᵀ · x, grad_b = Σ_n grad_y.
//! Numerics: f32; one output is a sum of F products (forward), G (input), N (weight).

mod cpu;
mod gpu;
mod product;

pub(super) use cpu::by_weights;

use std::any::Any;
use std::sync::Arc;

pub(crate) use product::{Epilogue, Product};

use crate::error::{Error, Result};
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value, traffic};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::ops::{Relu, is_mask};
use crate::shape::{DType, TensorType};

/// Forward. Inputs x, w and, if `bias`, b. With `relu` the output is max(y, 0).
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) bias: bool,
    pub(crate) relu: bool,
}

/// Gradient with respect to x. Inputs grad_y, w and, if `masked`, m `[N,F]`: the result is 0 where m ≤ 0.
#[derive(Debug, Clone)]
pub(crate) struct LinearBackwardInput {
    pub(crate) masked: bool,
}

/// Gradient with respect to w. Inputs x, grad_y.
#[derive(Debug, Clone)]
pub(crate) struct LinearBackwardWeight;

/// x `[N,F]` times w `[G,F]` transposed, plus b `[G]` if given → `[N,G]`.
pub fn linear(graph: &mut Graph, x: Value, w: Value, b: Option<Value>) -> Result<Value> {
    let inputs: Vec<Value> = [x, w].into_iter().chain(b).collect();
    graph.push1(Linear { bias: b.is_some(), relu: false }, &inputs)
}

/// grad_y `[N,G]`, w `[G,F]` → grad_x `[N,F]`.
pub fn linear_backward_input(graph: &mut Graph, grad_y: Value, w: Value) -> Result<Value> {
    graph.push1(LinearBackwardInput { masked: false }, &[grad_y, w])
}

/// x `[N,F]`, grad_y `[N,G]` → grad_w `[G,F]`.
pub fn linear_backward_weight(graph: &mut Graph, x: Value, grad_y: Value) -> Result<Value> {
    graph.push1(LinearBackwardWeight, &[x, grad_y])
}

/// Extents N, F, G of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) batch: usize,
    /// F.
    pub(crate) inputs: usize,
    /// G.
    pub(crate) outputs: usize,
}

impl Extents {
    /// From x `[N,F]` and w `[G,F]`.
    pub(crate) fn of(op: &'static str, x: &TensorType, w: &TensorType) -> Result<Extents> {
        let (x, w) = (&x.shape, &w.shape);
        if x.rank() != 2 || w.rank() != 2 || x[1] != w[1] || x.elements() == 0 || w.elements() == 0 {
            return Err(Error::shape(op, "x [N,F], w [G,F]", format!("{x}, {w}")));
        }
        Ok(Extents { batch: x[0], inputs: x[1], outputs: w[0] })
    }

    /// From grad_y `[N,G]` and w `[G,F]`.
    pub(crate) fn of_gradient(op: &'static str, grad_y: &TensorType, w: &TensorType) -> Result<Extents> {
        let (y, w) = (&grad_y.shape, &w.shape);
        if y.rank() != 2 || w.rank() != 2 || y[1] != w[0] || y.elements() == 0 || w.elements() == 0 {
            return Err(Error::shape(op, "grad_y [N,G], w [G,F]", format!("{y}, {w}")));
        }
        Ok(Extents { batch: y[0], inputs: w[1], outputs: w[0] })
    }

    /// Cost of `times` products over these extents.
    pub(crate) fn cost(&self, times: u64, signature: &Signature) -> Cost {
        Cost { flops: 2 * times * (self.batch * self.inputs * self.outputs) as u64, bytes: traffic(signature) }
    }
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3][..2 + self.bias as usize])?;
        let e = Extents::of(self.name(), &inputs[0], &inputs[1])?;
        if self.bias {
            expect_same(self.name(), &[e.outputs].into(), &inputs[2].shape)?;
        }
        Ok(vec![TensorType::f32([e.batch, e.outputs])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; at.inputs.len()];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        if at.needs[0] {
            grads[0] = Some(linear_backward_input(g, grad, at.inputs[1])?);
        }
        if at.needs[1] {
            grads[1] = Some(linear_backward_weight(g, at.inputs[0], grad)?);
        }
        if self.bias && at.needs[2] {
            grads[2] = Some(super::conv2d::bias_gradient(g, grad)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let extents = Extents::of(self.name(), &signature.inputs[0], &signature.inputs[1]);
        extents.expect("checked by infer").cost(1, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && (consumer as &dyn Any).is::<Relu>();
        relu.then(|| Arc::new(Linear { relu: true, ..self.clone() }) as Arc<dyn Op>)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(self, signature)
    }
}

impl Op for LinearBackwardInput {
    fn name(&self) -> &'static str {
        "linear_backward_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3][..2 + self.masked as usize])?;
        let e = Extents::of_gradient(self.name(), &inputs[0], &inputs[1])?;
        if self.masked {
            expect_same(self.name(), &[e.batch, e.inputs].into(), &inputs[2].shape)?;
        }
        Ok(vec![TensorType::f32([e.batch, e.inputs])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; at.inputs.len()];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        if at.needs[0] {
            grads[0] = Some(linear(g, grad, at.inputs[1], None)?);
        }
        if at.needs[1] {
            grads[1] = Some(linear_backward_weight(g, grad, at.inputs[0])?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        let extents = Extents::of_gradient(self.name(), &signature.inputs[0], &signature.inputs[1]);
        extents.expect("checked by infer").cost(1, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let mask = !self.masked && is_mask(consumer);
        mask.then(|| Arc::new(LinearBackwardInput { masked: true }) as Arc<dyn Op>)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_input(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_input(self, signature)
    }
}

impl LinearBackwardWeight {
    pub(crate) fn extents(&self, inputs: &[TensorType]) -> Result<Extents> {
        let (x, y) = (&inputs[0].shape, &inputs[1].shape);
        if x.rank() != 2 || y.rank() != 2 || x[0] != y[0] || x.elements() == 0 || y.elements() == 0 {
            return Err(Error::shape(self.name(), "x [N,F], grad_y [N,G]", format!("{x}, {y}")));
        }
        Ok(Extents { batch: x[0], inputs: x[1], outputs: y[1] })
    }
}

impl Op for LinearBackwardWeight {
    fn name(&self) -> &'static str {
        "linear_backward_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        let e = self.extents(inputs)?;
        Ok(vec![TensorType::f32([e.outputs, e.inputs])])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; 2];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        if at.needs[0] {
            grads[0] = Some(linear_backward_input(g, at.inputs[1], grad)?);
        }
        if at.needs[1] {
            grads[1] = Some(linear(g, at.inputs[0], grad, None)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        self.extents(&signature.inputs).expect("checked by infer").cost(1, signature)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_weight(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_weight(self, signature)
    }
}
