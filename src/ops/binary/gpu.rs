//! Dispatch of the elementwise functions of two values.

use super::{Binary, spreads};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, flag, int};
use crate::ops::shaders::BINARY;

pub(super) fn call(op: &Binary, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (a, b) = spreads(signature)?;
    let elements = signature.outputs[0].elements();
    let full = [a.is_full(elements), b.is_full(elements)];
    let span = |i: usize| if full[i] { each(Input(i)) } else { Span::Whole(Input(i)) };
    let overrides = [
        ("KIND", f64::from(op.kind as u32)),
        ("A_FULL", flag(full[0])),
        ("A_INNER", int(a.inner)),
        ("A_LEN", int(a.len)),
        ("B_FULL", flag(full[1])),
        ("B_INNER", int(b.inner)),
        ("B_LEN", int(b.len)),
    ];
    let spans = [span(0), span(1), each(Output(0))];
    let offset = Some(("OFFSET", 1));
    Itemwise { shader: &BINARY, items: elements, per_group: 256, spans: &spans, overrides: &overrides, offset }.call(limits)
}
