//! ReLU of a box (center m, radius r), and its gradient.
//!
//! l = m − r, u = m + r; l' = max(l, 0), u' = max(u, 0); m' = (u' + l')/2, r' = (u' − l')/2.
//! With upstream gradients (g_m, g_r): G_u = (g_m + g_r)/2 where u > 0, else 0; G_l = (g_m − g_r)/2 where l > 0, else 0;
//! d/dm = G_u + G_l, d/dr = G_u − G_l. The slope at 0 is 0. Which of u and l are positive is read from the box behind the ReLU, where
//! u' = m' + r' and l' = m' − r', so that what was before it need not be kept: an l > 0 that is lost in the rounding of m' and r', less than
//! their last bit, counts as 0, which it is for all that follows.

mod cpu;
mod gpu;

pub(super) use cpu::{apply, center, radius, slope, slope_center, slope_radius};
pub(super) use gpu::{Then, made_then};

use std::any::Any;

use super::conv2d_interval::box_gradients;
use crate::error::Result;
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Forward. Inputs m, r; outputs m', r'.
#[derive(Debug)]
pub(super) struct ReluInterval;

/// Gradient. Inputs g_m, g_r, m', r' (behind the ReLU); outputs d/dm, d/dr.
#[derive(Debug)]
pub(super) struct ReluIntervalBackward;

/// Whether `op` is the ReLU of a box, which kernels can do on the way out.
pub(super) fn is_relu(op: &dyn Op) -> bool {
    (op as &dyn Any).is::<ReluInterval>()
}

/// The same for its gradient.
pub(super) fn is_slope(op: &dyn Op) -> bool {
    (op as &dyn Any).is::<ReluIntervalBackward>()
}

/// ReLU of the box (center, radius), of any shape.
pub fn relu_interval(graph: &mut Graph, (center, radius): (Value, Value)) -> Result<(Value, Value)> {
    let outputs = graph.push(ReluInterval, &[center, radius])?;
    Ok((outputs[0], outputs[1]))
}

/// Gradients for (center, radius) before the ReLU, from those behind it and from the box there.
pub fn relu_interval_backward(
    graph: &mut Graph,
    (grad_center, grad_radius): (Value, Value),
    behind: (Value, Value),
) -> Result<(Value, Value)> {
    let outputs = graph.push(ReluIntervalBackward, &[grad_center, grad_radius, behind.0, behind.1])?;
    Ok((outputs[0], outputs[1]))
}

impl Op for ReluInterval {
    fn name(&self) -> &'static str {
        "relu_interval_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(inputs.to_vec())
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grads) = box_gradients(g, at)? else { return Ok(vec![None, None]) };
        let (center, radius) = relu_interval_backward(g, grads, (at.outputs[0], at.outputs[1]))?;
        Ok(vec![Some(center), Some(radius)])
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![true; 2], false)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::forward(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::forward()
    }
}

impl Op for ReluIntervalBackward {
    fn name(&self) -> &'static str {
        "relu_interval_backward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 4])?;
        for input in &inputs[1..] {
            expect_same(self.name(), &inputs[0].shape, &input.shape)?;
        }
        Ok(vec![inputs[0].clone(); 2])
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![true; 4], false)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::backward()
    }
}

impl Steps for ReluInterval {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let args = [at.each(0), at.each(1)];
        [Action::ReluCenter, Action::ReluRadius].map(|action| Made::Each(at.step(action, &args))).into()
    }
}

impl Steps for ReluIntervalBackward {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let args = [2, 3, 0, 1].map(|i| at.each(i));
        [Action::SlopeCenter, Action::SlopeRadius].map(|action| Made::Each(at.step(action, &args))).into()
    }
}
