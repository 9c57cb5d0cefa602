//! Native kernels of cross-entropy: rows are independent of each other.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

/// Logits that one task handles, each of which takes an exponential.
const TASK: usize = 512;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    let rows = TASK.div_ceil(classes);
    Ok(NativeCall::new("cross_entropy_forward", move |args| {
        let (logits, labels, y) = (args.input(0), args.input_u32(1), args.output(0));
        (y.par_chunks_mut(rows), logits.par_chunks(rows * classes), labels.par_chunks(rows)).into_par_iter().for_each(
            |(y, logits, labels)| {
                for ((y, row), &label) in y.iter_mut().zip(logits.chunks(classes)).zip(labels) {
                    let top = greatest(row);
                    let sum: f32 = row.iter().map(|&z| (z - top).exp()).sum();
                    *y = sum.ln() + (top - row[label as usize]);
                }
            },
        );
    }))
}

pub(super) fn backward(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    let rows = TASK.div_ceil(classes);
    Ok(NativeCall::new("cross_entropy_backward", move |args| {
        let (logits, labels, grad) = (args.input(0), args.input_u32(1), args.input(2));
        let out = args.output(0).par_chunks_mut(rows * classes);
        let inputs = (logits.par_chunks(rows * classes), labels.par_chunks(rows), grad.par_chunks(rows));
        (out, inputs.0, inputs.1, inputs.2).into_par_iter().for_each(|(out, logits, labels, grad)| {
            let rows = out.chunks_mut(classes).zip(logits.chunks(classes));
            for (((out, row), &label), &grad) in rows.zip(labels).zip(grad) {
                softmax_difference(row, label, out);
                out.iter_mut().for_each(|out| *out *= grad);
            }
        });
    }))
}

/// softmax(z) − onehot(label) of one row; returns its cross-entropy.
pub(crate) fn softmax_difference(row: &[f32], label: u32, out: &mut [f32]) -> f32 {
    let top = greatest(row);
    for (out, &z) in out.iter_mut().zip(row) {
        *out = (z - top).exp();
    }
    let sum: f32 = out.iter().sum();
    for (k, out) in out.iter_mut().enumerate() {
        *out = *out / sum - (k == label as usize) as u32 as f32;
    }
    sum.ln() + (top - row[label as usize])
}

/// Maximum of a row; NaN if there is one.
fn greatest(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
}
