//! Native kernels: a copy of each row of the window.

use rayon::prelude::*;

use super::{CutWindow, EmbedWindow};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::window::{Place, runs};

pub(super) fn embed(op: &EmbedWindow, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0])?;
    Ok(NativeCall::new("embed_window", move |args| {
        let (x, records) = (args.input(0), args.input_u32(1));
        let windows = x.par_chunks(placement.elements());
        args.output(0).par_chunks_mut(placement.pixels()).zip(windows).enumerate().for_each(|(r, (y, x))| {
            y.fill(0.0);
            let place = Place { placement: &placement, sample: &[], record: &records[4 * r..][..4] };
            runs!(place, |w, p, n| {
                y[p..p + n].copy_from_slice(&x[w..w + n]);
            });
        });
    }))
}

pub(super) fn cut(op: &CutWindow, signature: &Signature) -> Result<NativeCall> {
    let placement = op.placement(&signature.inputs[0])?;
    Ok(NativeCall::new("cut_window", move |args| {
        let (y, records) = (args.input(0), args.input_u32(1));
        let images = y.par_chunks(placement.pixels());
        args.output(0).par_chunks_mut(placement.elements()).zip(images).enumerate().for_each(|(r, (x, y))| {
            x.fill(0.0);
            let place = Place { placement: &placement, sample: &[], record: &records[4 * r..][..4] };
            runs!(place, |w, p, n| {
                x[w..w + n].copy_from_slice(&y[p..p + n]);
            });
        });
    }))
}
