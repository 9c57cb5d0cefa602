//! Native kernel of the repetition.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

pub(super) fn call(signature: &Signature) -> Result<NativeCall> {
    let shape = &signature.outputs[0].shape;
    let (keep, inner) = (shape[1], shape[2]);
    Ok(NativeCall::new("expand", move |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(keep * inner).with_min_len((4096 / (keep * inner)).max(1)).for_each(|row| {
            if inner == 1 {
                row.copy_from_slice(x);
            } else {
                for (run, &v) in row.chunks_mut(inner).zip(x) {
                    run.fill(v);
                }
            }
        });
    }))
}
