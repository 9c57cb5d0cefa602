//! Dispatch of the row write.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::kernel::{Bind, Dispatch};
use crate::ops::dispatch::{grid, int};
use crate::ops::shaders::RECORD_ROW;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let table = &signature.inputs[0].shape;
    let dispatch = Dispatch {
        shader: &RECORD_ROW,
        binds: vec![Bind::all(Input(1)), Bind::all(Input(2)), Bind::all(Output(0))],
        overrides: vec![("ROWS", int(table[0])), ("COUNT", int(table[1]))],
        groups: grid(RECORD_ROW.name, table[1].div_ceil(256), limits)?,
    };
    Ok(GpuCall::single(dispatch))
}
