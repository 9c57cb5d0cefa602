//! Native kernel of the attack step.

use rayon::prelude::*;

use super::PgdStep;
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn call(op: &PgdStep) -> Result<NativeCall> {
    let step = op.step;
    Ok(NativeCall::new("pgd_step", move |args| {
        let (z, grad, lower, upper) = (args.input(0), args.input(1), args.input(2), args.input(3));
        let (reach, done, y) = (args.input(4)[0], args.input(5), args.output(0));
        if done.iter().all(|&done| done > 0.0) {
            y.copy_from_slice(z);
            return;
        }
        (y.par_chunks_mut(CHUNK), z.par_chunks(CHUNK), grad.par_chunks(CHUNK), lower.par_chunks(CHUNK), upper.par_chunks(CHUNK))
            .into_par_iter()
            .for_each(|(y, z, grad, lower, upper)| apply(step * reach, z, grad, lower, upper, y));
    }))
}

vectorised! {
    fn apply(length: f32, z: &[f32], grad: &[f32], lower: &[f32], upper: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (z, grad, lower, upper) = (&z[..n], &grad[..n], &lower[..n], &upper[..n]);
        for i in 0..n {
            let sign = (grad[i] > 0.0) as u32 as f32 - (grad[i] < 0.0) as u32 as f32;
            let moved = z[i] + length * sign;
            let raised = if moved < lower[i] { lower[i] } else { moved };
            y[i] = if raised > upper[i] { upper[i] } else { raised };
        }
    }
}
