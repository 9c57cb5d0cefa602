//! Native kernel of the row write.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;

pub(super) fn call(signature: &Signature) -> Result<NativeCall> {
    let (rows, columns) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Ok(NativeCall::new("record_row", move |args| {
        let row = args.input_u32(2)[0] as usize % rows;
        args.output(0)[row * columns..][..columns].copy_from_slice(args.input(1));
    }))
}
