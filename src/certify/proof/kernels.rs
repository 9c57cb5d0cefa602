//! The loops that take the time: coefficients through an affine map, through a ReLU, and against a box.

use super::prover::Affine;
use super::region::{Bounds, Relaxation};
use super::rows::{LANES, Lanes};
use crate::ops::simd::vectorised;

/// Constant term and error term of each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) constant: Lanes,
    pub(super) error: Lanes,
}

/// For each pixel the channels that are not 0 in all lanes.
#[derive(Default)]
pub(super) struct Support {
    ends: Vec<usize>,
    channels: Vec<u32>,
}

impl Support {
    fn of(&self, pixel: usize) -> &[u32] {
        let first = if pixel == 0 { 0 } else { self.ends[pixel - 1] };
        &self.channels[first..self.ends[pixel]]
    }
}

vectorised! {
    /// Σ A·b into the constant and Σ |A|·K into the error; returns where A is not 0. `errors` is K for each element, or for each
    /// channel if it has only as many.
    pub(super) fn account(rows: &[Lanes], bias: &[f64], errors: &[f64], sums: &mut Sums) -> Support {
        let channels = bias.len();
        let by_channel = errors.len() == channels;
        let mut support = Support::default();
        let (mut constant, mut error) = (sums.constant, sums.error);
        for (pixel, elements) in rows.chunks_exact(channels).enumerate() {
            let errors = if by_channel { errors } else { &errors[pixel * channels..][..channels] };
            for (channel, lanes) in elements.iter().enumerate() {
                // NaN is not equal to 0 either.
                if lanes.iter().all(|&a| a == 0.0) {
                    continue;
                }
                support.channels.push(channel as u32);
                for l in 0..LANES {
                    constant[l] += lanes[l] * bias[channel];
                    error[l] += lanes[l].abs() * errors[channel];
                }
            }
            support.ends.push(support.channels.len());
        }
        *sums = Sums { constant, error };
        support
    }
}

vectorised! {
    /// below = A · W. `above` are `[from, O]` elements, `below` `[to, C]`; row p of `above` reaches row p·S − P + u·D of `below`.
    pub(super) fn pull(
        affine: &Affine,
        above: &[Lanes],
        from: [usize; 2],
        support: &Support,
        below: &mut [Lanes],
        to: [usize; 2],
        padding: [usize; 2],
    ) {
        match affine.block {
            1 => pull_blocks::<1>(affine, above, from, support, below, to, padding),
            2 => pull_blocks::<2>(affine, above, from, support, below, to, padding),
            4 => pull_blocks::<4>(affine, above, from, support, below, to, padding),
            _ => pull_blocks::<8>(affine, above, from, support, below, to, padding),
        }
    }
}

/// Taps of one axis that reach `at`: (place above, tap).
fn taps(affine: &Affine, axis: usize, at: usize, from: usize, padding: usize, found: &mut Vec<(usize, usize)>) {
    found.clear();
    let (stride, dilation) = (affine.spec.stride[axis], affine.spec.dilation[axis]);
    for tap in 0..affine.kernel[axis] {
        if let Some(distance) = (at + padding).checked_sub(tap * dilation)
            && distance % stride == 0
            && distance / stride < from
        {
            found.push((distance / stride, tap));
        }
    }
}

