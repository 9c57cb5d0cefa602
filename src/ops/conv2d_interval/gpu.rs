//! Dispatches of the convolution of boxes and its gradients, cut over the batch.

use super::{Conv2dInterval, Conv2dIntervalBackwardInput, Conv2dIntervalBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{Bind, GpuCall, GpuLimits, Operand};
use crate::ops::conv2d::{Correlation, Gather, Pair};
use crate::ops::dispatch::{chunks_of_work, part};
use crate::ops::reduce::add_channel_sums;
use crate::ops::relu_interval::{Then, made_then};

pub(super) fn forward(op: &Conv2dInterval, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let then = if op.relu { Then::Relu } else { Then::Nothing };
    made_then(signature.outputs[0].elements(), then, limits, |call, to| add_forward(op, signature, to, call, limits))
}

/// The convolutions, with results in `to`.
fn add_forward(
    op: &Conv2dInterval,
    signature: &Signature,
    to: [Operand; 2],
    call: &mut GpuCall,
    limits: &GpuLimits,
) -> Result<()> {
    let g = op.geometry(&signature.inputs)?;
    let (x, y) = (signature.inputs[0].shape.inner(), signature.outputs[0].shape.inner());
    for (first, count) in chunks_of_work("conv2d_interval_forward", g.batch, &[x, y], 2 * g.sample_flops(), limits)? {
        let bias = Bind::all(Input(if op.bias { 3 } else { 2 }));
        let cut = |operand, words| part(operand, first, count, words);
        let binds = [cut(Input(0), x), cut(Input(1), x), bias, cut(to[0], y), cut(to[1], y)];
        Gather::forward(&g, count).add_interval_to(call, op.bias, 2, binds, limits)?;
    }
    Ok(())
}

pub(super) fn backward_input(
    op: &Conv2dIntervalBackwardInput,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let then = if op.relu { Then::Slope([Input(3), Input(4)]) } else { Then::Nothing };
    made_then(signature.outputs[0].elements(), then, limits, |call, to| add_backward(op, signature, to, call, limits))
}

/// The gradients, with results in `to`.
fn add_backward(
    op: &Conv2dIntervalBackwardInput,
    signature: &Signature,
    to: [Operand; 2],
    call: &mut GpuCall,
    limits: &GpuLimits,
) -> Result<()> {
    let g = op.geometry(&signature.inputs)?;
    let (x, y) = (g.x_shape().inner(), signature.inputs[0].shape.inner());
    for (first, count) in chunks_of_work("conv2d_interval_backward_input", g.batch, &[x, y], 2 * g.sample_flops(), limits)? {
        let cut = |operand, words| part(operand, first, count, words);
        let binds = [cut(Input(0), y), cut(Input(1), y), Bind::all(Input(2)), cut(to[0], x), cut(to[1], x)];
        Gather::backward(&g, count).add_interval_to(call, false, 2, binds, limits)?;
    }
    Ok(())
}

pub(super) fn backward_weight(
    op: &Conv2dIntervalBackwardWeight,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let g = op.geometry(&signature.inputs)?;
    let center = Pair { x: Input(0), grad_y: Input(2) };
    let radius = Pair { x: Input(1), grad_y: Input(3) };
    let mut call = Correlation { center, radius: Some((radius, Input(4))) }.call("conv2d_interval_backward_weight", &g, limits)?;
    if op.bias {
        add_channel_sums(&mut call, &g.y_shape(), (Input(2), Output(1)), limits)?;
    }
    Ok(call)
}
