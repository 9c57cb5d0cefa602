//! Native kernel of the differences to the label's entry, and of the adjoint map.

use super::LabelMargin;
use crate::error::Result;
use crate::graph::{Op, Signature};
use crate::kernel::NativeCall;

pub(super) fn call(op: &LabelMargin, signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    let transposed = op.transposed;
    Ok(NativeCall::new(op.name(), move |args| {
        let (z, labels) = (args.input(0), args.input_u32(1));
        for ((y, z), &label) in args.output(0).chunks_mut(classes).zip(z.chunks(classes)).zip(labels) {
            let label = label as usize;
            if transposed {
                y.copy_from_slice(z);
                // Summed over the others, so that the label's own entry cancels exactly.
                y[label] = -z.iter().enumerate().filter(|(k, _)| *k != label).map(|(_, v)| v).sum::<f32>();
            } else {
                for (y, &v) in y.iter_mut().zip(z) {
                    *y = v - z[label];
                }
            }
        }
    }))
}