#[inline(always)]
fn pull_blocks<const BLOCK: usize>(
    affine: &Affine,
    above: &[Lanes],
    from: [usize; 2],
    support: &Support,
    below: &mut [Lanes],
    to: [usize; 2],
    padding: [usize; 2],
) {
    let (outputs, inputs, blocks) = (affine.outputs, affine.inputs, affine.blocks());
    let (mut rows, mut columns, mut reached) = (Vec::new(), Vec::new(), Vec::new());
    for y in 0..to[0] {
        taps(affine, 0, y, from[0], padding[0], &mut rows);
        for x in 0..to[1] {
            taps(affine, 1, x, from[1], padding[1], &mut columns);
            reached.clear();
            for &(p, u) in &rows {
                for &(q, v) in &columns {
                    let pixel = p * from[1] + q;
                    if !support.of(pixel).is_empty() {
                        reached.push((pixel, u * affine.kernel[1] + v));
                    }
                }
            }
            let pixel = &mut below[(y * to[1] + x) * inputs..][..inputs];
            for (block, target) in pixel.chunks_mut(BLOCK).enumerate() {
                let mut sums = [[0.0; LANES]; BLOCK];
                for &(source, tap) in &reached {
                    let weights = &affine.weight[(tap * blocks + block) * outputs * BLOCK..][..outputs * BLOCK];
                    let weights = weights.as_chunks::<BLOCK>().0;
                    let above = &above[source * outputs..][..outputs];
                    for &channel in support.of(source) {
                        let (a, w) = (&above[channel as usize], &weights[channel as usize]);
                        for k in 0..BLOCK {
                            for l in 0..LANES {
                                sums[k][l] += w[k] * a[l];
                            }
                        }
                    }
                }
                let count = target.len();
                target.copy_from_slice(&sums[..count]);
            }
        }
    }
}

/// Slopes of lower lines that one lane has of its own, by place in the table.
pub(super) type Own<'a> = [Option<&'a [f32]>; LANES];

vectorised! {
    /// The ReLU's lines instead of the ReLU, dense. `table` is the place of each element in the table of slopes, empty where none
    /// has one.
    pub(super) fn relax(rows: &mut [Lanes], lines: &Relaxation, table: &[u32], own: &Own<'_>, gamma: f64, sums: &mut Sums) {
        let (mut constant, mut error) = (sums.constant, sums.error);
        for (element, lanes) in rows.iter_mut().enumerate() {
            let mut lower = [lines.lower[element]; LANES];
            if let Some(&place) = table.get(element)
                && place != u32::MAX
                && lines.unstable(element)
            {
                for l in 0..LANES {
                    if let Some(slopes) = own[l] {
                        lower[l] = f64::from(slopes[place as usize]);
                    }
                }
            }
            let (upper, intercept, round) = (lines.upper[element], lines.intercept[element], lines.rounding[element]);
            let part = intercept * gamma;
            for l in 0..LANES {
                let a = lanes[l];
                // Written so that NaN stays NaN.
                let (slope, negative) = if a >= 0.0 { (lower[l], 0.0) } else { (upper, a) };
                let through = a * slope;
                lanes[l] = through;
                constant[l] += negative * intercept;
                error[l] += through.abs() * round + negative.abs() * part;
            }
        }
        *sums = Sums { constant, error };
    }
}

vectorised! {
    /// Least value over a box: Σ min(A·lower, A·upper) into the constant.
    pub(super) fn concretise(rows: &[Lanes], bounds: &Bounds, gamma: f64, sums: &mut Sums) {
        let (mut constant, mut error) = (sums.constant, sums.error);
        for ((lanes, &lower), &upper) in rows.iter().zip(&bounds.lower).zip(&bounds.upper) {
            let magnitude = lower.abs().max(upper.abs()) * gamma;
            for l in 0..LANES {
                let a = lanes[l];
                constant[l] += if a >= 0.0 { a * lower } else { a * upper };
                error[l] += a.abs() * magnitude;
            }
        }
        *sums = Sums { constant, error };
    }
}

vectorised! {
    /// into += rows, with the rounding error of each sum against the bounds of the values.
    pub(super) fn merge(into: &mut [Lanes], rows: &[Lanes], bounds: &Bounds, unit: f64, sums: &mut Sums) {
        for (element, (lanes, more)) in into.iter_mut().zip(rows).enumerate() {
            let magnitude = bounds.lower[element].abs().max(bounds.upper[element].abs()) * unit;
            for l in 0..LANES {
                lanes[l] += more[l];
                sums.error[l] += lanes[l].abs() * magnitude;
            }
        }
    }
}
