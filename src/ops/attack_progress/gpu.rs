//! Dispatches of the attack's bookkeeping.

use super::{Progress, SAMPLES};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits};
use crate::ops::dispatch::{flag, grid, int};
use crate::ops::shaders::{ATTACK_OUTCOME, ATTACK_PROGRESS};

pub(super) fn progress(op: &Progress, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    // Without a state something that may be read stands in its place; nothing is.
    let state = Input(if op.first { 0 } else { 2 });
    Ok(GpuCall::single(Dispatch {
        shader: &ATTACK_PROGRESS,
        binds: [Input(0), Input(1), state, Output(0), Output(1), Output(2), Output(3)].map(Bind::all).to_vec(),
        overrides: vec![("CLASSES", int(classes)), ("COUNT", int(rows)), ("FIRST", flag(op.first))],
        groups: grid(ATTACK_PROGRESS.name, rows.div_ceil(SAMPLES), limits)?,
    }))
}

pub(super) fn outcome(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Ok(GpuCall::single(Dispatch {
        shader: &ATTACK_OUTCOME,
        binds: [Input(0), Input(1), Input(2), Output(0), Output(1)].map(Bind::all).to_vec(),
        overrides: vec![("CLASSES", int(classes)), ("COUNT", int(rows))],
        groups: grid(ATTACK_OUTCOME.name, rows.div_ceil(64), limits)?,
    }))
}
