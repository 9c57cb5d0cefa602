//! The order in which a run of elements is reduced, whole or block by block.

use super::ReduceKind;
use crate::ops::simd::vectorised;

/// Independent accumulators of a run, so that the loop vectorises in one fixed order.
const LANES: usize = 32;

#[inline(always)]
pub(crate) fn combine(kind: ReduceKind, a: f32, b: f32) -> f32 {
    // A NaN on either side stays: `a` unless `b` is strictly better or not comparable.
    match kind {
        ReduceKind::Sum => a + b,
        ReduceKind::Min => if b < a || b.is_nan() { b } else { a },
        ReduceKind::Max => if b > a || b.is_nan() { b } else { a },
    }
}

/// A run of elements that is being reduced: element i goes to accumulator i mod 32, in order; in the end the accumulators are combined
/// by halves. A run shorter than that is reduced in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folding {
    lanes: [f32; LANES],
    /// Elements so far.
    count: usize,
}

impl Folding {
    pub(crate) const EMPTY: Folding = Folding { lanes: [0.0; LANES], count: 0 };

    /// The next elements of the run.
    pub(crate) fn add(&mut self, kind: ReduceKind, x: &[f32]) {
        add(kind, &mut self.lanes, self.count, x);
        self.count += x.len();
    }

    /// The reduced run, which had at least one element.
    pub(crate) fn finish(self, kind: ReduceKind) -> f32 {
        let Folding { mut lanes, count } = self;
        if count < LANES {
            return lanes[1..count].iter().fold(lanes[0], |acc, &v| combine(kind, acc, v));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] = combine(kind, lanes[i], lanes[i + width]);
            }
            width /= 2;
        }
        lanes[0]
    }

    /// A whole run.
    pub(crate) fn of(kind: ReduceKind, x: &[f32]) -> f32 {
        let mut folding = Folding::EMPTY;
        folding.add(kind, x);
        folding.finish(kind)
    }
}

vectorised! {
    fn add(kind: ReduceKind, lanes: &mut [f32; LANES], count: usize, x: &[f32]) {
        let mut x = x;
        // The first elements are the accumulators' beginning.
        if count < LANES {
            let (first, rest) = x.split_at(x.len().min(LANES - count));
            lanes[count..count + first.len()].copy_from_slice(first);
            x = rest;
        } else if !count.is_multiple_of(LANES) {
            let place = count % LANES;
            let (first, rest) = x.split_at(x.len().min(LANES - place));
            for (acc, &v) in lanes[place..].iter_mut().zip(first) {
                *acc = combine(kind, *acc, v);
            }
            x = rest;
        }
        let mut sums = *lanes;
        let (chunks, tail) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for (acc, &v) in sums.iter_mut().zip(chunk) {
                *acc = combine(kind, *acc, v);
            }
        }
        for (acc, &v) in sums.iter_mut().zip(tail) {
            *acc = combine(kind, *acc, v);
        }
        *lanes = sums;
    }
}

vectorised! {
    /// Combines `x` into the accumulators, element by element.
    pub(crate) fn combine_each(kind: ReduceKind, x: &[f32], into: &mut [f32]) {
        for (acc, &v) in into.iter_mut().zip(x) {
            *acc = combine(kind, *acc, v);
        }
    }
}
