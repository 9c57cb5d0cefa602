//! Native kernels of the linear layer, see [`crate::ops::native`].

use std::sync::Arc;

use super::{Linear, LinearBackwardInput, LinearBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::linear::Extents;
use crate::ops::native::Epilogue;
use crate::ops::native::matmul::{BackwardInput, BackwardWeight, Forward, Product};
use crate::ops::simd::level;

pub(super) fn forward(op: &Linear, signature: &Signature) -> Result<NativeCall> {
    let extents = Extents::of("linear_forward", &signature.inputs[0], &signature.inputs[1])?;
    let product = Forward::new(&extents, 1, level());
    let (bias, relu) = (op.bias, op.relu);
    Ok(NativeCall::with_scratch("linear_forward", product.scratch(), move |args| {
        let epilogue = Epilogue { bias: bias.then(|| args.input(2)), relu, mask: None };
        let y = Product::new(args.input(0), args.output(0), epilogue);
        product.run(args.input(1), &[y], [args.scratch(0), args.scratch(1)]);
    }))
}

pub(super) fn backward_input(op: &LinearBackwardInput, signature: &Signature) -> Result<NativeCall> {
    let extents = Extents::of_gradient("linear_backward_input", &signature.inputs[0], &signature.inputs[1])?;
    let product = Arc::new(BackwardInput::new(&extents, 1, level()));
    let masked = op.masked;
    let (scratch, prepared) = (vec![product.scratch()], product.prepared(1));
    let call = NativeCall::with_scratch("linear_backward_input", scratch, move |args| {
        let epilogue = Epilogue { mask: masked.then(|| args.input(2)), ..Epilogue::default() };
        let dx = Product::new(args.input(0), args.output(0), epilogue);
        product.run(args.prepared(0), &[dx], args.scratch(0));
    });
    Ok(NativeCall { prepared, ..call })
}

pub(super) fn backward_weight(op: &LinearBackwardWeight, signature: &Signature) -> Result<NativeCall> {
    let product = BackwardWeight::new(&op.extents(&signature.inputs)?, 1, level());
    Ok(NativeCall::with_scratch("linear_backward_weight", product.scratch(), move |args| {
        product.run(&[(args.input(0), args.input(1))], None, args.output(0), [args.scratch(0), args.scratch(1)]);
    }))
}
