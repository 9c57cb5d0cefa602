//! Native kernel of the index of the greatest entry.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

pub(super) fn call(signature: &Signature) -> Result<NativeCall> {
    let classes = signature.inputs[0].shape[1];
    Ok(NativeCall::new("argmax", move |args| {
        for (y, row) in args.output_u32(0).iter_mut().zip(args.input(0).chunks(classes)) {
            *y = first_greatest(row);
        }
    }))
}

/// Index of the greatest entry, the first one at ties.
pub(crate) fn first_greatest(row: &[f32]) -> u32 {
    let mut best = 0;
    for (i, &v) in row.iter().enumerate() {
        if v > row[best] {
            best = i;
        }
    }
    best as u32
}
