//! Native kernels of cross-entropy: rows are independent of each other.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::functions::{exp, ln};
use crate::ops::simd::vectorised;

/// Logits that one task handles, each of which takes an exponential.
const TASK: usize = 512;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let (logits, classes) = (&signature.inputs[0], signature.inputs[0].shape[1]);
    let rows = TASK.div_ceil(classes);
    Ok(NativeCall::with_scratch("cross_entropy_forward", vec![logits.elements()], move |args| {
        let powers = args.scratch(0).par_chunks_mut(rows * classes);
        let inputs = (args.input(0).par_chunks(rows * classes), args.input_u32(1).par_chunks(rows));
        (inputs.0, inputs.1, powers, args.output(0).par_chunks_mut(rows))
            .into_par_iter()
            .for_each(|(logits, labels, powers, y)| cross_entropies(logits, labels, powers, y, |_, _| {}));
    }))
}

pub(super) fn backward(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    let rows = TASK.div_ceil(classes);
    Ok(NativeCall::with_scratch("cross_entropy_backward", vec![signature.inputs[1].elements()], move |args| {
        let (logits, labels, grad) = (args.input(0), args.input_u32(1), args.input(2));
        let outputs = (args.output(0).par_chunks_mut(rows * classes), args.scratch(0).par_chunks_mut(rows));
        let inputs = (logits.par_chunks(rows * classes), labels.par_chunks(rows), grad.par_chunks(rows));
        (outputs, inputs).into_par_iter().for_each(|((out, losses), (logits, labels, grad))| {
            softmax_differences(logits, labels, out, losses);
            for (out, &grad) in out.chunks_mut(classes).zip(grad) {
                out.iter_mut().for_each(|out| *out *= grad);
            }
        });
    }))
}

/// softmax(z) − onehot(label) of rows of logits into `out`, and their cross-entropies into `losses`.
pub(crate) fn softmax_differences(logits: &[f32], labels: &[u32], out: &mut [f32], losses: &mut [f32]) {
    cross_entropies(logits, labels, out, losses, |powers, sum| powers.iter_mut().for_each(|power| *power /= sum));
    let classes = logits.len() / labels.len();
    for (out, &label) in out.chunks_mut(classes).zip(labels) {
        out[label as usize] -= 1.0;
    }
}

/// The cross-entropies of rows of logits into `losses`; `powers` are e to the power of each logit less the row's greatest, and go to `then` row by
/// row with their sum.
fn cross_entropies(
    logits: &[f32],
    labels: &[u32],
    powers: &mut [f32],
    losses: &mut [f32],
    mut then: impl FnMut(&mut [f32], f32),
) {
    let classes = logits.len() / labels.len();
    let rows = logits.chunks(classes).zip(powers.chunks_mut(classes));
    for (((row, powers), &label), loss) in rows.zip(labels).zip(losses.iter_mut()) {
        let top = greatest(row);
        powers.iter_mut().zip(row).for_each(|(power, &z)| *power = z - top);
        *loss = top - row[label as usize];
    }
    exponentials(powers);
    for (powers, loss) in powers.chunks_mut(classes).zip(losses) {
        let sum: f32 = powers.iter().sum();
        *loss += ln(sum);
        then(powers, sum);
    }
}

vectorised! {
    fn exponentials(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = exp(*x));
    }
}

/// Maximum of a row; NaN if there is one.
fn greatest(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
}
