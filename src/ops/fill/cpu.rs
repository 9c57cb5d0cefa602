//! Native kernel of the fill.

use super::Fill;
use crate::error::Result;
use crate::kernel::NativeCall;

pub(super) fn call(op: &Fill) -> Result<NativeCall> {
    let value = op.value;
    Ok(NativeCall::new("fill", move |args| args.output(0).fill(value)))
}
