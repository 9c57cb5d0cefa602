//! Dispatch of the random numbers.

use super::{Distribution, Random};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::ops::dispatch::{Itemwise, Span, each, flag};
use crate::ops::shaders::RANDOM;

/// Numbers of one Philox block.
const BLOCK: usize = 4;

pub(super) fn call(op: &Random, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    // Differences are taken in f32, as the native kernel does.
    let (normal, base, scale) = match op.distribution {
        Distribution::Uniform { lower, upper } => (false, lower, upper - lower),
        Distribution::Normal { mean, deviation } => (true, mean, deviation),
    };
    Itemwise {
        shader: &RANDOM,
        items: signature.outputs[0].elements(),
        per_group: 256 * BLOCK,
        spans: &[Span::Whole(Input(0)), each(Output(0))],
        overrides: &[
            ("NORMAL", flag(normal)),
            ("BASE", base.into()),
            ("SCALE", scale.into()),
            ("STREAM", op.stream.into()),
        ],
        // Bindings begin at multiples of more than a block, so a part begins with a whole one.
        offset: Some(("FIRST_BLOCK", BLOCK)),
    }
    .call(limits)
}
