//! Native kernels of the linear layer on a box, see [`crate::ops::native`]: the centers by w and the radii by |w|.

use super::{LinearInterval, LinearIntervalBackwardInput, LinearIntervalBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::linear::by_weights;
use crate::ops::native::Epilogue;
use crate::ops::native::matmul::{BackwardWeight, Forward, Product};
use crate::ops::simd::level;

pub(super) fn forward(op: &LinearInterval, signature: &Signature) -> Result<NativeCall> {
    let product = Forward::new(&op.extents(&signature.inputs)?, 2, level());
    let (bias, relu) = (op.bias, op.relu);
    Ok(NativeCall::with_scratch("linear_interval_forward", product.scratch(), move |args| {
        let shifted = Epilogue { bias: bias.then(|| args.input(3)), ..Epilogue::default() };
        let center = Product::new(args.input(0), args.output(0), shifted);
        let joined = relu.then(|| center.joined(None));
        let radius = Product::new(args.input(1), args.output(1), Epilogue { joined, ..Epilogue::default() });
        product.run(args.input(2), &[center, radius], [args.scratch(0), args.scratch(1)]);
    }))
}

pub(super) fn backward_input(op: &LinearIntervalBackwardInput, signature: &Signature) -> Result<NativeCall> {
    let relu = op.relu;
    Ok(by_weights("linear_interval_backward_input", &op.extents(&signature.inputs)?, 2, move |args| {
        let center = Product::new(args.input(0), args.output(0), Epilogue::default());
        let joined = relu.then(|| center.joined(Some([args.input(3), args.input(4)])));
        let radius = Product::new(args.input(1), args.output(1), Epilogue { joined, ..Epilogue::default() });
        [center, radius]
    }))
}

pub(super) fn backward_weight(op: &LinearIntervalBackwardWeight, signature: &Signature) -> Result<NativeCall> {
    let product = BackwardWeight::new(&op.extents(&signature.inputs)?, 2, level());
    Ok(NativeCall::with_scratch("linear_interval_backward_weight", product.scratch(), move |args| {
        let pairs = [(args.input(0), args.input(2)), (args.input(1), args.input(3))];
        product.run(&pairs, Some(args.input(4)), args.output(0), [args.scratch(0), args.scratch(1)]);
    }))
}
