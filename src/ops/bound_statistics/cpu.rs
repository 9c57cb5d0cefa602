//! Native kernels of the bound statistics: two passes, since the deviations need the mean first.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

/// Sums of one piece: first pass Σr, Σc·on, Σc·off, Σc; second pass Σd²·on, Σd²·off, Σd·on, Σd·off with d = c − μ.
const SUMS: usize = 4;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let elements = signature.inputs[0].elements();
    let pieces = elements.div_ceil(CHUNK);
    Ok(NativeCall::with_scratch("bound_statistics_forward", vec![pieces * SUMS], move |args| {
        let (c, r, partial, y) = (args.input(0), args.input(1), args.scratch(0), args.output(0));
        let n = elements as f32;
        let first = total(c, r, partial, None);
        let mean = first[3] / n;
        let second = total(c, r, partial, Some(mean));
        y.copy_from_slice(&[
            first[0] / n,
            first[1] / n,
            first[2] / n,
            second[0],
            second[1],
            mean,
            second[2],
            second[3],
        ]);
    }))
}

/// Sums over all pieces: pieces in parallel, then added in order.
fn total(c: &[f32], r: &[f32], partial: &mut [f32], mean: Option<f32>) -> [f32; SUMS] {
    (partial.par_chunks_mut(SUMS), c.par_chunks(CHUNK), r.par_chunks(CHUNK)).into_par_iter().for_each(
        |(partial, c, r)| match mean {
            None => sums(c, r, partial),
            Some(mean) => deviations(c, r, mean, partial),
        },
    );
    let mut sum = [0.0; SUMS];
    for piece in partial.chunks(SUMS) {
        for (s, p) in sum.iter_mut().zip(piece) {
            *s += p;
        }
    }
    sum
}

/// Independent partial sums, so that the loops vectorise in one fixed order.
const LANES: usize = 16;

/// Adds the terms of every pair of elements.
#[inline(always)]
fn add_each(c: &[f32], r: &[f32], out: &mut [f32], terms: impl Fn(f32, f32) -> [f32; SUMS]) {
    let mut lanes = [[0.0f32; LANES]; SUMS];
    let mut add = |i: usize, c: f32, r: f32| {
        for (lanes, term) in lanes.iter_mut().zip(terms(c, r)) {
            lanes[i] += term;
        }
    };
    let ((full_c, last_c), (full_r, last_r)) = (c.as_chunks::<LANES>(), r.as_chunks::<LANES>());
    for (c, r) in full_c.iter().zip(full_r) {
        for i in 0..LANES {
            add(i, c[i], r[i]);
        }
    }
    for (i, (&c, &r)) in last_c.iter().zip(last_r).enumerate() {
        add(i, c, r);
    }
    for (out, lanes) in out.iter_mut().zip(&lanes) {
        *out = lanes.iter().sum();
    }
}

vectorised! {
    fn sums(c: &[f32], r: &[f32], out: &mut [f32]) {
        add_each(c, r, out, |c, r| [r, if c - r > 0.0 { c } else { 0.0 }, if c + r < 0.0 { c } else { 0.0 }, c]);
    }
}

vectorised! {
    fn deviations(c: &[f32], r: &[f32], mean: f32, out: &mut [f32]) {
        add_each(c, r, out, |c, r| {
            let d = c - mean;
            let on = if c - r > 0.0 { d } else { 0.0 };
            let off = if c + r < 0.0 { d } else { 0.0 };
            [on * on, off * off, on, off]
        });
    }
}

pub(super) fn backward() -> Result<NativeCall> {
    Ok(NativeCall::new("bound_statistics_backward", |args| {
        let (c, r, stats, grad) = (args.input(0), args.input(1), args.input(2), args.input(3));
        let (out_c, out_r) = (args.output(0), args.output(1));
        let n = c.len() as f32;
        let slopes = Slopes {
            mean: stats[5],
            on: grad[1] / n,
            off: grad[2] / n,
            square_on: 2.0 * grad[3],
            square_off: 2.0 * grad[4],
            shared: -(2.0 / n) * (grad[3] * stats[6] + grad[4] * stats[7]),
        };
        let radius = grad[0] / n;
        (out_c.par_chunks_mut(CHUNK), out_r.par_chunks_mut(CHUNK), c.par_chunks(CHUNK), r.par_chunks(CHUNK))
            .into_par_iter()
            .for_each(|(out_c, out_r, c, r)| {
                slope(slopes, c, r, out_c);
                out_r.fill(radius);
            });
    }))
}

/// The factors of d/dc that all elements share.
#[derive(Clone, Copy)]
struct Slopes {
    mean: f32,
    on: f32,
    off: f32,
    square_on: f32,
    square_off: f32,
    shared: f32,
}

vectorised! {
    fn slope(s: Slopes, c: &[f32], r: &[f32], out: &mut [f32]) {
        for ((out, &c), &r) in out.iter_mut().zip(c).zip(r) {
            let d = c - s.mean;
            let on = if c - r > 0.0 { s.on + s.square_on * d } else { 0.0 };
            let off = if c + r < 0.0 { s.off + s.square_off * d } else { 0.0 };
            *out = on + off + s.shared;
        }
    }
}
