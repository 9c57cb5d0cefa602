//! Native kernel: a copy of each row of the window.

use rayon::prelude::*;

use crate::kernel::NativeCall;
use crate::ops::window::{Place, Placement, runs};

/// Windows into images, or with `cut` out of them.
pub(super) fn call(name: &'static str, placement: Placement, cut: bool) -> NativeCall {
    NativeCall::new(name, move |args| {
        let (x, records) = (args.input(0), args.input_u32(1));
        let (window, image) = (placement.elements(), placement.pixels());
        let (from, to) = if cut { (image, window) } else { (window, image) };
        args.output(0).par_chunks_mut(to).zip(x.par_chunks(from)).enumerate().for_each(|(r, (y, x))| {
            y.fill(0.0);
            let place = Place { placement: &placement, sample: &[], record: &records[4 * r..][..4] };
            runs!(place, |w, p, n| {
                let (from, to) = if cut { (p, w) } else { (w, p) };
                y[to..to + n].copy_from_slice(&x[from..from + n]);
            });
        });
    })
}
