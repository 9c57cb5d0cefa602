//! Native kernel of the elementwise functions of two values.

use rayon::prelude::*;

use super::{Binary, BinaryKind, spreads};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};
use crate::ops::support::Spread;

pub(super) fn call(op: &Binary, signature: &Signature) -> Result<NativeCall> {
    let kind = op.kind;
    let (spread_a, spread_b) = spreads(signature)?;
    let elements = signature.outputs[0].elements();
    Ok(NativeCall::new("binary", move |args| {
        let (a, b, y) = (args.input(0), args.input(1), args.output(0));
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            // Within a run both operands are either one to one with the output or constant.
            let mut done = 0;
            while done < y.len() {
                let at = chunk * CHUNK + done;
                let run = run_length(spread_a, at, elements).min(run_length(spread_b, at, elements)).min(y.len() - done);
                let (a, b) = (operand(a, spread_a, at, run, elements), operand(b, spread_b, at, run, elements));
                apply(kind, a, b, &mut y[done..done + run]);
                done += run;
            }
        });
    }))
}

/// Output elements from `at` on over which the operand is contiguous or constant.
fn run_length(spread: Spread, at: usize, elements: usize) -> usize {
    if spread.is_full(elements) || spread.len == 1 {
        elements - at
    } else if spread.inner == 1 {
        spread.len - at % spread.len
    } else {
        spread.inner - at % spread.inner
    }
}

/// The operand's part for a run: as long as the run, or one element that stands for all of it.
fn operand(data: &[f32], spread: Spread, at: usize, run: usize, elements: usize) -> &[f32] {
    let first = (at / spread.inner) % spread.len;
    let constant = spread.len == 1 && elements > 1 || spread.inner > 1;
    &data[first..first + if constant { 1 } else { run }]
}

vectorised! {
    /// `kind` of every element; an operand of another length than y has one element that stands for all.
    pub(crate) fn apply(kind: BinaryKind, a: &[f32], b: &[f32], y: &mut [f32]) {
        #[inline(always)]
        fn map(a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
            match (a.len() == y.len(), b.len() == y.len()) {
                (true, true) => {
                    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                        *y = f(a, b);
                    }
                }
                (true, false) => {
                    let b = b[0];
                    for (y, &a) in y.iter_mut().zip(a) {
                        *y = f(a, b);
                    }
                }
                (false, true) => {
                    let a = a[0];
                    for (y, &b) in y.iter_mut().zip(b) {
                        *y = f(a, b);
                    }
                }
                (false, false) => y.fill(f(a[0], b[0])),
            }
        }
        match kind {
            BinaryKind::Add => map(a, b, y, |a, b| a + b),
            BinaryKind::Sub => map(a, b, y, |a, b| a - b),
            BinaryKind::Mul => map(a, b, y, |a, b| a * b),
            BinaryKind::Div => map(a, b, y, |a, b| a / b),
            BinaryKind::Min => map(a, b, y, |a, b| if b < a { b } else { a }),
            BinaryKind::Max => map(a, b, y, |a, b| if b > a { b } else { a }),
            BinaryKind::Greater => map(a, b, y, |a, b| (a > b) as u32 as f32),
            BinaryKind::Mask => map(a, b, y, |a, b| if b > 0.0 { a } else { 0.0 }),
        }
    }
}
