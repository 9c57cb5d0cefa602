//! Intervals of a node from those of its operands, and the error factors K of an affine map.

use rayon::prelude::*;

use super::prover::{Affine, Prover};
use super::region::{Bounds, Errors};
use super::rounding::{INFLATE, UNDERFLOW, UNIT, gamma, or_infinite};
use crate::ops::simd::vectorised;

/// Output channels of one task: their sums stay in the first cache level.
const CHUNK: usize = 64;

/// The box that an [`crate::certify::network::Entry`] makes of `[lower, upper]`, all in row-major order.
///
/// A real scale is s(1 + θ), |θ| ≤ e_s, a real shift t + e, |e| ≤ e_t. Of min(s·l, s·u) + t the product is off by u|s|X, the sum by
/// 2u(|s|X + |t|), where X = max(|l|, |u|); subtracting the error term adds one more rounding. 8u covers them.
pub(super) fn enter(prover: &Prover, lower: &[f64], upper: &[f64]) -> Bounds {
    let Some(entry) = &prover.entry else { return Bounds { lower: lower.to_vec(), upper: upper.to_vec() } };
    let mut bounds = Bounds { lower: Vec::with_capacity(lower.len()), upper: Vec::with_capacity(lower.len()) };
    for (i, (&l, &u)) in lower.iter().zip(upper).enumerate() {
        let (scale, shift) = (entry.scale[i], entry.shift[i]);
        let size = scale.abs() * l.abs().max(u.abs());
        let known = (entry.scale_error + 8.0 * UNIT) * size + 8.0 * UNIT * shift.abs() + entry.shift_error[i];
        let error = INFLATE * known + UNDERFLOW;
        let (a, b) = (scale * l, scale * u);
        bounds.lower.push(or_infinite((a.min(b) + shift) - error, f64::NEG_INFINITY));
        bounds.upper.push(or_infinite((a.max(b) + shift) + error, f64::INFINITY));
    }
    bounds
}

/// Sum of two values: each end rounded outward.
pub(super) fn add(a: &Bounds, b: &Bounds) -> Bounds {
    let lower = |(&a, &b): (&f64, &f64)| or_infinite((a + b).next_down(), f64::NEG_INFINITY);
    let upper = |(&a, &b): (&f64, &f64)| or_infinite((a + b).next_up(), f64::INFINITY);
    Bounds {
        lower: a.lower.iter().zip(&b.lower).map(lower).collect(),
        upper: a.upper.iter().zip(&b.upper).map(upper).collect(),
    }
}

/// Exact.
pub(super) fn relu(z: &Bounds) -> Bounds {
    Bounds { lower: z.lower.iter().map(|l| l.max(0.0)).collect(), upper: z.upper.iter().map(|u| u.max(0.0)).collect() }
}

/// What the sums of an affine map run over: three numbers for each input.
struct Operand {
    center: Vec<f64>,
    radius: Vec<f64>,
    /// X ≥ |x|.
    magnitude: Vec<f64>,
}

impl Operand {
    /// The radius is rounded up, so that the real box lies in [center − radius, center + radius].
    fn of(bounds: &Bounds) -> Operand {
        let pairs = || bounds.lower.iter().zip(&bounds.upper);
        let center: Vec<f64> = pairs().map(|(l, u)| 0.5 * l + 0.5 * u).collect();
        // A difference is 0 only if it is 0 exactly.
        let up = |r: f64| if r > 0.0 { r.next_up() } else { 0.0 };
        let reach = |((l, u), c): ((&f64, &f64), &f64)| up((u - c).max(c - l));
        Operand {
            radius: pairs().zip(&center).map(reach).collect(),
            magnitude: pairs().map(|(l, u)| l.abs().max(u.abs())).collect(),
            center,
        }
    }
}

/// One output: Wx + b at the centre, |W| · radius, |W| · magnitude.
type Sum = [f64; 3];

