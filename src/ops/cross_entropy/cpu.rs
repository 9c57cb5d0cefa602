//! Native kernels of cross-entropy.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    Ok(NativeCall::new("cross_entropy_forward", move |args| {
        let (logits, labels) = (args.input(0), args.input_u32(1));
        for ((y, row), &label) in args.output(0).iter_mut().zip(logits.chunks(classes)).zip(labels) {
            let (top, sum) = shifted_sum(row);
            *y = sum.ln() + (top - row[label as usize]);
        }
    }))
}

pub(super) fn backward(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    Ok(NativeCall::new("cross_entropy_backward", move |args| {
        let (logits, labels, grad) = (args.input(0), args.input_u32(1), args.input(2));
        let rows = args.output(0).chunks_mut(classes).zip(logits.chunks(classes));
        for (((out, row), &label), &grad) in rows.zip(labels).zip(grad) {
            let (top, sum) = shifted_sum(row);
            for (k, (out, &z)) in out.iter_mut().zip(row).enumerate() {
                let softmax = (z - top).exp() / sum;
                *out = (softmax - (k == label as usize) as u32 as f32) * grad;
            }
        }
    }))
}

/// Maximum of a row, and Σ exp(z − maximum).
fn shifted_sum(row: &[f32]) -> (f32, f32) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a });
    (top, row.iter().map(|&z| (z - top).exp()).sum())
}
