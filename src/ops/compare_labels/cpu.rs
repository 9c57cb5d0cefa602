//! Native kernel of the comparison.

use crate::error::Result;
use crate::kernel::NativeCall;

pub(super) fn call() -> Result<NativeCall> {
    Ok(NativeCall::new("compare_labels", |args| {
        let (a, b) = (args.input_u32(0), args.input_u32(1));
        for ((y, a), b) in args.output(0).iter_mut().zip(a).zip(b) {
            *y = (a == b) as u32 as f32;
        }
    }))
}
