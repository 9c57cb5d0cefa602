//! Native reduction: fixed pieces in parallel, then the pieces in order.

use rayon::prelude::*;

use super::fold::{Folding, combine, combine_each};
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
                *partial = Folding::of(kind, &x[from..to]);
            });
            for (y, partial) in y.iter_mut().zip(partial.chunks(pieces)) {
                *y = Folding::of(kind, partial);
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
            combine_each(kind, partial, y);
        }
    }))
}

vectorised! {
    fn group(kind: ReduceKind, inner: usize, x: &[f32], partial: &mut [f32]) {
        let keep = partial.len();
        for (row, x) in x.chunks(keep * inner).enumerate() {
            if inner > 1 {
                for (acc, x) in partial.iter_mut().zip(x.chunks(inner)) {
                    let folded = Folding::of(kind, x);
                    *acc = if row == 0 { folded } else { combine(kind, *acc, folded) };
                }
            } else if row == 0 {
                partial.copy_from_slice(x);
            } else {
                combine_each(kind, x, partial);
            }
        }
    }
}
