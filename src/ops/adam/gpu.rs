//! Dispatch of Adam.

use super::Adam;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Span, each, elementwise, flag};
use crate::ops::shaders::ADAM;

pub(super) fn call(op: &Adam, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spec = op.spec;
    let ([kept1, kept2], [added1, added2]) = (spec.kept(), spec.added());
    let [least, greatest] = op.ends();
    let overrides = [
        ("BETA_1", kept1.into()),
        ("REST_1", added1.into()),
        ("BETA_2", kept2.into()),
        ("REST_2", added2.into()),
        ("EPSILON", spec.epsilon.into()),
        ("WEIGHT_DECAY", spec.weight_decay.into()),
        ("LEAST", least.into()),
        ("GREATEST", greatest.into()),
        ("CUT", flag(op.range.is_some())),
    ];
    let spans = [each(Input(3)), Span::Whole(Input(4)), each(Output(0)), each(Output(1)), each(Output(2))];
    elementwise(&ADAM, signature.outputs[0].elements(), &spans, &overrides, limits)
}
