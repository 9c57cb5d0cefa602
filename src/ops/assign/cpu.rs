//! Native kernel of the copy.

use crate::error::Result;
use crate::kernel::NativeCall;

pub(super) fn call() -> Result<NativeCall> {
    Ok(NativeCall::new("assign", |args| args.output(0).copy_from_slice(args.input(1))))
}
