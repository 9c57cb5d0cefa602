//! Copies a value, or those of its elements that are chosen, into a state, in place.

mod cpu;
mod gpu;

use std::sync::Arc;

use crate::error::Result;
use crate::graph::{Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::{Spread, expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Inputs state, value.
#[derive(Debug)]
pub(super) struct Assign;

/// state := value (one shape), and declares the update.
pub fn assign(graph: &mut Graph, state: Value, value: Value) -> Result<()> {
    let new = graph.push1(Assign, &[state, value])?;
    graph.update(state, new);
    Ok(())
}

impl Op for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 2])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[1].shape)?;
        Ok(vec![inputs[0].clone()])
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![true; 2], false)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call()
    }
}

impl Steps for Assign {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        vec![Made::Each(at.each(1))]
    }
}

/// Inputs state, condition, value.
#[derive(Debug)]
pub(super) struct AssignWhere;

/// state := value (one shape) where cond > 0, which may be spread over it (`[N,1,1,1]` for one choice per sample), and declares the update.
pub fn assign_where(graph: &mut Graph, state: Value, cond: Value, value: Value) -> Result<()> {
    let new = graph.push1(AssignWhere, &[state, cond, value])?;
    graph.update(state, new);
    Ok(())
}

impl AssignWhere {
    /// Spread of the condition over the state.
    fn spread(&self, state: &TensorType, cond: &TensorType) -> Result<Spread> {
        Spread::over(self.name(), &cond.shape, &state.shape)
    }

    fn pass(&self, signature: &Signature) -> Arc<dyn Op> {
        let description = self.elementwise(signature).expect("the shapes fitted when the op was made");
        description.alone(Arc::new(AssignWhere), signature)
    }
}

impl Op for AssignWhere {
    fn name(&self) -> &'static str {
        "assign_where"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 3])?;
        expect_same(self.name(), &inputs[0].shape, &inputs[2].shape)?;
        self.spread(&inputs[0], &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        let elements = signature.outputs[0].elements();
        let cond = self.spread(&signature.inputs[0], &signature.inputs[1]).ok()?;
        describe(elements, vec![true, cond.is_full(elements), true], false)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        self.pass(signature).gpu(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        self.pass(signature).cpu(signature)
    }
}

impl Steps for AssignWhere {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let [state, cond] = [0, 1].map(|i| &at.signature.inputs[i]);
        let cond = self.spread(state, cond).expect("the shapes fitted when the op was made");
        let args = [at.spread(1, cond, 0), at.each(2), at.each(0)];
        vec![Made::Each(at.step(Action::Select, &args))]
    }
}
