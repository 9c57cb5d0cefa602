//! Dispatch of the copy.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::COPY;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    elementwise(&COPY, signature.outputs[0].elements(), &[each(Input(1)), each(Output(0))], &[], limits)
}
