//! Native kernels of the linear layer, see [`crate::ops::native`].

use std::sync::Arc;

use super::{Linear, LinearBackwardInput, LinearBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::{NativeArgs, NativeCall};
use crate::ops::linear::Extents;
use crate::ops::native::Epilogue;
use crate::ops::native::matmul::{BackwardInput, BackwardWeight, Forward, Product, SparseForward, Weights};
use crate::ops::simd::level;

pub(super) fn forward(op: &Linear, signature: &Signature) -> Result<NativeCall> {
    let extents = Extents::of("linear_forward", &signature.inputs[0], &signature.inputs[1])?;
    let product = Forward::new(&extents, 1, level());
    let (bias, relu) = (op.bias, op.relu);
    fn y<'a>(args: &NativeArgs<'a>, bias: bool, relu: bool) -> Product<'a> {
        let epilogue = Epilogue { bias: bias.then(|| args.input(2)), relu, ..Epilogue::default() };
        Product::new(args.input(0), args.output(0), epilogue)
    }
    let dense = NativeCall::with_scratch("linear_forward", product.scratch(), move |args| {
        product.run(args.input(1), &[y(args, bias, relu)], [args.scratch(0), args.scratch(1)]);
    });
    let Some(sparse) = SparseForward::new(&extents, level()).map(Arc::new) else { return Ok(dense) };
    let (scratch, prepared) = (sparse.scratch(), sparse.prepared(1));
    let call = NativeCall::with_scratch("linear_forward", scratch, move |args| {
        let scratch = [args.scratch(0), args.scratch(1)];
        sparse.run(args.input(1), args.prepared(0), y(args, bias, relu), scratch);
    });
    Ok(NativeCall { prepared, alone: Some(Box::new(dense)), ..call })
}

pub(super) fn backward_input(op: &LinearBackwardInput, signature: &Signature) -> Result<NativeCall> {
    let extents = Extents::of_gradient("linear_backward_input", &signature.inputs[0], &signature.inputs[1])?;
    let masked = op.masked;
    Ok(by_weights("linear_backward_input", &extents, 1, move |args| {
        let epilogue = Epilogue { mask: masked.then(|| args.input(2)), ..Epilogue::default() };
        [Product::new(args.input(0), args.output(0), epilogue)]
    }))
}

/// The call of the `products` by the weights in input `weights`, which may be packed before.
pub(crate) fn by_weights<const STREAMS: usize>(
    name: &'static str,
    extents: &Extents,
    weights: usize,
    products: impl for<'a> Fn(&NativeArgs<'a>) -> [Product<'a>; STREAMS] + Copy + Send + Sync + 'static,
) -> NativeCall {
    let alone = BackwardInput::alone(extents, STREAMS, level());
    let alone = NativeCall::with_scratch(name, vec![alone.scratch()], move |args| {
        alone.run(Weights::Plain(args.input(weights)), &products(args), args.scratch(0));
    });
    let packed = Arc::new(BackwardInput::new(extents, STREAMS, level()));
    let (scratch, prepared) = (vec![packed.scratch()], packed.prepared(weights));
    let call = NativeCall::with_scratch(name, scratch, move |args| {
        packed.run(Weights::Packed(args.prepared(0)), &products(args), args.scratch(0));
    });
    NativeCall { prepared, alone: Some(Box::new(alone)), ..call }
}

pub(super) fn backward_weight(op: &LinearBackwardWeight, signature: &Signature) -> Result<NativeCall> {
    let product = BackwardWeight::new(&op.extents(&signature.inputs)?, 1, level());
    Ok(NativeCall::with_scratch("linear_backward_weight", product.scratch(), move |args| {
        product.run(&[(args.input(0), args.input(1))], None, args.output(0), [args.scratch(0), args.scratch(1)]);
    }))
}
