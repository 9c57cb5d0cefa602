//! Native kernels of the relaxation: rows are independent of each other.

use rayon::prelude::*;

use super::{Mode, ReluRelaxation};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::vectorised;
use crate::ops::window::{LANES, Place, runs, summed};

/// One row's operands: coefficients, and slopes and splits if there are any (else any slice of the same length).
#[derive(Clone, Copy)]
struct Row<'a> {
    coefficients: &'a [f32],
    slopes: &'a [f32],
    splits: &'a [f32],
    multipliers: &'a [f32],
    mode: Mode,
}

/// Slope s and summand s·ẑ + t − ŷ of one element.
#[inline(always)]
fn line(a: f32, [l, u, z]: [f32; 3], alpha: f32, split: f32) -> (f32, f32) {
    let active = if (l >= 0.0 && split == 0.0) || split > 0.0 { 1.0 } else { 0.0 };
    let unstable = l < 0.0 && u > 0.0 && split == 0.0;
    let chord = u / (u - l);
    let crossing = if a >= 0.0 { alpha } else { chord };
    let shift = if a >= 0.0 { 0.0 } else { -l * chord };
    let slope = if unstable { crossing } else { active };
    let intercept = if unstable { shift } else { 0.0 };
    let output = if z > 0.0 { z } else { 0.0 };
    (slope, slope * z + intercept - output)
}

/// The default slope of the lower line.
#[inline(always)]
fn adaptive(l: f32, u: f32) -> f32 {
    if u > -l { 1.0 } else { 0.0 }
}

vectorised! {
    /// One row forward: writes the new coefficients inside the image, returns the summand.
    fn relax(place: Place<'_>, row: Row<'_>, out: &mut [f32]) -> f32 {
        let pixels = place.placement.pixels();
        let mut lanes = [0.0f32; LANES];
        runs!(place, |w, p, n| {
            let (l, u, z) = (&place.sample[p..][..n], &place.sample[pixels + p..][..n], &place.sample[2 * pixels + p..][..n]);
            let (a, out) = (&row.coefficients[w..][..n], &mut out[w..][..n]);
            let alpha = &row.slopes[w..][..n];
            match row.mode {
                Mode::Plain => summed!(lanes, n, (a, l, u, z) out, |i| {
                    let (slope, summand) = line(a[i], [l[i], u[i], z[i]], adaptive(l[i], u[i]), 0.0);
                    out[i] = a[i] * slope;
                    a[i] * summand
                }),
                Mode::Sloped => summed!(lanes, n, (a, l, u, z, alpha) out, |i| {
                    let (slope, summand) = line(a[i], [l[i], u[i], z[i]], alpha[i], 0.0);
                    out[i] = a[i] * slope;
                    a[i] * summand
                }),
                Mode::Split => {
                    let (split, beta) = (&row.splits[w..][..n], &row.multipliers[w..][..n]);
                    summed!(lanes, n, (a, l, u, z, alpha, split, beta) out, |i| {
                        let (slope, summand) = line(a[i], [l[i], u[i], z[i]], alpha[i], split[i]);
                        let multiplier = split[i] * beta[i];
                        out[i] = a[i] * slope - multiplier;
                        a[i] * summand - multiplier * z[i]
                    });
                }
            }
        });
        lanes.iter().sum()
    }
}

vectorised! {
    /// One row of the gradient with respect to the coefficients.
    fn relax_back(place: Place<'_>, row: Row<'_>, grad: &[f32], summand_grad: f32, out: &mut [f32]) {
        let pixels = place.placement.pixels();
        runs!(place, |w, p, n| {
            let (l, u, z) = (&place.sample[p..][..n], &place.sample[pixels + p..][..n], &place.sample[2 * pixels + p..][..n]);
            let (a, grad, out) = (&row.coefficients[w..][..n], &grad[w..][..n], &mut out[w..][..n]);
            let (alpha, split) = (&row.slopes[w..][..n], &row.splits[w..][..n]);
            for i in 0..n {
                let alpha = if row.mode == Mode::Plain { adaptive(l[i], u[i]) } else { alpha[i] };
                let split = if row.mode == Mode::Split { split[i] } else { 0.0 };
                let (slope, summand) = line(a[i], [l[i], u[i], z[i]], alpha, split);
                out[i] = grad[i] * slope + summand_grad * summand;
            }
        });
    }
}

vectorised! {
    /// One row of the gradient with respect to the slopes.
    fn slope_back(place: Place<'_>, row: Row<'_>, grad: &[f32], summand_grad: f32, out: &mut [f32]) {
        let pixels = place.placement.pixels();
        runs!(place, |w, p, n| {
            let (l, u, z) = (&place.sample[p..][..n], &place.sample[pixels + p..][..n], &place.sample[2 * pixels + p..][..n]);
            let (a, grad, out, split) = (&row.coefficients[w..][..n], &grad[w..][..n], &mut out[w..][..n], &row.splits[w..][..n]);
            for i in 0..n {
                let whole = row.mode != Mode::Split || split[i] == 0.0;
                let chosen = l[i] < 0.0 && u[i] > 0.0 && a[i] > 0.0 && whole;
                let slope = a[i] * (grad[i] + summand_grad * z[i]);
                out[i] = if chosen { slope } else { 0.0 };
            }
        });
    }
}

