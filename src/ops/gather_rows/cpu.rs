//! Native kernel: a copy of each row.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::window::ROW_WORDS;

pub(super) fn call(signature: &Signature) -> Result<NativeCall> {
    let inner = signature.inputs[0].shape.inner().max(1);
    Ok(NativeCall::new("gather_rows", move |args| {
        let (w, records) = (args.input(0), args.input_u32(1));
        args.output(0).par_chunks_mut(inner).zip(records.par_chunks(ROW_WORDS)).for_each(|(y, record)| {
            y.copy_from_slice(&w[record[1] as usize * inner..][..inner]);
        });
    }))
}
