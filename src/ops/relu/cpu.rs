//! Native kernel of ReLU.

use rayon::prelude::*;

use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn call() -> Result<NativeCall> {
    Ok(NativeCall::new("relu_forward", |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| forward(x, y));
    }))
}

vectorised! {
    pub(crate) fn forward(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            // Written so that a NaN stays a NaN: a diverged run must not look healthy.
            *y = if x < 0.0 { 0.0 } else { x };
        }
    }
}
