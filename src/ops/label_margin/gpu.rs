//! Dispatch of the differences to the label's entry, and of the adjoint map.

use super::LabelMargin;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, flag, int};
use crate::ops::shaders::LABEL_MARGIN;

pub(super) fn call(op: &LabelMargin, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Itemwise {
        shader: &LABEL_MARGIN,
        items: rows,
        per_group: 64,
        spans: &[Span::Cut(Input(0), classes), each(Input(1)), Span::Cut(Output(0), classes)],
        overrides: &[("CLASSES", int(classes)), ("TRANSPOSED", flag(op.transposed))],
        offset: None,
    }
    .call(limits)
}
