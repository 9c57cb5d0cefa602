//! Dispatches of the regulariser's term.

use crate::error::Result;
use crate::kernel::Operand::{self, Input, Output};
use crate::kernel::{Bind, Dispatch, GpuCall, Shader};
use crate::ops::shaders::{BOUND_PENALTY_BACKWARD, BOUND_PENALTY_FORWARD};

fn single(shader: &'static Shader, binds: &[Operand]) -> GpuCall {
    let binds = binds.iter().map(|&operand| Bind::all(operand)).collect();
    let dispatch = Dispatch { shader, binds, overrides: Vec::new(), groups: [1; 3] };
    GpuCall::single(dispatch)
}

pub(super) fn forward() -> Result<GpuCall> {
    Ok(single(&BOUND_PENALTY_FORWARD, &[Input(0), Input(1), Output(0)]))
}

pub(super) fn backward() -> Result<GpuCall> {
    Ok(single(&BOUND_PENALTY_BACKWARD, &[Input(0), Input(1), Input(2), Output(0)]))
}
