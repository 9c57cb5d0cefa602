//! Dispatch of ReLU.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::RELU_FORWARD;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    elementwise(&RELU_FORWARD, signature.outputs[0].elements(), &[each(Input(0)), each(Output(0))], &[], limits)
}
