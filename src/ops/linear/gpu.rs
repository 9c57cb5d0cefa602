//! Dispatches of the linear layer: one strided product, cut over the batch and, for weights larger than a binding, over the
//! output features.

use super::product::{Epilogue, Product};
use super::{Extents, Linear, LinearBackwardInput, LinearBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{Bind, GpuCall, GpuLimits};
use crate::ops::dispatch::{chunks, chunks_of_work, part};

/// A range of samples and a range of output features, each (first, count).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) samples: (usize, usize),
    pub(crate) features: (usize, usize),
}

impl Extents {
    /// Cuts whose operands fit the adapter: rows of x and y, rows of w.
    pub(crate) fn cuts(&self, name: &str, limits: &GpuLimits) -> Result<Vec<Cut>> {
        let flops = 2 * (self.inputs * self.outputs) as u64;
        let samples = chunks_of_work(name, self.batch, &[self.inputs, self.outputs], flops, limits)?;
        let features = chunks(name, self.outputs, &[self.inputs], limits)?;
        let pairs = samples.iter().flat_map(|&samples| features.iter().map(move |&features| Cut { samples, features }));
        Ok(pairs.collect())
    }

    /// y = x · wᵀ over a cut: a = x, b = wᵀ, c = y.
    pub(crate) fn forward(&self, cut: Cut) -> Product {
        let f = self.inputs;
        Product {
            m: cut.samples.1,
            n: cut.features.1,
            k: f,
            a: [f, 1],
            a_first: 0,
            b: [1, f],
            c: self.outputs,
            c_first: cut.features.0,
        }
    }

    /// grad_x = grad_y · w over a cut: a = grad_y, b = w, c = grad_x. Cuts of the features add up.
    pub(crate) fn backward_input(&self, cut: Cut) -> Product {
        let f = self.inputs;
        Product {
            m: cut.samples.1,
            n: f,
            k: cut.features.1,
            a: [self.outputs, 1],
            a_first: cut.features.0,
            b: [f, 1],
            c: f,
            c_first: 0,
        }
    }

    /// grad_w = grad_yᵀ · x over a cut: a = grad_yᵀ, b = x, c = grad_w. Cuts of the samples add up.
    pub(crate) fn backward_weight(&self, cut: Cut) -> Product {
        let f = self.inputs;
        Product {
            m: cut.features.1,
            n: f,
            k: cut.samples.1,
            a: [1, self.outputs],
            a_first: cut.features.0,
            b: [f, 1],
            c: f,
            c_first: 0,
        }
    }
}

pub(super) fn forward(op: &Linear, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let e = Extents::of("linear_forward", &signature.inputs[0], &signature.inputs[1])?;
    let epilogue = Epilogue { bias: op.bias, relu: op.relu, ..Epilogue::default() };
    let mut call = GpuCall::default();
    for cut in e.cuts("linear_forward", limits)? {
        let w = part(Input(1), cut.features.0, cut.features.1, e.inputs);
        let binds = [
            part(Input(0), cut.samples.0, cut.samples.1, e.inputs),
            w,
            if op.bias { Bind::all(Input(2)) } else { w },
            part(Output(0), cut.samples.0, cut.samples.1, e.outputs),
        ];
        e.forward(cut).add_to(&mut call, epilogue, binds, limits)?;
    }
    Ok(call)
}

pub(super) fn backward_input(op: &LinearBackwardInput, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let e = Extents::of_gradient("linear_backward_input", &signature.inputs[0], &signature.inputs[1])?;
    let mut call = GpuCall::default();
    for cut in e.cuts("linear_backward_input", limits)? {
        let w = part(Input(1), cut.features.0, cut.features.1, e.inputs);
        let rows = |operand| part(operand, cut.samples.0, cut.samples.1, e.inputs);
        let binds = [
            part(Input(0), cut.samples.0, cut.samples.1, e.outputs),
            w,
            if op.masked { rows(Input(2)) } else { w },
            rows(Output(0)),
        ];
        let epilogue = Epilogue { masked: op.masked, accumulate: cut.features.0 > 0, ..Epilogue::default() };
        e.backward_input(cut).add_to(&mut call, epilogue, binds, limits)?;
    }
    Ok(call)
}

pub(super) fn backward_weight(
    op: &LinearBackwardWeight,
    signature: &Signature,
    limits: &GpuLimits,
) -> Result<GpuCall> {
    let e = op.extents(&signature.inputs)?;
    let mut call = GpuCall::default();
    for cut in e.cuts("linear_backward_weight", limits)? {
        let x = part(Input(0), cut.samples.0, cut.samples.1, e.inputs);
        let binds = [
            part(Input(1), cut.samples.0, cut.samples.1, e.outputs),
            x,
            x,
            part(Output(0), cut.features.0, cut.features.1, e.inputs),
        ];
        let epilogue = Epilogue { accumulate: cut.samples.0 > 0, ..Epilogue::default() };
        e.backward_weight(cut).add_to(&mut call, epilogue, binds, limits)?;
    }
    Ok(call)
}
