//! Dispatch of the fill.

use super::Fill;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::Output;
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::FILL;

pub(super) fn call(op: &Fill, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let overrides = [("VALUE", op.value.into())];
    elementwise(&FILL, signature.outputs[0].elements(), &[each(Output(0))], &overrides, limits)
}
