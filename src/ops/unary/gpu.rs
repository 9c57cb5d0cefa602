//! Dispatch of the elementwise functions.

use super::Unary;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::UNARY;

pub(super) fn call(op: &Unary, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (a, b) = op.kind.finite_attributes();
    let overrides = [("KIND", f64::from(op.kind.code())), ("A", a.into()), ("B", b.into())];
    elementwise(&UNARY, signature.outputs[0].elements(), &[each(Input(0)), each(Output(0))], &overrides, limits)
}
