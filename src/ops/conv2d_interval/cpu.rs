//! Native kernels of the convolution of a box, see [`crate::ops::native`]: the centers by w and the radii by |w|. Layouts are
//! those of both of x and of y, or of their gradients.

use std::sync::Arc;

use super::{Conv2dInterval, Conv2dIntervalBackwardInput, Conv2dIntervalBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::{Layout, NativeCall};
use crate::ops::native::Epilogue;
use crate::ops::native::bias::BiasGradient;
use crate::ops::native::convolution::{Convolution, WeightGradient};
use crate::ops::native::gather::Stream;

pub(super) fn forward(op: &Conv2dInterval, signature: &Signature, layouts: [Layout; 2]) -> Result<NativeCall> {
    let convolution = Arc::new(Convolution::forward(&op.geometry(&signature.inputs)?, op.fast, layouts));
    let (bias, relu, fast) = (op.bias, op.relu, op.fast);
    let (scratch, prepared) = (vec![convolution.scratch()], convolution.prepared(2, 2));
    let call = NativeCall::with_scratch("conv2d_interval_forward", scratch, move |args| {
        let shifted = Epilogue { bias: bias.then(|| args.input(3)), ..Epilogue::default() };
        let center = Stream::new(args.input(0), args.output(0), shifted);
        // The plain sums of terms ≥ 0 are ≥ 0 themselves.
        let joined = relu.then(|| center.joined(None));
        let kept = Epilogue { relu: fast, joined, ..Epilogue::default() };
        let radius = Stream::new(args.input(1), args.output(1), kept);
        convolution.run(&[args.prepared(0), args.prepared(1)], &[center, radius], args.scratch(0));
    });
    Ok(NativeCall { prepared, ..call })
}

pub(super) fn backward_input(
    op: &Conv2dIntervalBackwardInput,
    signature: &Signature,
    layouts: [Layout; 2],
) -> Result<NativeCall> {
    let convolution = Arc::new(Convolution::backward(&op.geometry(&signature.inputs)?, op.fast, layouts));
    let relu = op.relu;
    let (scratch, prepared) = (vec![convolution.scratch()], convolution.prepared(2, 2));
    let call = NativeCall::with_scratch("conv2d_interval_backward_input", scratch, move |args| {
        let center = Stream::new(args.input(0), args.output(0), Epilogue::default());
        let joined = relu.then(|| center.joined(Some([args.input(3), args.input(4)])));
        let radius = Stream::new(args.input(1), args.output(1), Epilogue { joined, ..Epilogue::default() });
        convolution.run(&[args.prepared(0), args.prepared(1)], &[center, radius], args.scratch(0));
    });
    Ok(NativeCall { prepared, ..call })
}

pub(super) fn backward_weight(
    op: &Conv2dIntervalBackwardWeight,
    signature: &Signature,
    layouts: [Layout; 2],
) -> Result<NativeCall> {
    let gradient = WeightGradient::new(&op.geometry(&signature.inputs)?, 2, op.fast, layouts);
    let (mut scratch, bias) = (gradient.scratch(), op.bias);
    scratch.extend(bias.then(|| gradient.bias_scratch()));
    Ok(NativeCall::with_scratch("conv2d_interval_backward_weight", scratch, move |args| {
        let pairs = [(args.input(0), args.input(2)), (args.input(1), args.input(3))];
        let bias = bias.then(|| BiasGradient { db: args.output(1), scratch: args.scratch(2) });
        gradient.run(&pairs, Some(args.input(4)), args.output(0), bias, [args.scratch(0), args.scratch(1)]);
    }))
}
