//! Dispatch: one workgroup a row.

use super::{CutWindow, EmbedWindow};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span};
use crate::ops::shaders::{CUT_WINDOW, EMBED_WINDOW};
use crate::ops::window::ROW_WORDS;

pub(super) fn embed(op: &EmbedWindow, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let placement = op.placement(&signature.inputs[0])?;
    let spans = [
        Span::Cut(Input(0), placement.elements()),
        Span::Cut(Input(1), ROW_WORDS),
        Span::Cut(Output(0), placement.pixels()),
    ];
    let (items, spans, overrides) = (signature.inputs[0].shape[0], &spans[..], &placement.overrides()[..]);
    Itemwise { shader: &EMBED_WINDOW, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}

pub(super) fn cut(op: &CutWindow, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let placement = op.placement(&signature.inputs[0])?;
    let spans = [
        Span::Cut(Input(0), placement.pixels()),
        Span::Cut(Input(1), ROW_WORDS),
        Span::Cut(Output(0), placement.elements()),
    ];
    let (items, spans, overrides) = (signature.inputs[0].shape[0], &spans[..], &placement.overrides()[..]);
    Itemwise { shader: &CUT_WINDOW, items, per_group: 1, spans, overrides, offset: None }.call(limits)
}
