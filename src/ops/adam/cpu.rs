//! Native kernel of Adam.

use rayon::prelude::*;

use super::Adam;
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn call(op: &Adam) -> Result<NativeCall> {
    let (spec, range) = (op.spec, op.range);
    let constants =
        Constants { decay: spec.weight_decay, kept: spec.kept(), added: spec.added(), epsilon: spec.epsilon, range };
    Ok(NativeCall::new("adam", move |args| {
        let (grad, rates) = (args.input(3), args.input(4));
        let (p, m, v) = (args.output(0), args.output(1), args.output(2));
        let states = (p.par_chunks_mut(CHUNK), m.par_chunks_mut(CHUNK), v.par_chunks_mut(CHUNK));
        (states.0, states.1, states.2, grad.par_chunks(CHUNK))
            .into_par_iter()
            .for_each(|(p, m, v, grad)| step(constants, [rates[0], rates[1]], p, m, v, grad));
    }))
}

/// Constants of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Constants {
    /// Of the parameter, added to the gradient.
    pub(crate) decay: f32,
    /// β₁, β₂.
    pub(crate) kept: [f32; 2],
    /// 1 − β₁, 1 − β₂.
    pub(crate) added: [f32; 2],
    pub(crate) epsilon: f32,
    /// What the new parameter is cut to.
    pub(crate) range: Option<[f32; 2]>,
}

vectorised! {
    /// One step with the rates of [`AdamSpec::rates`](super::AdamSpec::rates).
    pub(crate) fn step(constants: Constants, rates: [f32; 2], p: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32]) {
        #[inline(always)]
        fn each(
            constants: Constants,
            rates: [f32; 2],
            [p, m, v]: [&mut [f32]; 3],
            grad: &[f32],
            last: impl Fn(f32) -> f32,
        ) {
            let n = p.len();
            let (m, v, grad) = (&mut m[..n], &mut v[..n], &grad[..n]);
            let Constants { decay, kept, added, epsilon, .. } = constants;
            for i in 0..n {
                let g = grad[i] + decay * p[i];
                m[i] = kept[0] * m[i] + added[0] * g;
                v[i] = kept[1] * v[i] + added[1] * (g * g);
                p[i] = last(p[i] - rates[0] * m[i] / (v[i].sqrt() * rates[1] + epsilon));
            }
        }
        match constants.range {
            Some([least, greatest]) => each(constants, rates, [p, m, v], grad, |p| within(least, greatest, p)),
            None => each(constants, rates, [p, m, v], grad, |p| p),
        }
    }
}

vectorised! {
    /// p − rate · m / (√v · root + epsilon).
    pub(crate) fn moved(epsilon: f32, rate: f32, root: f32, p: &[f32], m: &[f32], v: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (p, m, v) = (&p[..n], &m[..n], &v[..n]);
        for i in 0..n {
            y[i] = p[i] - rate * m[i] / (v[i].sqrt() * root + epsilon);
        }
    }
}

vectorised! {
    pub(crate) fn cut(least: f32, greatest: f32, p: &mut [f32]) {
        for p in p {
            *p = within(least, greatest, *p);
        }
    }
}

#[inline(always)]
fn within(least: f32, greatest: f32, p: f32) -> f32 {
    let raised = if p < least { least } else { p };
    if raised > greatest { greatest } else { raised }
}
