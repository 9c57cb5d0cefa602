//! Dispatches of the linear layer on boxes, cut as those of the layer on points.

use super::{LinearInterval, LinearIntervalBackwardInput, LinearIntervalBackwardWeight};
use crate::error::{Error, Result};
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output, Scratch};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Operand, Variant};
use crate::ops::dispatch::{Matrix, SumEpilogue, flag, grid, int, part, sum_partials};
use crate::ops::linear::{Epilogue, Product};
use crate::ops::relu_interval::{Then, made_then};
use crate::ops::shaders::MATMUL_INTERVAL_BACKWARD_WEIGHT;

pub(super) fn forward(op: &LinearInterval, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let then = if op.relu { Then::Relu } else { Then::Nothing };
    made_then(signature.outputs[0].elements(), then, limits, |call, to| add_forward(op, signature, to, call, limits))
}

/// The products, with results in `to`.
fn add_forward(
    op: &LinearInterval,
    signature: &Signature,
    to: [Operand; 2],
    call: &mut GpuCall,
    limits: &GpuLimits,
) -> Result<()> {
    let e = op.extents(&signature.inputs)?;
    for cut in e.cuts("linear_interval_forward", limits)? {
        let w = part(Input(2), cut.features.0, cut.features.1, e.inputs);
        let inputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.inputs);
        let outputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.outputs);
        let bias = if op.bias { Bind::all(Input(3)) } else { w };
        let binds = [inputs(Input(0)), inputs(Input(1)), w, bias, outputs(to[0]), outputs(to[1])];
        e.forward(cut).add_interval_to(call, (op.bias, false), binds, limits)?;
    }
    Ok(())
}

pub(super) fn backward_input(
    op: &LinearIntervalBackwardInput,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let then = if op.relu { Then::Slope([Input(3), Input(4)]) } else { Then::Nothing };
    made_then(signature.outputs[0].elements(), then, limits, |call, to| add_backward(op, signature, to, call, limits))
}

/// The gradients, with results in `to`.
fn add_backward(
    op: &LinearIntervalBackwardInput,
    signature: &Signature,
    to: [Operand; 2],
    call: &mut GpuCall,
    limits: &GpuLimits,
) -> Result<()> {
    let e = op.extents(&signature.inputs)?;
    for cut in e.cuts("linear_interval_backward_input", limits)? {
        let w = part(Input(2), cut.features.0, cut.features.1, e.inputs);
        let inputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.inputs);
        let outputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.outputs);
        let binds = [outputs(Input(0)), outputs(Input(1)), w, w, inputs(to[0]), inputs(to[1])];
        e.backward_input(cut).add_interval_to(call, (false, cut.features.0 > 0), binds, limits)?;
    }
    Ok(())
}

pub(super) fn backward_weight(
    op: &LinearIntervalBackwardWeight,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let e = op.extents(&signature.inputs)?;
    let mut call = GpuCall::default();
    for cut in e.cuts("linear_interval_backward_weight", limits)? {
        let inputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.inputs);
        let outputs = |operand| part(operand, cut.samples.0, cut.samples.1, e.outputs);
        let rows = |operand| part(operand, cut.features.0, cut.features.1, e.inputs);
        let binds = [inputs(Input(0)), inputs(Input(1)), outputs(Input(2)), outputs(Input(3)), rows(Input(4)), rows(Output(0))];
        weight(&e.backward_weight(cut), &mut call, cut.samples.0 > 0, binds, limits)?;
    }
    Ok(call)
}

/// g1ᵀ·x1 + sign(w)·(g2ᵀ·x2). Binds are x1, x2, g1, g2, w, out.
fn weight(
    product: &Product,
    call: &mut GpuCall,
    accumulate: bool,
    binds: [Bind; 6],
    limits: &GpuLimits,
) -> Result<()> {
    let matrix = Matrix { rows: product.m, columns: product.n, parts: 1, arrays: [2, 2], wide: false };
    let variant = matrix.variant(limits);
    if !matches!(variant, Variant::Tiled(_)) {
        let [x1, x2, g1, g2, w, out] = binds;
        let limits = &GpuLimits { variant: Some(variant), ..*limits };
        if !accumulate && matches!(variant, Variant::Register { .. }) {
            // Added up by another kernel, so that the product's is compiled for its own work only.
            let count = product.m * product.n;
            let term = |epilogue, binds: [Bind; 3], call: &mut GpuCall| {
                call.scratch.push(count);
                let target = Bind::all(Scratch(call.scratch.len() - 1));
                product.add_to(call, epilogue, [binds[0], binds[1], binds[2], target], limits)?;
                Ok::<Bind, Error>(target)
            };
            let center = term(Epilogue::default(), [g1, x1, x1], call)?;
            let radius = term(Epilogue { signed: true, ..Epilogue::default() }, [g2, x2, w], call)?;
            let sum = SumEpilogue { bias: Some((radius, count)), relu: false };
            call.dispatches.push(sum_partials(center, out, (1, 1, count), sum, limits)?);
            return Ok(());
        }
        let center = Epilogue { accumulate, ..Epilogue::default() };
        let radius = Epilogue { signed: true, accumulate: true, ..Epilogue::default() };
        product.add_to(call, center, [g1, x1, x1, out], limits)?;
        return product.add_to(call, radius, [g2, x2, w, out], limits);
    }
    let (groups, constants) = matrix.launch(variant);
    let mut overrides = vec![
        ("M", int(product.m)),
        ("N", int(product.n)),
        ("K", int(product.k)),
        ("G_FIRST", int(product.a_first)),
        ("G_K", int(product.a[1])),
        ("ACCUMULATE", flag(accumulate)),
    ];
    overrides.extend(constants);
    let shader = &MATMUL_INTERVAL_BACKWARD_WEIGHT;
    let groups = grid(shader.name, groups, limits)?;
    call.dispatches.push(Dispatch { shader, binds: binds.to_vec(), overrides, groups });
    Ok(())
}
