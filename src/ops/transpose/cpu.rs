//! Native kernel of the permutation: runs of memory where the last axis stays contiguous, else blocks that are transposed in registers.

use rayon::prelude::*;

use super::{RANK, Transpose};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::NativeCall;
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::workers::{Shared, for_each};
use crate::ops::simd::{CHUNK, level};

/// Rows that are transposed at once: whole cache lines are written, and their neighbours soon after.
const ROWS: usize = 64;
/// Most columns at once: rows are long enough for the processor to see that they are read one element after the other, and what is written
/// stays in the second cache until the lines are whole.
const MOST_COLUMNS: usize = 1024;
/// Fewer columns, down to as many as rows, where there would be fewer tasks than this.
const TASKS: usize = 32;

pub(super) fn call(op: &Transpose, signature: &Signature) -> Result<NativeCall> {
    let axes = joined(op.strides(&signature.inputs[0].shape));
    Ok(match axes.last() {
        Some(last) if last.step != 1 => blocks(axes),
        _ => runs(axes),
    })
}

/// An output axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    extent: usize,
    /// From one element to the next in the input.
    step: usize,
}

/// The output's axes without those of extent 1, neighbours that are neighbours in the input too made one.
fn joined((extents, steps): ([usize; RANK], [usize; RANK])) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::with_capacity(RANK);
    for (extent, step) in extents.into_iter().zip(steps).filter(|(extent, _)| *extent != 1) {
        match axes.last_mut() {
            Some(last) if last.step == extent * step => *last = Axis { extent: last.extent * extent, step },
            _ => axes.push(Axis { extent, step }),
        }
    }
    axes
}

/// Where element `index` of `axes`, counted in their order, is in the input.
fn place(axes: &[Axis], index: usize) -> usize {
    let (mut rest, mut at) = (index, 0);
    for axis in axes.iter().rev() {
        at += rest % axis.extent * axis.step;
        rest /= axis.extent;
    }
    at
}

/// The last axis has step 1.
fn runs(mut axes: Vec<Axis>) -> NativeCall {
    let run = axes.pop().map_or(1, |axis| axis.extent);
    NativeCall::new("transpose", move |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            let mut done = 0;
            while done < y.len() {
                let at = chunk * CHUNK + done;
                let n = (run - at % run).min(y.len() - done);
                let from = place(&axes, at / run) + at % run;
                y[done..done + n].copy_from_slice(&x[from..from + n]);
                done += n;
            }
        });
    })
}

/// Another axis has step 1: both are cut into pieces.
fn blocks(mut axes: Vec<Axis>) -> NativeCall {
    let last = axes.pop().expect("the last axis has a step");
    let inner = axes.iter().position(|axis| axis.step == 1).expect("one axis is contiguous in the input");
    let columns = axes[inner].extent;
    // From one element of that axis to the next in the output.
    let to_step = last.extent * axes[inner + 1..].iter().map(|axis| axis.extent).product::<usize>();
    axes[inner].extent = 1;
    let matrices: usize = axes.iter().map(|axis| axis.extent).product();
    let mut side = MOST_COLUMNS;
    while side > ROWS && columns.div_ceil(side) * matrices < TASKS {
        side /= 2;
    }
    let pieces = columns.div_ceil(side);
    let tasks = pieces * matrices;
    NativeCall::new("transpose", move |args| {
        let (x, y) = (args.input(0), Shared::new(args.output(0)));
        for_each(tasks, |task| {
            let (outer, first) = (task / pieces, task % pieces * side);
            let (before, after) = {
                let after: usize = axes[inner + 1..].iter().map(|axis| axis.extent).product();
                (outer / after, outer % after)
            };
            let to = before * columns * to_step + first * to_step + after * last.extent;
            for row in (0..last.extent).step_by(ROWS) {
                let from = place(&axes, outer) + first + row * last.step;
                // SAFETY: tasks write disjoint columns, and the piece is inside both operands.
                unsafe {
                    let piece = Piece {
                        from: x[from..].as_ptr(),
                        from_step: last.step,
                        to: y.at(to + row),
                        to_step,
                        rows: ROWS.min(last.extent - row),
                        columns: side.min(columns - first),
                    };
                    dispatch(level(), piece);
                }
            }
        });
    })
}

/// What is transposed at once.
struct Piece {
    from: *const f32,
    from_step: usize,
    to: *mut f32,
    to_step: usize,
    rows: usize,
    columns: usize,
}

impl Work for Piece {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { transpose::<S>((self.from, self.from_step), (self.to, self.to_step), self.rows, self.columns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_stay_together_are_one() {
        let axis = |extent, step| Axis { extent, step };
        // [4, 1, 5, 6] by (2, 1, 0, 3) and [2, 3, 4] by (0, 1, 2).
        assert_eq!(joined(([5, 1, 4, 6], [6, 30, 30, 1])), [axis(5, 6), axis(4, 30), axis(6, 1)]);
        assert_eq!(joined(([1, 2, 3, 4], [0, 12, 4, 1])), [axis(24, 1)]);
        assert_eq!(joined(([1, 1, 1, 1], [0; RANK])), []);
    }
}
