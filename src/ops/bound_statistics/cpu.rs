//! Native kernels of the bound statistics: one pass over the box. Deviations are taken from a pivot near the mean, and what that
//! changes is known from their sums (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983).

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::native::lanes::{MOST_LANES, Simd, Work, dispatch};
use crate::ops::simd::{CHUNK, level, vectorised};

/// Sums of one piece: Σr, Σd and, for both masks, their elements, Σd and Σd², with d = c − pivot.
const SUMS: usize = 8;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let elements = signature.inputs[0].elements();
    let pieces = elements.div_ceil(CHUNK);
    Ok(NativeCall::with_scratch("bound_statistics_forward", vec![pieces * SUMS], move |args| {
        let (c, r, partial, y) = (args.input(0), args.input(1), args.scratch(0), args.output(0));
        let near = &c[..elements.min(CHUNK)];
        let pivot = (near.iter().map(|&c| c as f64).sum::<f64>() / near.len() as f64) as f32;
        (partial.par_chunks_mut(SUMS), c.par_chunks(CHUNK), r.par_chunks(CHUNK)).into_par_iter().for_each(
            |(sums, center, radius)| {
                // SAFETY: the level is this machine's.
                unsafe { dispatch(level(), Piece { center, radius, pivot, sums }) }
            },
        );
        y.copy_from_slice(&statistics(partial, pivot as f64, elements as f64));
    }))
}

/// The statistics of `n` elements, of the sums of all pieces, which are added in order.
fn statistics(partial: &[f32], pivot: f64, n: f64) -> [f32; 8] {
    let mut sums = [0.0; SUMS];
    for piece in partial.chunks_exact(SUMS) {
        sums.iter_mut().zip(piece).for_each(|(sum, &part)| *sum += part as f64);
    }
    let [radii, deviations, ..] = sums;
    let [on, off] = [2, 5].map(|i| [sums[i], sums[i + 1], sums[i + 2]]);
    // The mean less the pivot.
    let shift = deviations / n;
    let of_centers = |[count, sum, _]: [f64; 3]| (pivot * count + sum) / n;
    let squares = |[count, sum, squares]: [f64; 3]| squares - 2.0 * shift * sum + shift * shift * count;
    let about_mean = |[count, sum, _]: [f64; 3]| sum - shift * count;
    [
        radii / n,
        of_centers(on),
        of_centers(off),
        squares(on),
        squares(off),
        pivot + shift,
        about_mean(on),
        about_mean(off),
    ]
    .map(|x| x as f32)
}

/// The sums of a piece.
struct Piece<'a> {
    center: &'a [f32],
    radius: &'a [f32],
    pivot: f32,
    sums: &'a mut [f32],
}

impl Work for Piece<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = self.center.len();
        assert!(self.radius.len() == n && self.sums.len() == SUMS, "a piece of a box");
        let whole = n / S::LANES * S::LANES;
        // SAFETY: i + LANES ≤ n, or the rest from i on.
        unsafe {
            let pivot = S::splat(self.pivot);
            let mut sums = [S::splat(0.0); SUMS];
            for i in (0..whole).step_by(S::LANES) {
                let (c, r) = (S::load(self.center.as_ptr().add(i)), S::load(self.radius.as_ptr().add(i)));
                sums = add::<S>(sums, c, r, S::sub(c, pivot), S::splat(1.0));
            }
            if whole < n {
                // Lanes without an element have no deviation, and are none.
                let [c, r] = [self.center, self.radius].map(|x| S::load_first(x.as_ptr().add(whole), n - whole));
                let ones = S::load_first([1.0; MOST_LANES].as_ptr(), n - whole);
                sums = add::<S>(sums, c, r, S::sub(c, S::mul(pivot, ones)), ones);
            }
            let mut lanes = [0.0; MOST_LANES];
            for (to, sum) in self.sums.iter_mut().zip(sums) {
                S::store(lanes.as_mut_ptr(), sum);
                *to = lanes[..S::LANES].iter().sum();
            }
        }
    }
}

/// The sums with the elements of a vector, which `ones` counts, and whose deviations are `d`.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn add<S: Simd>(
    sums: [S::Vector; SUMS],
    c: S::Vector,
    r: S::Vector,
    d: S::Vector,
    ones: S::Vector,
) -> [S::Vector; SUMS] {
    // SAFETY: the caller's duty.
    unsafe {
        let (on, off) = (S::sub(c, r), S::sub(S::sub(S::splat(0.0), c), r));
        let (of_on, of_off) = (S::zero_unless_positive(d, on), S::zero_unless_positive(d, off));
        [
            S::add(sums[0], r),
            S::add(sums[1], d),
            S::add(sums[2], S::zero_unless_positive(ones, on)),
            S::add(sums[3], of_on),
            S::mul_add(of_on, of_on, sums[4]),
            S::add(sums[5], S::zero_unless_positive(ones, off)),
            S::add(sums[6], of_off),
            S::mul_add(of_off, of_off, sums[7]),
        ]
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