vectorised! {
    /// One row of the gradient with respect to the multipliers.
    fn multiplier_back(place: Place<'_>, splits: &[f32], grad: &[f32], summand_grad: f32, out: &mut [f32]) {
        let pixels = place.placement.pixels();
        runs!(place, |w, p, n| {
            let z = &place.sample[2 * pixels + p..][..n];
            let (grad, out, split) = (&grad[w..][..n], &mut out[w..][..n], &splits[w..][..n]);
            for i in 0..n {
                out[i] = -split[i] * (grad[i] + summand_grad * z[i]);
            }
        });
    }
}

pub(super) fn forward(op: &ReluRelaxation, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let (mode, n) = (op.mode, placement.elements());
    Ok(NativeCall::new("relu_relaxation", move |args| {
        let (a, bounds, records) = (args.input(0), args.input(1), args.input_u32(2));
        let slopes = if mode == Mode::Plain { a } else { args.input(3) };
        let (splits, multipliers) = if mode == Mode::Split { (args.input(4), args.input(5)) } else { (a, a) };
        let rows = args.output(0).par_chunks_mut(n).zip(args.output(1).par_iter_mut()).enumerate();
        rows.for_each(|(r, (out, summand))| {
            let of = r * n..(r + 1) * n;
            let row = Row {
                coefficients: &a[of.clone()],
                slopes: &slopes[of.clone()],
                splits: &splits[of.clone()],
                multipliers: &multipliers[of],
                mode,
            };
            if !placement.is_whole() {
                out.fill(0.0);
            }
            *summand = relax(Place::new(&placement, 3, bounds, records, r), row, out);
        });
    }))
}

pub(super) fn backward_coefficients(op: &ReluRelaxation, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let (mode, n, last) = (op.mode, placement.elements(), signature.inputs.len() - 1);
    Ok(NativeCall::new("relu_relaxation_backward", move |args| {
        let (a, bounds, records) = (args.input(0), args.input(1), args.input_u32(2));
        let slopes = if mode == Mode::Plain { a } else { args.input(3) };
        let splits = if mode == Mode::Split { args.input(4) } else { a };
        let (grad, summand_grad) = (args.input(last - 1), args.input(last));
        args.output(0).par_chunks_mut(n).enumerate().for_each(|(r, out)| {
            let of = r * n..(r + 1) * n;
            let (coefficients, slopes, splits) = (&a[of.clone()], &slopes[of.clone()], &splits[of.clone()]);
            let row = Row { coefficients, slopes, splits, multipliers: coefficients, mode };
            if !placement.is_whole() {
                out.fill(0.0);
            }
            relax_back(Place::new(&placement, 3, bounds, records, r), row, &grad[of], summand_grad[r], out);
        });
    }))
}

pub(super) fn backward_slopes(op: &ReluRelaxation, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let (mode, n, last) = (op.mode, placement.elements(), signature.inputs.len() - 1);
    Ok(NativeCall::new("relu_relaxation_backward", move |args| {
        let (a, bounds, records) = (args.input(0), args.input(1), args.input_u32(2));
        let splits = if mode == Mode::Split { args.input(3) } else { a };
        let (grad, summand_grad) = (args.input(last - 1), args.input(last));
        let slope_row = |r: usize, out: &mut [f32]| {
            let of = r * n..(r + 1) * n;
            let (coefficients, splits) = (&a[of.clone()], &splits[of.clone()]);
            let row = Row { coefficients, slopes: coefficients, splits, multipliers: coefficients, mode };
            if !placement.is_whole() {
                out.fill(0.0);
            }
            slope_back(Place::new(&placement, 3, bounds, records, r), row, &grad[of], summand_grad[r], out);
        };
        if mode != Mode::Split {
            args.output(0).par_chunks_mut(n).enumerate().for_each(|(r, out)| slope_row(r, out));
            return;
        }
        let rows = args.output(0).par_chunks_mut(n).zip(args.output(1).par_chunks_mut(n)).enumerate();
        rows.for_each(|(r, (slopes, multipliers))| {
            slope_row(r, slopes);
            let of = r * n..(r + 1) * n;
            if !placement.is_whole() {
                multipliers.fill(0.0);
            }
            let place = Place::new(&placement, 3, bounds, records, r);
            multiplier_back(place, &splits[of.clone()], &grad[of], summand_grad[r], multipliers);
        });
    }))
}
