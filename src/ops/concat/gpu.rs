//! Dispatch of the join.

use super::CONCAT_LIMIT;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits};
use crate::ops::dispatch::{grid, int};
use crate::ops::shaders::CONCAT;

/// Names of the ends of the parts.
const ENDS: [&str; CONCAT_LIMIT] = ["END_0", "END_1", "END_2", "END_3", "END_4", "END_5", "END_6"];

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let mut end = 0;
    let mut overrides = Vec::with_capacity(CONCAT_LIMIT);
    let mut binds = Vec::with_capacity(CONCAT_LIMIT + 1);
    for (i, name) in ENDS.into_iter().enumerate() {
        end += signature.inputs.get(i).map_or(0, |t| t.elements());
        overrides.push((name, int(end)));
        // An absent part is bound to something that may be read; nothing is.
        binds.push(Bind::all(Input(if i < signature.inputs.len() { i } else { 0 })));
    }
    binds.push(Bind::all(Output(0)));
    let groups = grid(CONCAT.name, end.div_ceil(256), limits)?;
    Ok(GpuCall::single(Dispatch { shader: &CONCAT, binds, overrides, groups }))
}
