//! Native kernels of the convolution, see [`crate::ops::native`]. Layouts are those of x and y, or of their gradients.

use std::sync::Arc;

use super::{Conv2d, Conv2dBackwardInput, Conv2dBackwardWeight};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::{Layout, NativeCall};
use crate::ops::native::Epilogue;
use crate::ops::native::bias::BiasGradient;
use crate::ops::native::convolution::{Convolution, WeightGradient};
use crate::ops::native::gather::Stream;

pub(super) fn forward(op: &Conv2d, signature: &Signature, layouts: [Layout; 2]) -> Result<NativeCall> {
    let convolution = Arc::new(Convolution::forward(&op.geometry(&signature.inputs)?, op.fast, layouts));
    let (bias, relu) = (op.bias, op.relu);
    let (scratch, prepared) = (vec![convolution.scratch()], convolution.prepared(1, 1));
    let call = NativeCall::with_scratch("conv2d_forward", scratch, move |args| {
        let epilogue = Epilogue { bias: bias.then(|| args.input(2)), relu, ..Epilogue::default() };
        let stream = Stream::new(args.input(0), args.output(0), epilogue);
        convolution.run(&[args.prepared(0)], &[stream], args.scratch(0));
    });
    Ok(NativeCall { prepared, ..call })
}

pub(super) fn backward_input(
    op: &Conv2dBackwardInput,
    signature: &Signature,
    layouts: [Layout; 2],
) -> Result<NativeCall> {
    let convolution = Arc::new(Convolution::backward(&op.geometry(&signature.inputs)?, op.fast, layouts));
    let masked = op.masked;
    let (scratch, prepared) = (vec![convolution.scratch()], convolution.prepared(1, 1));
    let call = NativeCall::with_scratch("conv2d_backward_input", scratch, move |args| {
        let epilogue = Epilogue { mask: masked.then(|| args.input(2)), ..Epilogue::default() };
        let stream = Stream::new(args.input(0), args.output(0), epilogue);
        convolution.run(&[args.prepared(0)], &[stream], args.scratch(0));
    });
    Ok(NativeCall { prepared, ..call })
}

pub(super) fn backward_weight(
    op: &Conv2dBackwardWeight,
    signature: &Signature,
    layouts: [Layout; 2],
) -> Result<NativeCall> {
    let gradient = WeightGradient::new(&op.geometry(&signature.inputs)?, 1, op.fast, layouts);
    let (mut scratch, bias) = (gradient.scratch(), op.bias);
    scratch.extend(bias.then(|| gradient.bias_scratch()));
    Ok(NativeCall::with_scratch("conv2d_backward_weight", scratch, move |args| {
        let pair = (args.input(0), args.input(1));
        let bias = bias.then(|| BiasGradient { db: args.output(1), scratch: args.scratch(2) });
        gradient.run(&[pair], None, args.output(0), bias, [args.scratch(0), args.scratch(1)]);
    }))
}
