//! Choice between two values by a condition.

mod cpu;
mod gpu;

use crate::error::Result;
use crate::graph::{Backward, Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::{Spread, expect_same, expect_types};
use crate::ops::{affine, mul};
use crate::shape::{DType, TensorType};

#[derive(Debug)]
pub(super) struct Select;

/// a where cond > 0, else b. a and b have one shape; cond may be spread over it (`[N,1,1,1]` for one choice per sample).
/// No gradient flows to cond.
pub fn select(graph: &mut Graph, cond: Value, a: Value, b: Value) -> Result<Value> {
    graph.push1(Select, &[cond, a, b])
}

/// Spread of the condition over the output.
fn spread(signature: &Signature) -> Result<Spread> {
    Spread::over("select", &signature.inputs[0].shape, &signature.outputs[0].shape)
}

impl Op for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3])?;
        expect_same(self.name(), &inputs[1].shape, &inputs[2].shape)?;
        Spread::over(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(vec![inputs[1].clone()])
    }

    fn gradient(&self, g: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let mut grads = vec![None; 3];
        let Some(grad) = at.grads[0] else { return Ok(grads) };
        let chosen = super::positive(g, at.inputs[0])?;
        if at.needs[1] {
            grads[1] = Some(mul(g, grad, chosen)?);
        }
        if at.needs[2] {
            let other = affine(g, chosen, -1.0, 1.0)?;
            grads[2] = Some(mul(g, grad, other)?);
        }
        Ok(grads)
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        let elements = signature.outputs[0].elements();
        let cond = spread(signature).ok()?;
        describe(elements, vec![cond.is_full(elements), true, true], true)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::call(signature)
    }
}

impl Steps for Select {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let cond = spread(at.signature).expect("the shapes fitted when the op was made");
        let args = [at.spread(0, cond, 0), at.each(1), at.each(2)];
        vec![Made::Each(at.step(Action::Select, &args))]
    }
}
