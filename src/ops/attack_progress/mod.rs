//! What the logits of an attack's iterate say of each sample, in one pass over them: the gradient that the next step takes, whether the
//! sample is misclassified, and whether the iterate is better than those before it.
//!
//! With loss the cross-entropy of logits z `[N,K]` against labels u32 `[N]`, and a sample wrong where the first greatest logit is not its label's,
//! the state `[2,N]` = (found, highest loss) becomes (found or wrong, max(highest loss, loss)); the iterate is chosen where found or
//! wrong or loss > highest loss: a later adversarial example replaces an earlier one (the authors' rule). Flags are 1 or 0. Before the
//! first iterate nothing is found and any loss is higher. No gradient flows.

mod cpu;
mod gpu;

use super::cross_entropy::expect_labelled;
use crate::error::Result;
use crate::graph::{Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, Shape, TensorType};

/// Samples that share a flag of [`AttackProgress::done`].
const SAMPLES: usize = 64;

/// An iterate that a step follows.
#[derive(Clone, Copy, Debug)]
pub struct AttackProgress {
    /// Gradient of each sample's cross-entropy with respect to the logits, `[N,K]`.
    pub gradient: Value,
    /// For the next iterate, `[2,N]`.
    pub state: Value,
    /// 1 where the iterate is the best so far, `[N]`.
    pub chosen: Value,
    /// 1 where all of 64 samples in a row are found, `[⌈N/64⌉]`: the attack is over where all are 1.
    pub done: Value,
}

/// Inputs logits, labels and, unless `first`, state; outputs as in [`AttackProgress`].
#[derive(Debug)]
struct Progress {
    first: bool,
}

/// Inputs logits, labels, state; outputs found, highest loss.
#[derive(Debug)]
struct Outcome;

/// The iterate whose logits are `logits`, after those that led to `state`; `None` for the first.
pub fn attack_progress(
    graph: &mut Graph,
    logits: Value,
    labels: Value,
    state: Option<Value>,
) -> Result<AttackProgress> {
    let mut inputs = vec![logits, labels];
    inputs.extend(state);
    let made = graph.push(Progress { first: state.is_none() }, &inputs)?;
    Ok(AttackProgress { gradient: made[0], state: made[1], chosen: made[2], done: made[3] })
}

/// Which samples an attack has found that ends at the iterate with these logits, and the highest loss of those before it; both `[N]`.
pub fn attack_outcome(graph: &mut Graph, logits: Value, labels: Value, state: Value) -> Result<(Value, Value)> {
    let made = graph.push(Outcome, &[logits, labels, state])?;
    Ok((made[0], made[1]))
}

/// The shape of a state for such logits.
fn state(logits: &Shape) -> Shape {
    [2, logits[0]].into()
}

impl Op for Progress {
    fn name(&self) -> &'static str {
        "attack_progress"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let types = [DType::F32, DType::U32, DType::F32];
        expect_types(self.name(), inputs, &types[..3 - usize::from(self.first)])?;
        expect_labelled(self.name(), &inputs[0], &inputs[1])?;
        let state = state(&inputs[0].shape);
        if let Some(before) = inputs.get(2) {
            expect_same(self.name(), &state, &before.shape)?;
        }
        let samples = state[1];
        Ok(vec![
            inputs[0].clone(),
            TensorType::f32(state),
            TensorType::f32([samples]),
            TensorType::f32([samples.div_ceil(SAMPLES)]),
        ])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::progress(self, signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::progress(self, signature)
    }
}

impl Op for Outcome {
    fn name(&self) -> &'static str {
        "attack_outcome"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32, DType::U32, DType::F32])?;
        expect_labelled(self.name(), &inputs[0], &inputs[1])?;
        expect_same(self.name(), &state(&inputs[0].shape), &inputs[2].shape)?;
        let samples = TensorType::f32(inputs[1].shape.clone());
        Ok(vec![samples.clone(), samples])
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::outcome(signature, limits)
    }

    fn cpu(&self, signature: &Signature) -> Result<NativeCall> {
        cpu::outcome(signature)
    }
}
