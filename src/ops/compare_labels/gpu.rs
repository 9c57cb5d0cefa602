//! Dispatch of the comparison.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{each, elementwise};
use crate::ops::shaders::COMPARE_LABELS;

pub(super) fn call(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let spans = [Input(0), Input(1), Output(0)].map(each);
    elementwise(&COMPARE_LABELS, signature.outputs[0].elements(), &spans, &[], limits)
}
