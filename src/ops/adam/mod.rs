//! One step of Adam (Kingma & Ba 2015), updating parameter and moments in place.
//!
//! g ← grad + weight_decay · p;  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;
//! p ← p − (lr / (1 − β₁ᵗ)) · m / (√v / √(1 − β₂ᵗ) + ε), the order PyTorch uses; then p is cut to a range if there is one.
//! The two factors that change with the step t are fed: `rates` = `[lr / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ)]`.

mod cpu;
mod gpu;

pub(super) use cpu::{Constants, cut, moved, step as stepped};

use crate::error::Result;
use crate::graph::{Elementwise, Graph, Op, Signature, Value};
use crate::kernel::{GpuCall, GpuLimits, NativeCall};
use crate::ops::elementwise::{Action, Lowering, Made, Steps, describe};
use crate::ops::support::{expect_same, expect_types};
use crate::shape::{DType, TensorType};

/// Constants of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSpec {
    /// Decay of the first moment. In f64, because 1 − β of a β rounded to f32 is off by up to 1e-5 of itself.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub epsilon: f32,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f32,
}

impl Default for AdamSpec {
    fn default() -> Self {
        AdamSpec { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamSpec {
    /// The fed factors at step `t`, counted from 1, for learning rate `lr`.
    pub fn rates(&self, lr: f64, t: u64) -> [f32; 2] {
        let t = t as f64;
        let corrected1 = 1.0 - self.beta1.powf(t);
        let corrected2 = 1.0 - self.beta2.powf(t);
        [(lr / corrected1) as f32, (1.0 / corrected2.sqrt()) as f32]
    }

    /// The factors that make the step RAdam's (Liu et al. 2020, as PyTorch has it): lr · r · √(1 − β₂ᵗ) / (1 − β₁ᵗ) and 1 once
    /// the length ρ of the averaged past exceeds 5; before that the second moment does not count.
    pub fn rectified_rates(&self, lr: f64, t: u64) -> [f32; 2] {
        let t = t as f64;
        let (power2, corrected1) = (self.beta2.powf(t), 1.0 - self.beta1.powf(t));
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let length = longest - 2.0 * t * power2 / (1.0 - power2);
        if length <= 5.0 {
            // With the second factor 0 the kernel divides by ε alone.
            return [(lr / corrected1 * f64::from(self.epsilon)) as f32, 0.0];
        }
        let grown = (length - 4.0) * (length - 2.0) * longest;
        let rectified = (grown / ((longest - 4.0) * (longest - 2.0) * length)).sqrt();
        [(lr * rectified * (1.0 - power2).sqrt() / corrected1) as f32, 1.0]
    }

    /// β₁, β₂ as kernels take them.
    fn kept(&self) -> [f32; 2] {
        [self.beta1 as f32, self.beta2 as f32]
    }

    /// 1 − β₁, 1 − β₂, each rounded once.
    fn added(&self) -> [f32; 2] {
        [(1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32]
    }
}

#[derive(Debug)]
pub(super) struct Adam {
    spec: AdamSpec,
    /// The new parameter is cut to this range.
    range: Option<[f32; 2]>,
}

/// Steps the state `p` with its moments `m`, `v` (states of the same shape) along `grad`, and declares the updates.
/// `rates` is f32 `[2]`, see [`AdamSpec::rates`].
pub fn adam(graph: &mut Graph, spec: AdamSpec, states: [Value; 3], grad: Value, rates: Value) -> Result<()> {
    step(graph, Adam { spec, range: None }, states, grad, rates)
}

/// [`adam`] with the new parameter cut to `range` = (least, greatest): a projected step.
pub fn adam_within(
    graph: &mut Graph,
    spec: AdamSpec,
    range: [f32; 2],
    states: [Value; 3],
    grad: Value,
    rates: Value,
) -> Result<()> {
    step(graph, Adam { spec, range: Some(range) }, states, grad, rates)
}

fn step(graph: &mut Graph, op: Adam, [p, m, v]: [Value; 3], grad: Value, rates: Value) -> Result<()> {
    let new = graph.push(op, &[p, m, v, grad, rates])?;
    for (state, new) in [p, m, v].into_iter().zip(new) {
        graph.update(state, new);
    }
    Ok(())
}

impl Adam {
    /// The range, f32's own where there is none.
    fn ends(&self) -> [f32; 2] {
        self.range.unwrap_or([f32::MIN, f32::MAX])
    }
}

impl Op for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        expect_types(self.name(), inputs, &[DType::F32; 5])?;
        for input in &inputs[1..4] {
            expect_same(self.name(), &inputs[0].shape, &input.shape)?;
        }
        expect_same(self.name(), &[2].into(), &inputs[4].shape)?;
        Ok(inputs[..3].to_vec())
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0), (1, 1), (2, 2)]
    }

    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        describe(signature.outputs[0].elements(), vec![true, true, true, true, false], false)
    }

    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, signature, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        cpu::call(self)
    }
}

impl Steps for Adam {
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made> {
        let [p, m, v, grad] = [0, 1, 2, 3].map(|i| at.each(i));
        let [rate, root] = [at.one(4, 0), at.one(4, 1)];
        let ([kept1, kept2], [added1, added2]) = (self.spec.kept(), self.spec.added());
        let decayed = at.step(Action::AddScaled { factor: self.spec.weight_decay }, &[grad, p]);
        let m = at.step(Action::Mix { kept: kept1, added: added1 }, &[m, decayed]);
        let v = at.step(Action::MixSquare { kept: kept2, added: added2 }, &[v, decayed]);
        let mut p = at.step(Action::AdamStep { epsilon: self.spec.epsilon }, &[p, m, v, rate, root]);
        if let Some([least, greatest]) = self.range {
            p = at.step(Action::Cut { least, greatest }, &[p]);
        }
        [p, m, v].map(Made::Each).into()
    }
}
