//! Native kernel of the choice.

use rayon::prelude::*;

use super::spread;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};
use crate::ops::support::Spread;

pub(super) fn call(signature: &Signature) -> Result<NativeCall> {
    let spread = spread(signature)?;
    Ok(NativeCall::new("select", move |args| {
        let (cond, a, b, y) = (args.input(0), args.input(1), args.input(2), args.output(0));
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            let from = chunk * CHUNK;
            let to = from + y.len();
            apply(spread, from, cond, &a[from..to], &b[from..to], y);
        });
    }))
}

vectorised! {
    fn apply(spread: Spread, from: usize, cond: &[f32], a: &[f32], b: &[f32], y: &mut [f32]) {
        if spread.inner == 1 && spread.len > 1 {
            for (i, (y, (&a, &b))) in y.iter_mut().zip(a.iter().zip(b)).enumerate() {
                *y = if cond[(from + i) % spread.len] > 0.0 { a } else { b };
            }
            return;
        }
        let mut done = 0;
        while done < y.len() {
            let at = from + done;
            let run = (spread.inner - at % spread.inner).min(y.len() - done);
            let run = if spread.len == 1 { y.len() } else { run };
            let source = if cond[(at / spread.inner) % spread.len] > 0.0 { a } else { b };
            y[done..done + run].copy_from_slice(&source[done..done + run]);
            done += run;
        }
    }
}
