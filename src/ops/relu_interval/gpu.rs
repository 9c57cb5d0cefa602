//! Dispatches of ReLU on boxes.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::{RELU_INTERVAL_BACKWARD, RELU_INTERVAL_FORWARD};

pub(super) fn forward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [Input(0), Input(1), Output(0), Output(1)].map(each);
    elementwise(&RELU_INTERVAL_FORWARD, signature.outputs[0].elements(), &spans, &[], limits)
}

pub(super) fn backward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [Input(0), Input(1), Input(2), Input(3), Output(0), Output(1)].map(each);
    elementwise(&RELU_INTERVAL_BACKWARD, signature.outputs[0].elements(), &spans, &[], limits)
}
