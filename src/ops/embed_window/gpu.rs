//! Dispatch: one workgroup a row.

use crate::error::Result;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span};
use crate::ops::shaders::EMBED_WINDOW;
use crate::ops::window::{Placement, ROW_WORDS};

/// `items` windows into images, or with `cut` out of them.
pub(super) fn call(placement: &Placement, items: usize, cut: bool, limits: &GpuLimits) -> Result<GpuCall> {
    let (window, image) = (placement.elements(), placement.pixels());
    let (from, to) = if cut { (image, window) } else { (window, image) };
    let spans = &[Span::Cut(Input(0), from), Span::Cut(Input(1), ROW_WORDS), Span::Cut(Output(0), to)];
    let mut overrides = placement.overrides();
    overrides.push(("CUT", f64::from(u8::from(cut))));
    Itemwise { shader: &EMBED_WINDOW, items, per_group: 1, spans, overrides: &overrides, offset: None }.call(limits)
}
