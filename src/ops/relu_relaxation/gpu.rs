//! Dispatches of the relaxation: one workgroup a row.

use super::{Mode, ReluRelaxation};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, int};
use crate::ops::shaders::{RELU_RELAXATION, RELU_RELAXATION_BACKWARD};
use crate::ops::window::ROW_WORDS;

/// The constants of all three kernels.
fn overrides(op: &ReluRelaxation, signature: &Signature) -> Result<(usize, Vec<(&'static str, f64)>)> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let mut overrides = placement.overrides();
    overrides.push(("MODE", f64::from(op.mode as u32)));
    Ok((placement.elements(), overrides))
}

pub(super) fn forward(op: &ReluRelaxation, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (n, overrides) = overrides(op, signature)?;
    // What isn't there is bound to the coefficients, which the shader then does not read twice.
    let slopes = Input(if op.mode == Mode::Plain { 0 } else { 3 });
    let [splits, multipliers] = if op.mode == Mode::Split { [4, 5] } else { [0, 0] }.map(Input);
    let spans = [
        Span::Cut(Input(0), n),
        Span::Whole(Input(1)),
        Span::Cut(Input(2), ROW_WORDS),
        Span::Cut(slopes, n),
        Span::Cut(splits, n),
        Span::Cut(multipliers, n),
        Span::Cut(Output(0), n),
        Span::Cut(Output(1), 1),
    ];
    call(&RELU_RELAXATION, signature, &spans, &overrides, limits)
}

pub(super) fn backward_coefficients(op: &ReluRelaxation, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let slopes = if op.mode == Mode::Plain { 0 } else { 3 };
    let splits = if op.mode == Mode::Split { 4 } else { 0 };
    backward(op, signature, [slopes, splits], 0, 0, limits)
}

pub(super) fn backward_slopes(op: &ReluRelaxation, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let splits = if op.mode == Mode::Split { 3 } else { 0 };
    let mut result = GpuCall::default();
    // One dispatch for each output: together they would bind more buffers than every adapter has.
    for output in 0..signature.outputs.len() {
        let made = backward(op, signature, [0, splits], output, output + 1, limits)?;
        result.dispatches.extend(made.dispatches);
    }
    Ok(result)
}

/// The gradient that the shader knows by the number `of`, into `output`. What isn't there is bound to the coefficients.
fn backward(
    op: &ReluRelaxation,
    signature: &Signature,
    [slopes, splits]: [usize; 2],
    output: usize,
    of: usize,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let (n, mut overrides) = overrides(op, signature)?;
    overrides.push(("OF", int(of)));
    let last = signature.inputs.len() - 1;
    let spans = [
        Span::Cut(Input(0), n),
        Span::Whole(Input(1)),
        Span::Cut(Input(2), ROW_WORDS),
        Span::Cut(Input(slopes), n),
        Span::Cut(Input(splits), n),
        Span::Cut(Input(last - 1), n),
        Span::Cut(Input(last), 1),
        Span::Cut(Output(output), n),
    ];
    call(&RELU_RELAXATION_BACKWARD, signature, &spans, &overrides, limits)
}

fn call(
    shader: &'static crate::kernel::Shader,
    signature: &Signature,
    spans: &[Span],
    overrides: &[(&'static str, f64)],
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let items = signature.inputs[0].shape[0];
    Itemwise { shader, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}
