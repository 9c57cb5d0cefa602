//! Dispatch of the multiply-adds.

use super::MultiplyAdds;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::MULTIPLY_ADDS;

pub(super) fn call(op: &MultiplyAdds, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let overrides = [("ROUNDS", op.rounds.into())];
    let spans = [each(Input(0)), each(Output(0))];
    elementwise(&MULTIPLY_ADDS, signature.outputs[0].elements(), &spans, &overrides, limits)
}
