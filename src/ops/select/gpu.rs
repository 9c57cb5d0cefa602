//! Dispatch of the choice.

use super::spread;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, flag, int};
use crate::ops::shaders::SELECT;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spread = spread(signature)?;
    let elements = signature.outputs[0].elements();
    let full = spread.is_full(elements);
    let overrides = [("FULL", flag(full)), ("INNER", int(spread.inner)), ("LEN", int(spread.len))];
    let cond = if full { each(Input(0)) } else { Span::Whole(Input(0)) };
    let spans = [cond, each(Input(1)), each(Input(2)), each(Output(0))];
    let offset = Some(("OFFSET", 1));
    Itemwise { shader: &SELECT, items: elements, per_group: 256, spans: &spans, overrides: &overrides, offset }.call(limits)
}
