//! Native kernel of the permutation.

use rayon::prelude::*;

use super::Transpose;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

pub(super) fn call(op: &Transpose, signature: &Signature) -> Result<NativeCall> {
    let (extents, steps) = op.strides(&signature.inputs[0].shape);
    let row = extents[3].max(1);
    Ok(NativeCall::new("transpose", move |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(row).with_min_len((4096 / row).max(1)).enumerate().for_each(|(r, y)| {
            let (c, rest) = (r % extents[2], r / extents[2]);
            let (b, a) = (rest % extents[1], rest / extents[1]);
            let base = a * steps[0] + b * steps[1] + c * steps[2];
            for (d, y) in y.iter_mut().enumerate() {
                *y = x[base + d * steps[3]];
            }
        });
    }))
}
