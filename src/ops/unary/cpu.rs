//! Native kernel of the elementwise functions.

use rayon::prelude::*;

use super::{Unary, UnaryKind};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn call(op: &Unary, _signature: &Signature) -> Result<NativeCall> {
    let kind = op.kind;
    Ok(NativeCall::new("unary", move |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| apply(kind, x, y));
    }))
}

vectorised! {
    pub(crate) fn apply(kind: UnaryKind, x: &[f32], y: &mut [f32]) {
        #[inline(always)]
        fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f(x);
            }
        }
        match kind {
            UnaryKind::Abs => map(x, y, f32::abs),
            UnaryKind::Sign => map(x, y, |x| (x > 0.0) as u32 as f32 - (x < 0.0) as u32 as f32),
            UnaryKind::Positive => map(x, y, |x| (x > 0.0) as u32 as f32),
            UnaryKind::Affine { scale, shift } => map(x, y, |x| scale * x + shift),
            UnaryKind::Clamp { lower, upper } => map(x, y, |x| x.max(lower).min(upper)),
            UnaryKind::Square => map(x, y, |x| x * x),
            UnaryKind::Sqrt => map(x, y, f32::sqrt),
            UnaryKind::Reciprocal => map(x, y, |x| 1.0 / x),
            UnaryKind::Exp => map(x, y, f32::exp),
            UnaryKind::Log => map(x, y, f32::ln),
        }
    }
}
