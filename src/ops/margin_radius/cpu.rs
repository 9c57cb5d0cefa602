//! Native kernels of the margins' radius.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::vectorised;

pub(super) fn forward(signature: &Signature) -> Result<NativeCall> {
    let (classes, features) = extents(&signature.inputs[1].shape);
    Ok(NativeCall::new("margin_radius_forward", move |args| {
        let (r, w, labels) = (args.input(0), args.input(1), args.input_u32(2));
        let rows = args.output(0).par_chunks_mut(classes).zip(r.par_chunks(features)).zip(labels);
        rows.with_min_len(8).for_each(|((y, r), &label)| {
            let own = &w[label as usize * features..][..features];
            for (y, other) in y.iter_mut().zip(w.chunks(features)) {
                *y = weighted_distance(own, other, r);
            }
        });
    }))
}

pub(super) fn backward_input(signature: &Signature) -> Result<NativeCall> {
    let (classes, features) = extents(&signature.inputs[1].shape);
    Ok(NativeCall::new("margin_radius_backward_input", move |args| {
        let (g, w, labels) = (args.input(0), args.input(1), args.input_u32(2));
        let rows = args.output(0).par_chunks_mut(features).zip(g.par_chunks(classes)).zip(labels);
        rows.with_min_len(8).for_each(|((out, g), &label)| {
            let own = &w[label as usize * features..][..features];
            out.fill(0.0);
            for (&g, other) in g.iter().zip(w.chunks(features)) {
                add_distance(g, own, other, out);
            }
        });
    }))
}

pub(super) fn backward_weight(signature: &Signature) -> Result<NativeCall> {
    let (classes, features) = extents(&signature.inputs[2].shape);
    Ok(NativeCall::new("margin_radius_backward_weight", move |args| {
        let (g, r, w, labels) = (args.input(0), args.input(1), args.input(2), args.input_u32(3));
        // One task per class row: samples are visited in order, so the sum has one order.
        args.output(0).par_chunks_mut(features).enumerate().for_each(|(k, out)| {
            out.fill(0.0);
            let row = &w[k * features..][..features];
            for ((g, r), &label) in g.chunks(classes).zip(r.chunks(features)).zip(labels) {
                let label = label as usize;
                if label == k {
                    for (&g, other) in g.iter().zip(w.chunks(features)) {
                        add_signed(g, row, other, r, out);
                    }
                } else {
                    // −g·sign(own − row) = g·sign(row − own).
                    add_signed(g[k], row, &w[label * features..][..features], r, out);
                }
            }
        });
    }))
}

fn extents(w: &crate::shape::Shape) -> (usize, usize) {
    (w[0], w[1])
}

/// Independent partial sums of [`weighted_distance`].
const LANES: usize = 16;

vectorised! {
    /// Σ |a − b| · r.
    fn weighted_distance(a: &[f32], b: &[f32], r: &[f32]) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let n = r.len() / LANES * LANES;
        for ((a, b), r) in a[..n].chunks(LANES).zip(b[..n].chunks(LANES)).zip(r[..n].chunks(LANES)) {
            for i in 0..LANES {
                lanes[i] += (a[i] - b[i]).abs() * r[i];
            }
        }
        for i in n..r.len() {
            lanes[i - n] += (a[i] - b[i]).abs() * r[i];
        }
        lanes.iter().sum()
    }
}

vectorised! {
    /// out += g · |a − b|.
    fn add_distance(g: f32, a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out += g * (a - b).abs();
        }
    }
}

vectorised! {
    /// out += g · sign(a − b) · r.
    fn add_signed(g: f32, a: &[f32], b: &[f32], r: &[f32], out: &mut [f32]) {
        for (((out, &a), &b), &r) in out.iter_mut().zip(a).zip(b).zip(r) {
            let sign = (a > b) as u32 as f32 - (a < b) as u32 as f32;
            *out += g * sign * r;
        }
    }
}
