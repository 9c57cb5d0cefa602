//! Dispatch of the repetition.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, int};
use crate::ops::shaders::EXPAND;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let shape = &signature.outputs[0].shape;
    Itemwise {
        shader: &EXPAND,
        items: shape.elements(),
        per_group: 256,
        spans: &[Span::Whole(Input(0)), each(Output(0))],
        overrides: &[("KEEP", int(shape[1])), ("INNER", int(shape[2]))],
        offset: Some(("OFFSET", 1)),
    }
    .call(limits)
}
