//! Native kernels: rows are independent of each other.

use rayon::prelude::*;

use super::Concretize;
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::simd::vectorised;
use crate::ops::window::{LANES, Place, runs, summed};

/// The end of a pixel's interval at which a · pixel is least, chosen by bits: where a condition decides which value to load, loads are done
/// one by one.
#[inline(always)]
fn end(a: f32, below: f32, above: f32) -> f32 {
    let mask = u32::from(a > 0.0).wrapping_neg();
    f32::from_bits(below.to_bits() & mask | above.to_bits() & !mask)
}

vectorised! {
    /// Least value of one row.
    fn least(place: Place<'_>, coefficients: &[f32]) -> f32 {
        let pixels = place.placement.pixels();
        let mut lanes = [0.0f32; LANES];
        runs!(place, |w, p, n| {
            let (a, below, above) = (&coefficients[w..][..n], &place.sample[p..][..n], &place.sample[pixels + p..][..n]);
            summed!(lanes, n, (a, below, above), |i| a[i] * end(a[i], below[i], above[i]));
        });
        lanes.iter().sum()
    }
}

vectorised! {
    /// The corner at which one row is least, times the gradient.
    fn corner(place: Place<'_>, coefficients: &[f32], grad: f32, out: &mut [f32]) {
        let pixels = place.placement.pixels();
        runs!(place, |w, p, n| {
            let (a, below, above) = (&coefficients[w..][..n], &place.sample[p..][..n], &place.sample[pixels + p..][..n]);
            let out = &mut out[w..][..n];
            for i in 0..n {
                out[i] = grad * end(a[i], below[i], above[i]);
            }
        });
    }
}

pub(super) fn forward(op: &Concretize, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let n = placement.elements();
    Ok(NativeCall::new("concretize", move |args| {
        let (a, region, records) = (args.input(0), args.input(1), args.input_u32(2));
        args.output(0).par_iter_mut().enumerate().for_each(|(r, d)| {
            *d = least(Place::new(&placement, 2, region, records, r), &a[r * n..][..n]);
        });
    }))
}

pub(super) fn backward(op: &Concretize, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0], &signature.inputs[1])?;
    let n = placement.elements();
    Ok(NativeCall::new("concretize_backward", move |args| {
        let (a, region, records, grad) = (args.input(0), args.input(1), args.input_u32(2), args.input(3));
        args.output(0).par_chunks_mut(n).enumerate().for_each(|(r, out)| {
            if !placement.is_whole() {
                out.fill(0.0);
            }
            corner(Place::new(&placement, 2, region, records, r), &a[r * n..][..n], grad[r], out);
        });
    }))
}
