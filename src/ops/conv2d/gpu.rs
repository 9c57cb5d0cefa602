//! Dispatches of the convolution and its gradients, cut over the batch.

use super::correlate::{Correlation, Pair};
use super::gather::{Epilogue, Gather};
use super::{Conv2d, Conv2dBackwardInput, Conv2dBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{Bind, GpuCall, GpuLimits};
use crate::ops::dispatch::{chunks_of_work, part};
use crate::ops::reduce::add_channel_sums;

pub(super) fn forward(op: &Conv2d, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let g = op.geometry(&signature.inputs)?;
    let (x, y) = (signature.inputs[0].shape.inner(), signature.outputs[0].shape.inner());
    let epilogue = Epilogue { bias: op.bias, relu: op.relu, ..Epilogue::default() };
    let mut call = GpuCall::default();
    for (first, count) in chunks_of_work("conv2d_forward", g.batch, &[x, y], g.sample_flops(), limits)? {
        let extra = Bind::all(Input(if op.bias { 2 } else { 1 }));
        let binds = [part(Input(0), first, count, x), extra, part(Output(0), first, count, y)];
        Gather::forward(&g, count).add_to(&mut call, epilogue, 1, binds, limits)?;
    }
    Ok(call)
}

pub(super) fn backward_input(op: &Conv2dBackwardInput, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let g = op.geometry(&signature.inputs)?;
    let (y, x) = (signature.inputs[0].shape.inner(), signature.outputs[0].shape.inner());
    let epilogue = Epilogue { masked: op.masked, ..Epilogue::default() };
    let mut call = GpuCall::default();
    for (first, count) in chunks_of_work("conv2d_backward_input", g.batch, &[x, y], g.sample_flops(), limits)? {
        let extra = if op.masked { part(Input(2), first, count, x) } else { Bind::all(Input(1)) };
        let binds = [part(Input(0), first, count, y), extra, part(Output(0), first, count, x)];
        Gather::backward(&g, count).add_to(&mut call, epilogue, 1, binds, limits)?;
    }
    Ok(call)
}

pub(super) fn backward_weight(
    op: &Conv2dBackwardWeight,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let g = op.geometry(&signature.inputs)?;
    let center = Pair { x: Input(0), grad_y: Input(1) };
    let mut call = Correlation { center, radius: None }.call("conv2d_backward_weight", &g, limits)?;
    if op.bias {
        add_channel_sums(&mut call, &g.y_shape(), (Input(1), Output(1)), limits)?;
    }
    Ok(call)
}
