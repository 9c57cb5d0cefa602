//! Dispatch of the permutation.

use super::Transpose;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, int};
use crate::ops::shaders::TRANSPOSE;

pub(super) fn call(op: &Transpose, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let (extents, steps) = op.strides(&signature.inputs[0].shape);
    Itemwise {
        shader: &TRANSPOSE,
        items: signature.outputs[0].elements(),
        per_group: 256,
        spans: &[Span::Whole(Input(0)), each(Output(0))],
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
