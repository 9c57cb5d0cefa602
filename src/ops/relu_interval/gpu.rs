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

/// The ReLU of the box that `made` leaves in the two operands which it is given, or its gradient, the box behind the ReLU being `behind`.
pub(in crate::ops) fn joined(
    elements: usize,
    behind: Option<[Operand; 2]>,
    limits: &GpuLimits,
    made: impl FnOnce(&mut GpuCall, [Operand; 2]) -> Result<()>,
) -> Result<GpuCall> {
    let mut call = GpuCall { scratch: vec![elements; 2], ..GpuCall::default() };
    let (before, after) = ([Scratch(0), Scratch(1)], [Output(0), Output(1)]);
    made(&mut call, before)?;
    let then = match behind {
        None => {
            elementwise(&RELU_INTERVAL_FORWARD, elements, &[before, after].concat().into_iter().map(each).collect::<Vec<_>>(), &[], limits)?
        }
        Some(behind) => {
            let spans: Vec<_> = [behind, before, after].concat().into_iter().map(each).collect();
            elementwise(&RELU_INTERVAL_BACKWARD, elements, &spans, &[], limits)?
        }
    };
    call.dispatches.extend(then.dispatches);
    Ok(call)
}
