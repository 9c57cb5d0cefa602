//! Native kernels of the bound statistics. The deviations need the mean first; so that memory is read once, those of a piece are from a
//! number near its mean, and are moved to the mean of all when the pieces are added (Chan, Golub & LeVeque 1983, eq. 2.1).

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

/// Independent partial sums, so that the loops vectorise in one fixed order.
const LANES: usize = 16;

/// Of so many vectors of a piece one is read for the number that its deviations are from.
const PILOT_STEP: usize = 16;

/// Sums of one piece. With on = \[c − r > 0\], off = \[c + r < 0\] and d = c − near: near, Σr, Σd, then for on and for off each Σd, Σd² and how many.
const SUMS: usize = 9;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let elements = signature.inputs[0].elements();
    let pieces = elements.div_ceil(CHUNK);
    Ok(NativeCall::with_scratch("bound_statistics_forward", vec![pieces * SUMS], move |args| {
        let (c, r, partial, y) = (args.input(0), args.input(1), args.scratch(0), args.output(0));
        (partial.par_chunks_mut(SUMS), c.par_chunks(CHUNK), r.par_chunks(CHUNK))
            .into_par_iter()
            .for_each(|(partial, c, r)| sums(c, r, near_mean(c), partial));
        y.copy_from_slice(&total(partial, elements));
    }))
}

fn near_mean(c: &[f32]) -> f32 {
    let (sum, count) = c
        .chunks(LANES)
        .step_by(PILOT_STEP)
        .fold((0.0, 0), |(sum, count), c| (sum + c.iter().sum::<f32>(), count + c.len()));
    sum / count as f32
}

/// The statistics of all pieces, added in order.
fn total(partial: &[f32], elements: usize) -> [f32; 8] {
    let n = elements as f64;
    let pieces = || {
        partial.chunks(SUMS).enumerate().map(|(place, sums)| {
            let sums: [f32; SUMS] = std::array::from_fn(|i| sums[i]);
            (sums.map(f64::from), CHUNK.min(elements - place * CHUNK) as f64)
        })
    };
    let mean = pieces().map(|([near, _, sum, ..], count)| sum + count * near).sum::<f64>() / n;
    let radius = pieces().map(|([_, radius, ..], _)| radius).sum::<f64>() / n;
    // Of one side: Σc, Σ(c − mean)², Σ(c − mean).
    let side = |first: usize| {
        pieces().fold([0.0; 3], |[all, squares, deviations], (sums, _)| {
            let (moved, [sum, square, count]) = (sums[0] - mean, [sums[first], sums[first + 1], sums[first + 2]]);
            [
                all + sum + count * sums[0],
                squares + square + moved * (2.0 * sum + moved * count),
                deviations + sum + moved * count,
            ]
        })
    };
    let [[on, square_on, sum_on], [off, square_off, sum_off]] = [side(3), side(6)];
    [radius, on / n, off / n, square_on, square_off, mean, sum_on, sum_off].map(|v| v as f32)
}

/// What is summed, lane by lane.
struct Lanes {
    radius: [f32; LANES],
    all: [f32; LANES],
    /// Of each side.
    sum: [[f32; LANES]; 2],
    square: [[f32; LANES]; 2],
    count: [[u32; LANES]; 2],
}

impl Lanes {
    fn new() -> Lanes {
        let zeros = [0.0; LANES];
        Lanes { radius: zeros, all: zeros, sum: [zeros; 2], square: [zeros; 2], count: [[0; LANES]; 2] }
    }

    #[inline(always)]
    fn add(&mut self, i: usize, (c, r): (f32, f32), near: f32) {
        let d = c - near;
        self.radius[i] += r;
        self.all[i] += d;
        // c > r exactly where the rounded c − r is above 0.
        for (side, is) in [c > r, c < -r].into_iter().enumerate() {
            let d = if is { d } else { 0.0 };
            self.sum[side][i] += d;
            self.square[side][i] += d * d;
            self.count[side][i] += u32::from(is);
        }
    }
}

vectorised! {
    fn sums(c: &[f32], r: &[f32], near: f32, out: &mut [f32]) {
        let mut lanes = Lanes::new();
        let ((full_c, last_c), (full_r, last_r)) = (c.as_chunks::<LANES>(), r.as_chunks::<LANES>());
        for (c, r) in full_c.iter().zip(full_r) {
            for i in 0..LANES {
                lanes.add(i, (c[i], r[i]), near);
            }
        }
        for (i, (&c, &r)) in last_c.iter().zip(last_r).enumerate() {
            lanes.add(i, (c, r), near);
        }
        let sum = |lanes: &[f32; LANES]| lanes.iter().sum::<f32>();
        out[..3].copy_from_slice(&[near, sum(&lanes.radius), sum(&lanes.all)]);
        for (side, out) in out[3..].chunks_mut(3).enumerate() {
            let count = lanes.count[side].iter().sum::<u32>() as f32;
            out.copy_from_slice(&[sum(&lanes.sum[side]), sum(&lanes.square[side]), count]);
        }
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
