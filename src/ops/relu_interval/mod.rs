//! ReLU of a box (center m, radius r), and its gradient.
//!
//! l = m − r, u = m + r; l' = max(l, 0), u' = max(u, 0); m' = (u' + l')/2, r' = (u' − l')/2.
//! With upstream gradients (g_m, g_r): G_u = (g_m + g_r)/2 where u > 0, else 0; G_l = (g_m − g_r)/2 where l > 0, else 0;
//! d/dm = G_u + G_l, d/dr = G_u − G_l. The slope at 0 is 0.

mod cpu;
mod gpu;

use super::conv2d_interval::box_gradients;
use crate::error::Result;
use crate::graph::{Backward, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Forward. Inputs m, r; outputs m', r'.
#[derive(Debug)]
struct ReluInterval;

/// Gradient. Inputs m, r (before the ReLU), g_m, g_r; outputs d/dm, d/dr.
#[derive(Debug)]
struct ReluIntervalBackward;

/// ReLU of the box (center, radius), of any shape.
pub fn relu_interval(graph: &mut Graph, (center, radius): (Value, Value)) -> Result<(Value, Value)> {
    let outputs = graph.push(ReluInterval, &[center, radius])?;
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
        let Some((grad_center, grad_radius)) = box_gradients(g, at)? else { return Ok(vec![None, None]) };
        let grads = g.push(ReluIntervalBackward, &[at.inputs[0], at.inputs[1], grad_center, grad_radius])?;
        Ok(vec![Some(grads[0]), Some(grads[1])])
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

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::backward(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::backward()
    }
}
