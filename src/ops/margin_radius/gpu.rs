//! Dispatches of the margins' radius.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::kernel::{Bind, Dispatch};
use crate::ops::dispatch::{grid, int};
use crate::ops::shaders::{MARGIN_RADIUS_BACKWARD_INPUT, MARGIN_RADIUS_BACKWARD_WEIGHT, MARGIN_RADIUS_FORWARD};

/// One dispatch over the elements of output 0, in groups of 64.
fn whole(
    shader: &'static crate::kernel::Shader,
    binds: &[crate::kernel::Operand],
    mut overrides: Vec<(&'static str, f64)>,
    elements: usize,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    overrides.push(("COUNT", int(elements)));
    let groups = grid(shader.name, elements.div_ceil(64), limits)?;
    let binds = binds.iter().map(|&operand| Bind::all(operand)).collect();
    Ok(GpuCall::single(Dispatch { shader, binds, overrides, groups }))
}

pub(super) fn forward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let w = &signature.inputs[1].shape;
    let overrides = vec![("CLASSES", int(w[0])), ("FEATURES", int(w[1]))];
    let binds = [Input(0), Input(1), Input(2), Output(0)];
    whole(&MARGIN_RADIUS_FORWARD, &binds, overrides, signature.outputs[0].elements(), limits)
}

pub(super) fn backward_input(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let w = &signature.inputs[1].shape;
    let overrides = vec![("CLASSES", int(w[0])), ("FEATURES", int(w[1]))];
    let binds = [Input(0), Input(1), Input(2), Output(0)];
    whole(&MARGIN_RADIUS_BACKWARD_INPUT, &binds, overrides, signature.outputs[0].elements(), limits)
}

pub(super) fn backward_weight(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (batch, w) = (signature.inputs[0].shape[0], &signature.inputs[2].shape);
    let overrides = vec![("BATCH", int(batch)), ("CLASSES", int(w[0])), ("FEATURES", int(w[1]))];
    let binds = [Input(0), Input(1), Input(2), Input(3), Output(0)];
    whole(&MARGIN_RADIUS_BACKWARD_WEIGHT, &binds, overrides, signature.outputs[0].elements(), limits)
}
