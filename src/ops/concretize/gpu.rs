//! Dispatches: one workgroup a row.

use super::Concretize;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span};
use crate::ops::shaders::{CONCRETIZE, CONCRETIZE_BACKWARD};
use crate::ops::window::ROW_WORDS;

pub(super) fn forward(op: &Concretize, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let (items, n, overrides) = (signature.inputs[0].shape[0], placement.elements(), placement.overrides());
    let spans = [
        Span::Cut(Input(0), n),
        Span::Whole(Input(1)),
        Span::Cut(Input(2), ROW_WORDS),
        Span::Cut(Output(0), 1),
    ];
    let (spans, overrides) = (&spans[..], &overrides[..]);
    Itemwise { shader: &CONCRETIZE, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}

pub(super) fn backward(op: &Concretize, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let (items, n, overrides) = (signature.inputs[0].shape[0], placement.elements(), placement.overrides());
    let spans = [
        Span::Cut(Input(0), n),
        Span::Whole(Input(1)),
        Span::Cut(Input(2), ROW_WORDS),
        Span::Cut(Input(3), 1),
        Span::Cut(Output(0), n),
    ];
    let (spans, overrides) = (&spans[..], &overrides[..]);
    Itemwise { shader: &CONCRETIZE_BACKWARD, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}
