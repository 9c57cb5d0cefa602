//! Native reduction: fixed pieces in parallel, then the pieces in order.

use rayon::prelude::*;

use super::{Reduce, ReduceKind};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn call(op: &Reduce, signature: &Signature) -> Result<NativeCall> {
    let kind = op.kind;
    let shape = &signature.inputs[0].shape;
    let (outer, keep, inner) = (shape[0], shape[1], shape[2]);
    if keep == 1 || outer == 1 {
        // Each kept element owns one run of memory; long runs are cut into pieces.
        let run = if keep == 1 { outer * inner } else { inner };
        let pieces = run.div_ceil(CHUNK);
        return Ok(NativeCall::with_scratch("reduce", vec![keep * pieces], move |args| {
            let (x, y, partial) = (args.input(0), args.output(0), args.scratch(0));
            partial.par_iter_mut().enumerate().for_each(|(i, partial)| {
                let (k, piece) = (i / pieces, i % pieces);
                let from = k * run + piece * CHUNK;
                let to = (from + CHUNK).min((k + 1) * run);
                *partial = fold(kind, &x[from..to]);
            });
            for (y, partial) in y.iter_mut().zip(partial.chunks(pieces)) {
                *y = fold(kind, partial);
            }
        }));
    }
    // Groups of outer rows, each with its own [keep] partial.
    let rows = (CHUNK / (keep * inner)).clamp(1, outer);
    let groups = outer.div_ceil(rows);
    Ok(NativeCall::with_scratch("reduce", vec![groups * keep], move |args| {
        let (x, y, partial) = (args.input(0), args.output(0), args.scratch(0));
        partial.par_chunks_mut(keep).zip(x.par_chunks(rows * keep * inner)).for_each(|(partial, x)| {
            group(kind, inner, x, partial);
        });
        y.copy_from_slice(&partial[..keep]);
        for partial in partial.chunks(keep).skip(1) {
            for (y, &p) in y.iter_mut().zip(partial) {
                *y = combine(kind, *y, p);
            }
        }
    }))
}

#[inline(always)]
fn combine(kind: ReduceKind, a: f32, b: f32) -> f32 {
    // A NaN on either side stays: `a` unless `b` is strictly better or not comparable.
    match kind {
        ReduceKind::Sum => a + b,
        ReduceKind::Min => if b < a || b.is_nan() { b } else { a },
        ReduceKind::Max => if b > a || b.is_nan() { b } else { a },
    }
}

/// Independent accumulators of a run, so that the loop vectorises in one fixed order.
const LANES: usize = 32;

vectorised! {
    fn fold(kind: ReduceKind, x: &[f32]) -> f32 {
        if x.len() < LANES {
            let mut acc = x[0];
            for &v in &x[1..] {
                acc = combine(kind, acc, v);
            }
            return acc;
        }
        let mut lanes = [0.0f32; LANES];
        lanes.copy_from_slice(&x[..LANES]);
        let rest = &x[LANES..];
        let chunks = rest.chunks_exact(LANES);
        let tail = chunks.remainder();
        for chunk in chunks {
            for (acc, &v) in lanes.iter_mut().zip(chunk) {
                *acc = combine(kind, *acc, v);
            }
        }
        for (acc, &v) in lanes.iter_mut().zip(tail) {
            *acc = combine(kind, *acc, v);
        }
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] = combine(kind, lanes[i], lanes[i + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
}

vectorised! {
    fn group(kind: ReduceKind, inner: usize, x: &[f32], partial: &mut [f32]) {
        let keep = partial.len();
        for (row, x) in x.chunks(keep * inner).enumerate() {
            if inner == 1 {
                if row == 0 {
                    partial.copy_from_slice(x);
                } else {
                    for (acc, &v) in partial.iter_mut().zip(x) {
                        *acc = combine(kind, *acc, v);
                    }
                }
            } else {
                for (acc, x) in partial.iter_mut().zip(x.chunks(inner)) {
                    let folded = fold(kind, x);
                    *acc = if row == 0 { folded } else { combine(kind, *acc, folded) };
                }
            }
        }
    }
}
