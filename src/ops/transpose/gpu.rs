//! Dispatch of the permutation.

use super::{RANK, Transpose};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits, Operand};
use crate::ops::dispatch::{Itemwise, Span, each, int};
use crate::ops::shaders::TRANSPOSE;

pub(super) fn call(op: &Transpose, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (extents, steps) = op.strides(&signature.inputs[0].shape);
    permute([extents, steps], Input(0), Output(0), limits)
}

/// Writes `to` with the given extents from `from`, where an axis has the given step.
pub(in crate::ops) fn permute(
    [extents, steps]: [[usize; RANK]; 2],
    from: Operand,
    to: Operand,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    Itemwise {
        shader: &TRANSPOSE,
        items: extents.iter().product(),
        per_group: 256,
        spans: &[Span::Whole(from), each(to)],
        overrides: &[
            ("EXTENT_B", int(extents[1])),
            ("EXTENT_C", int(extents[2])),
            ("EXTENT_D", int(extents[3])),
            ("STEP_A", int(steps[0])),
            ("STEP_B", int(steps[1])),
            ("STEP_C", int(steps[2])),
            ("STEP_D", int(steps[3])),
        ],
        offset: Some(("OFFSET", 1)),
    }
    .call(limits)
}
