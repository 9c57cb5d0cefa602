//! Native kernels of ReLU on boxes.

use rayon::prelude::*;

use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::simd::{CHUNK, vectorised};

pub(super) fn forward() -> Result<NativeCall> {
    Ok(NativeCall::new("relu_interval_forward", |args| {
        let (m, r) = (args.input(0), args.input(1));
        let (out_m, out_r) = (args.output(0), args.output(1));
        (out_m.par_chunks_mut(CHUNK), out_r.par_chunks_mut(CHUNK), m.par_chunks(CHUNK), r.par_chunks(CHUNK))
            .into_par_iter()
            .for_each(|(out_m, out_r, m, r)| apply(m, r, out_m, out_r));
    }))
}

pub(super) fn backward() -> Result<NativeCall> {
    Ok(NativeCall::new("relu_interval_backward", |args| {
        let (grad_m, grad_r, m, r) = (args.input(0), args.input(1), args.input(2), args.input(3));
        let (out_m, out_r) = (args.output(0), args.output(1));
        let inputs = (m.par_chunks(CHUNK), r.par_chunks(CHUNK), grad_m.par_chunks(CHUNK), grad_r.par_chunks(CHUNK));
        (out_m.par_chunks_mut(CHUNK), out_r.par_chunks_mut(CHUNK), inputs.0, inputs.1, inputs.2, inputs.3)
            .into_par_iter()
            .for_each(|(out_m, out_r, m, r, grad_m, grad_r)| slope(m, r, grad_m, grad_r, out_m, out_r));
    }))
}

/// Center and radius behind a ReLU.
#[inline(always)]
fn behind(m: f32, r: f32) -> (f32, f32) {
    let (l, u) = (m - r, m + r);
    // A NaN passes: it must not look like an inactive neuron.
    let l = if l < 0.0 { 0.0 } else { l };
    let u = if u < 0.0 { 0.0 } else { u };
    (0.5 * (u + l), 0.5 * (u - l))
}

/// Gradients for center and radius before it, from those behind it and the box there.
#[inline(always)]
fn before(m: f32, r: f32, grad_m: f32, grad_r: f32) -> (f32, f32) {
    let (l, u) = (m - r, m + r);
    let grad_u = if u <= 0.0 { 0.0 } else { 0.5 * (grad_m + grad_r) };
    let grad_l = if l <= 0.0 { 0.0 } else { 0.5 * (grad_m - grad_r) };
    (grad_u + grad_l, grad_u - grad_l)
}

vectorised! {
    /// Center and radius behind the ReLU.
    pub(crate) fn apply(m: &[f32], r: &[f32], out_m: &mut [f32], out_r: &mut [f32]) {
        let n = out_m.len();
        let (m, r, out_r) = (&m[..n], &r[..n], &mut out_r[..n]);
        for i in 0..n {
            (out_m[i], out_r[i]) = behind(m[i], r[i]);
        }
    }
}

vectorised! {
    /// Gradients for center and radius before it.
    pub(crate) fn slope(m: &[f32], r: &[f32], grad_m: &[f32], grad_r: &[f32], out_m: &mut [f32], out_r: &mut [f32]) {
        let n = out_m.len();
        let (m, r, grad_m, grad_r, out_r) = (&m[..n], &r[..n], &grad_m[..n], &grad_r[..n], &mut out_r[..n]);
        for i in 0..n {
            (out_m[i], out_r[i]) = before(m[i], r[i], grad_m[i], grad_r[i]);
        }
    }
}

vectorised! {
    pub(crate) fn center(m: &[f32], r: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (m, r) = (&m[..n], &r[..n]);
        for i in 0..n {
            y[i] = behind(m[i], r[i]).0;
        }
    }
}

vectorised! {
    pub(crate) fn radius(m: &[f32], r: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (m, r) = (&m[..n], &r[..n]);
        for i in 0..n {
            y[i] = behind(m[i], r[i]).1;
        }
    }
}

vectorised! {
    pub(crate) fn slope_center(m: &[f32], r: &[f32], grad_m: &[f32], grad_r: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (m, r, grad_m, grad_r) = (&m[..n], &r[..n], &grad_m[..n], &grad_r[..n]);
        for i in 0..n {
            y[i] = before(m[i], r[i], grad_m[i], grad_r[i]).0;
        }
    }
}

vectorised! {
    pub(crate) fn slope_radius(m: &[f32], r: &[f32], grad_m: &[f32], grad_r: &[f32], y: &mut [f32]) {
        let n = y.len();
        let (m, r, grad_m, grad_r) = (&m[..n], &r[..n], &grad_m[..n], &grad_r[..n]);
        for i in 0..n {
            y[i] = before(m[i], r[i], grad_m[i], grad_r[i]).1;
        }
    }
}
