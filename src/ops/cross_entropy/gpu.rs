//! Dispatches of cross-entropy.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, int};
use crate::ops::shaders::{CROSS_ENTROPY_BACKWARD, CROSS_ENTROPY_FORWARD};

pub(super) fn forward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Itemwise {
        shader: &CROSS_ENTROPY_FORWARD,
        items: rows,
        per_group: 64,
        spans: &[Span::Cut(Input(0), classes), each(Input(1)), each(Output(0))],
        overrides: &[("CLASSES", int(classes))],
        offset: None,
    }
    .call(limits)
}

pub(super) fn backward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (rows, classes) = (signature.inputs[0].shape[0], signature.inputs[0].shape[1]);
    Itemwise {
        shader: &CROSS_ENTROPY_BACKWARD,
        items: rows,
        per_group: 64,
        spans: &[Span::Cut(Input(0), classes), each(Input(1)), each(Input(2)), Span::Cut(Output(0), classes)],
        overrides: &[("CLASSES", int(classes))],
        offset: None,
    }
    .call(limits)
}
