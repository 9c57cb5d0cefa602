//! Dispatch: one workgroup a row.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, int};
use crate::ops::shaders::GATHER_ROWS;
use crate::ops::window::ROW_WORDS;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (items, inner) = (signature.outputs[0].shape[0], signature.inputs[0].shape.inner().max(1));
    let spans = [Span::Whole(Input(0)), Span::Cut(Input(1), ROW_WORDS), Span::Cut(Output(0), inner)];
    let overrides = [("INNER", int(inner))];
    let (spans, overrides) = (&spans[..], &overrides[..]);
    Itemwise { shader: &GATHER_ROWS, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}
