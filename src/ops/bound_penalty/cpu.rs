//! Native kernels of the regulariser's term: a few operations on scalars.

use super::{TINY, TOLERANCE};
use crate::error::Result;
use crate::kernel::NativeCall;

pub(super) fn forward() -> Result<NativeCall> {
    Ok(NativeCall::new("bound_penalty_forward", |args| {
        let (s, input_radius) = (args.input(0), args.input(1)[0]);
        let tightness = shortfall(input_radius / s[0].max(TINY));
        let balance = if has_ratios(s) { shortfall(folded(s[1] / -s[2])) + shortfall(folded(s[3] / s[4])) } else { 0.0 };
        args.output(0)[0] = tightness + balance;
    }))
}

pub(super) fn backward() -> Result<NativeCall> {
    Ok(NativeCall::new("bound_penalty_backward", |args| {
        let (s, input_radius, grad) = (args.input(0), args.input(1)[0], args.input(2)[0]);
        let out = args.output(0);
        out.fill(0.0);
        if s[0] > TINY && input_radius / s[0] < TOLERANCE {
            out[0] = grad * (input_radius / s[0]) / s[0] / TOLERANCE;
        }
        if has_ratios(s) {
            let slope = grad * ratio_slope(s[1] / -s[2]) / -s[2];
            (out[1], out[2]) = (slope, slope * (s[1] / -s[2]));
            let slope = grad * ratio_slope(s[3] / s[4]) / s[4];
            (out[3], out[4]) = (slope, -slope * (s[3] / s[4]));
        }
    }))
}

fn has_ratios(s: &[f32]) -> bool {
    -s[2] > 0.0 && s[4] > 0.0
}

/// max(t − q, 0) / t.
fn shortfall(q: f32) -> f32 {
    (TOLERANCE - q).max(0.0) / TOLERANCE
}

/// min(q, 1 / max(q, tiny)).
fn folded(q: f32) -> f32 {
    q.min(1.0 / q.max(TINY))
}

/// d shortfall(folded(q)) / dq.
fn ratio_slope(q: f32) -> f32 {
    let inverse = 1.0 / q.max(TINY);
    if folded(q) >= TOLERANCE {
        0.0
    } else if q < inverse {
        -1.0 / TOLERANCE
    } else {
        inverse * inverse / TOLERANCE
    }
}
