//! Dispatch of the index of the greatest entry.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, int};
use crate::ops::shaders::ARGMAX;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Itemwise {
        shader: &ARGMAX,
        items: rows,
        per_group: 64,
        spans: &[Span::Cut(Input(0), classes), each(Output(0))],
        overrides: &[("CLASSES", int(classes))],
        offset: None,
    }
    .call(limits)
}