/// Bounds of an affine map's outputs, and K for each of them (see the module's derivation).
pub(super) fn affine(prover: &Prover, affine: &Affine, below: &Bounds) -> (Bounds, Errors) {
    let operand = Operand::of(below);
    let chunks = affine.outputs.div_ceil(CHUNK);
    let pixels = affine.to[0] * affine.to[1];
    let tasks: Vec<Vec<Sum>> = (0..pixels * chunks)
        .into_par_iter()
        .with_min_len(4)
        .map(|task| {
            let first = task % chunks * CHUNK;
            let mut sums = vec![[0.0; 3]; CHUNK.min(affine.outputs - first)];
            push(affine, &operand, task / chunks, first, &mut sums);
            sums
        })
        .collect();
    let sums: Vec<Sum> = tasks.into_iter().flatten().collect();

    let taps = affine.kernel[0] * affine.kernel[1];
    let (forward, backward) = (gamma(affine.inputs * taps), gamma(affine.outputs * taps));
    let elements = sums.len();
    let mut bounds = Bounds { lower: Vec::with_capacity(elements), upper: Vec::with_capacity(elements) };
    let mut each = Vec::with_capacity(elements);
    let mut channel = vec![0.0f64; affine.outputs];
    for (element, [middle, radius, size]) in sums.into_iter().enumerate() {
        let o = element % affine.outputs;
        let bias = affine.bias[o].abs();
        let weights = affine.weight_error * size + affine.bias_error[o];
        let error = INFLATE * (8.0 * forward * (size + bias) + weights) + UNDERFLOW;
        bounds.lower.push(or_infinite((middle - radius) - error, f64::NEG_INFINITY));
        bounds.upper.push(or_infinite((middle + radius) + error, f64::INFINITY));
        let k = INFLATE * (backward * size + prover.gamma_all * bias + weights) + UNDERFLOW;
        let k = or_infinite(k, f64::INFINITY);
        channel[o] = channel[o].max(k);
        each.push(k);
    }
    (bounds, Errors { each, channel })
}

vectorised! {
    /// Sums of the output channels from `first` on at `pixel`.
    fn push(affine: &Affine, operand: &Operand, pixel: usize, first: usize, sums: &mut [Sum]) {
        match affine.block {
            1 => push_blocks::<1>(affine, operand, pixel, first, sums),
            2 => push_blocks::<2>(affine, operand, pixel, first, sums),
            4 => push_blocks::<4>(affine, operand, pixel, first, sums),
            _ => push_blocks::<8>(affine, operand, pixel, first, sums),
        }
    }
}

#[inline(always)]
fn push_blocks<const BLOCK: usize>(affine: &Affine, operand: &Operand, pixel: usize, first: usize, sums: &mut [Sum]) {
    let (blocks, spec) = (affine.blocks(), affine.spec);
    let [p, q] = [pixel / affine.to[1], pixel % affine.to[1]];
    let reached = |at: usize, tap: usize, axis: usize| {
        let place = (at * spec.stride[axis] + tap * spec.dilation[axis]).checked_sub(spec.padding[axis])?;
        (place < affine.from[axis]).then_some(place)
    };
    let mut parts = vec![[[0.0; BLOCK]; 3]; sums.len()];
    for u in 0..affine.kernel[0] {
        let Some(y) = reached(p, u, 0) else { continue };
        for v in 0..affine.kernel[1] {
            let Some(x) = reached(q, v, 1) else { continue };
            let (tap, place) = (u * affine.kernel[1] + v, (y * affine.from[1] + x) * affine.inputs);
            for block in 0..blocks {
                let (start, count) = (place + block * BLOCK, BLOCK.min(affine.inputs - block * BLOCK));
                let load = |values: &[f64]| {
                    let mut padded = [0.0; BLOCK];
                    padded[..count].copy_from_slice(&values[start..start + count]);
                    padded
                };
                let (center, radius, size) = (load(&operand.center), load(&operand.radius), load(&operand.magnitude));
                if size.iter().all(|&x| x == 0.0) {
                    continue;
                }
                let weights = &affine.weight[((tap * blocks + block) * affine.outputs + first) * BLOCK..];
                let weights = weights[..sums.len() * BLOCK].as_chunks::<BLOCK>().0;
                for (part, w) in parts.iter_mut().zip(weights) {
                    for k in 0..BLOCK {
                        part[0][k] += w[k] * center[k];
                        part[1][k] += w[k].abs() * radius[k];
                        part[2][k] += w[k].abs() * size[k];
                    }
                }
            }
        }
    }
    for (o, (sum, part)) in sums.iter_mut().zip(&parts).enumerate() {
        *sum = part.map(|lanes| lanes.iter().sum());
        sum[0] += affine.bias[first + o];
    }
}
