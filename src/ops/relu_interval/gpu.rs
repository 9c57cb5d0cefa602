//! Dispatches of ReLU on boxes.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output, Scratch};
use crate::kernel::{GpuCall, GpuLimits, Operand};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::{RELU_INTERVAL_BACKWARD, RELU_INTERVAL_FORWARD};

pub(super) fn forward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [Input(0), Input(1), Output(0), Output(1)].map(each);
    elementwise(&RELU_INTERVAL_FORWARD, signature.outputs[0].elements(), &spans, &[], limits)
}

pub(super) fn backward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [Input(2), Input(3), Input(0), Input(1), Output(0), Output(1)].map(each);
    elementwise(&RELU_INTERVAL_BACKWARD, signature.outputs[0].elements(), &spans, &[], limits)
}

/// What becomes of a box that other dispatches make.
pub(in crate::ops) enum Then {
    /// It is the result.
    Nothing,
    /// Its ReLU is.
    Relu,
    /// It is a gradient for the box behind a ReLU, which is given, and the result is the one for the box before.
    Slope([Operand; 2]),
}

/// The dispatches that `made` adds, which leave a box of so many elements in the two operands that it is given, and what follows.
pub(in crate::ops) fn made_then(
    elements: usize,
    then: Then,
    limits: &GpuLimits,
    made: impl FnOnce(&mut GpuCall, [Operand; 2]) -> Result<()>,
) -> Result<GpuCall> {
    let (before, after) = ([Scratch(0), Scratch(1)], [Output(0), Output(1)]);
    let (shader, operands) = match then {
        Then::Nothing => {
            let mut call = GpuCall::default();
            made(&mut call, after)?;
            return Ok(call);
        }
        Then::Relu => (&RELU_INTERVAL_FORWARD, [before, after].concat()),
        Then::Slope(behind) => (&RELU_INTERVAL_BACKWARD, [behind, before, after].concat()),
    };
    let mut call = GpuCall { scratch: vec![elements; 2], ..GpuCall::default() };
    made(&mut call, before)?;
    let spans: Vec<_> = operands.into_iter().map(each).collect();
    call.dispatches.extend(elementwise(shader, elements, &spans, &[], limits)?.dispatches);
    Ok(call)
}
