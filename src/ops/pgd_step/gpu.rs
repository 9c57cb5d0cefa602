//! Dispatch of the attack step.

use super::PgdStep;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Span, each, elementwise, int};
use crate::ops::shaders::PGD_STEP;

pub(super) fn call(op: &PgdStep, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [
        each(Input(0)),
        each(Input(1)),
        each(Input(2)),
        each(Input(3)),
        Span::Whole(Input(4)),
        Span::Whole(Input(5)),
        each(Output(0)),
    ];
    let overrides = [("STEP", op.step.into()), ("PARTS", int(signature.inputs[5].elements()))];
    elementwise(&PGD_STEP, signature.outputs[0].elements(), &spans, &overrides, limits)
}
