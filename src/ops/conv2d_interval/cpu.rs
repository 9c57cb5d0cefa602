//! Native kernels of the convolution of a box, see [`crate::ops::native`]: the centers by w and the radii by |w|.

use super::{Conv2dInterval, Conv2dIntervalBackwardInput, Conv2dIntervalBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::native::Epilogue;
use crate::ops::native::correlate::Correlate;
use crate::ops::native::gather::{Gather, Stream};
use crate::ops::simd::level;

pub(super) fn forward(op: &Conv2dInterval, signature: &Signature) -> Result<NativeCall> {
    let gather = Gather::forward(&op.geometry(&signature.inputs)?, 2, level());
    let bias = op.bias;
    Ok(NativeCall::with_scratch("conv2d_interval_forward", gather.scratch(), move |args| {
        let shifted = Epilogue { bias: bias.then(|| args.input(3)), ..Epilogue::default() };
        let center = Stream::new(args.input(0), args.output(0), shifted);
        let radius = Stream::new(args.input(1), args.output(1), Epilogue::default());
        gather.run(args.input(2), &[center, radius], [args.scratch(0), args.scratch(1)]);
    }))
}

pub(super) fn backward_input(op: &Conv2dIntervalBackwardInput, signature: &Signature) -> Result<NativeCall> {
    let gather = Gather::backward(&op.geometry(&signature.inputs)?, 2, level());
    Ok(NativeCall::with_scratch("conv2d_interval_backward_input", gather.scratch(), move |args| {
        let center = Stream::new(args.input(0), args.output(0), Epilogue::default());
        let radius = Stream::new(args.input(1), args.output(1), Epilogue::default());
        gather.run(args.input(2), &[center, radius], [args.scratch(0), args.scratch(1)]);
    }))
}

pub(super) fn backward_weight(op: &Conv2dIntervalBackwardWeight, signature: &Signature) -> Result<NativeCall> {
    let correlate = Correlate::new(&op.geometry(&signature.inputs)?, 2, level());
    Ok(NativeCall::with_scratch("conv2d_interval_backward_weight", correlate.scratch(), move |args| {
        let pairs = [(args.input(0), args.input(2)), (args.input(1), args.input(3))];
        let scratch = [args.scratch(0), args.scratch(1)];
        correlate.run(&pairs, Some(args.input(4)), args.output(0), scratch);
    }))
}
