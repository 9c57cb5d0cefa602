//! max(x, 0). The slope at 0 is 0.
//!
//! The gradient needs only the output: it is grad_y where y > 0, so the input's buffer is free after the forward pass.

mod cpu;
mod gpu;

pub(super) use cpu::forward;

use crate::error::Result;
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::mask;
use crate::ops::support::expect_types;
use crate::shape::{DType, TensorType};

/// Forward. Input x, output max(x, 0).
#[derive(Debug)]
pub(crate) struct Relu;

/// max(x, 0) of any shape.
pub fn relu(graph: &mut Graph, x: Value) -> Result<Value> {
    graph.push1(Relu, &[x])
}

impl Op for Relu {
    fn name(&self) -> &'static str {
        "relu_forward"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32])?;
        Ok(inputs.to_vec())
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let Some(grad) = at.grads[0].filter(|_| at.needs[0]) else { return Ok(vec![None]) };
        Ok(vec![Some(mask(g, grad, at.outputs[0])?)])
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![true], true)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call()
    }
}

impl Steps for Relu {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let x = at.each(0);
        vec![Made::Each(at.step(Action::Relu, &[x]))]
    }
}
