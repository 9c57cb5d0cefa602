//! Dispatch of Adam.

use super::Adam;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Span, each, elementwise};
use crate::ops::shaders::ADAM;

pub(super) fn call(op: &Adam, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spec = op.spec;
    // Differences are taken in f32, as the native kernel does.
    let overrides = [
        ("BETA_1", spec.beta1.into()),
        ("REST_1", (1.0 - spec.beta1).into()),
        ("BETA_2", spec.beta2.into()),
        ("REST_2", (1.0 - spec.beta2).into()),
        ("EPSILON", spec.epsilon.into()),
        ("WEIGHT_DECAY", spec.weight_decay.into()),
    ];
    let spans = [each(Input(3)), Span::Whole(Input(4)), each(Output(0)), each(Output(1)), each(Output(2))];
    elementwise(&ADAM, signature.outputs[0].elements(), &spans, &overrides, limits)
}
