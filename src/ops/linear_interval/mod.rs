//! A linear layer applied to a box, center and radius in one pass over the weights, and its gradients.
//!
//! y_center = center · wᵀ + b, y_radius = radius · |w|ᵀ. Shapes and gradients as in [`super::linear()`], with
//! d/dw = g_cᵀ · center + sign(w) · (g_rᵀ · radius), sign(0) = 0.
//! The box is sound in real arithmetic; f32 rounding is not directed outward.

mod cpu;
mod gpu;

use std::sync::Arc;

use super::conv2d::bias_gradient;
use super::conv2d_interval::box_gradients;
use super::linear::Extents;
use super::relu_interval::{is_relu, is_slope};
use crate::error::Result;
use crate::graph::{Backward, Cost, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Forward, and with `relu` the ReLU of what it makes. Inputs center, radius, w and, if `bias`, b; outputs center, radius.
#[derive(Debug, Clone)]
pub(crate) struct LinearInterval {
    pub(crate) bias: bool,
    pub(crate) relu: bool,
}

/// Gradient with respect to the box, and with `relu` with respect to what a ReLU made it from. Inputs g_c, g_r, w and, if `relu`, center and
/// radius of the box; outputs d/d center, d/d radius.
#[derive(Debug, Clone)]
pub(crate) struct LinearIntervalBackwardInput {
    pub(crate) relu: bool,
}

/// Gradient with respect to w. Inputs center, radius, g_c, g_r, w.
#[derive(Debug, Clone)]
pub(crate) struct LinearIntervalBackwardWeight;

/// Image of the box (center, radius) `[N,F]` under a linear layer w `[G,F]`, b `[G]` → (center, radius) `[N,G]`.
pub fn linear_interval(
    graph: &mut Graph,
    (center, radius): (Value, Value),
    w: Value,
    b: Option<Value>,
) -> Result<(Value, Value)> {
    let inputs: Vec<Value> = [center, radius, w].into_iter().chain(b).collect();
    let outputs = graph.push(LinearInterval { bias: b.is_some(), relu: false }, &inputs)?;
    Ok((outputs[0], outputs[1]))
}

impl LinearInterval {
    pub(crate) fn extents(&self, inputs: &[TensorType]) -> Result<Extents> {
        Extents::of("linear_interval_forward", &inputs[0], &inputs[2])
    }
}

impl Op for LinearInterval {
    fn name(&self) -> &'static str {
        "linear_interval_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 4][..3 + self.bias as usize])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        let e = self.extents(inputs)?;
        if self.bias {
            expect_same(self.name(), &[e.outputs].into(), &inputs[3].shape)?;
        }
        Ok(vec![TensorType::f32([e.batch, e.outputs]); 2])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        debug_assert!(!self.relu, "fusion comes after differentiation");
        let mut grads = vec![None; at.inputs.len()];
        let Some((grad_center, grad_radius)) = box_gradients(g, at)? else { return Ok(grads) };
        let (center, radius, w) = (at.inputs[0], at.inputs[1], at.inputs[2]);
        if at.needs[0] || at.needs[1] {
            let of_box = g.push(LinearIntervalBackwardInput { relu: false }, &[grad_center, grad_radius, w])?;
            (grads[0], grads[1]) = (Some(of_box[0]), Some(of_box[1]));
        }
        if at.needs[2] {
            let operands = [center, radius, grad_center, grad_radius, w];
            grads[2] = Some(g.push1(LinearIntervalBackwardWeight, &operands)?);
        }
        if self.bias && at.needs[3] {
            grads[3] = Some(bias_gradient(g, grad_center)?);
        }
        Ok(grads)
    }

    fn cost(&self, signature: &Signature) -> Cost {
        self.extents(&signature.inputs).expect("checked by infer").cost(2, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && is_relu(consumer);
        relu.then(|| Arc::new(LinearInterval { relu, ..self.clone() }) as Arc<dyn Op>)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::forward(self, signature)
    }
}

impl LinearIntervalBackwardInput {
    pub(crate) fn extents(&self, inputs: &[TensorType]) -> Result<Extents> {
        Extents::of_gradient("linear_interval_backward_input", &inputs[0], &inputs[2])
    }
}

impl Op for LinearIntervalBackwardInput {
    fn name(&self) -> &'static str {
        "linear_interval_backward_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 5][..3 + 2 * self.relu as usize])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        let e = self.extents(inputs)?;
        for behind in &inputs[3..] {
            expect_same(self.name(), &[e.batch, e.inputs].into(), &behind.shape)?;
        }
        Ok(vec![TensorType::f32([e.batch, e.inputs]); 2])
    }

    fn cost(&self, signature: &Signature) -> Cost {
        self.extents(&signature.inputs).expect("checked by infer").cost(2, signature)
    }

    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let relu = !self.relu && is_slope(consumer);
        relu.then(|| Arc::new(LinearIntervalBackwardInput { relu }) as Arc<dyn Op>)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_input(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_input(self, signature)
    }
}

impl LinearIntervalBackwardWeight {
    pub(crate) fn extents(&self, inputs: &[TensorType]) -> Result<Extents> {
        Extents::of("linear_interval_backward_weight", &inputs[0], &inputs[4])
    }
}

impl Op for LinearIntervalBackwardWeight {
    fn name(&self) -> &'static str {
        "linear_interval_backward_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 5])?;
        let e = self.extents(inputs)?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        expect_same(self.name(), &[e.batch, e.outputs].into(), &inputs[2].shape)?;
        expect_same(self.name(), &[e.batch, e.outputs].into(), &inputs[3].shape)?;
        Ok(vec![inputs[4].clone()])
    }

    fn cost(&self, signature: &Signature) -> Cost {
        self.extents(&signature.inputs).expect("checked by infer").cost(2, signature)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward_weight(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::backward_weight(self, signature)
    }
}
