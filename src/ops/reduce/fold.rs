//! The order in which a run of elements is reduced, whole or block by block.

use super::ReduceKind;
use crate::ops::simd::vectorised;

/// Independent accumulators of a run, so that the loop vectorises in one fixed order.
pub(crate) const LANES: usize = 32;
/// Neighbours of the last elements of a run that are added together: those of a short vector.
const SHORT: usize = 8;

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
    /// −0 is what sums may begin with: it changes no summand, not even another −0.
    pub(crate) const EMPTY: Folding = Folding { lanes: [-0.0; LANES], count: 0 };

    /// The next elements of the run.
    pub(crate) fn add(&mut self, kind: ReduceKind, x: &[f32]) {
        add(kind, &mut self.lanes, self.count, x);
        self.count += x.len();
    }

    /// The next terms of a sum, each rounded as if it had been written down first.
    pub(crate) fn add_terms(&mut self, terms: Terms<'_>) {
        match terms {
            Terms::Values(x) => add(ReduceKind::Sum, &mut self.lanes, self.count, x),
            Terms::Products(a, b) => add_products(&mut self.lanes, self.count, a, b),
            Terms::Magnitudes(x) => add_magnitudes(&mut self.lanes, self.count, x),
        }
        self.count += terms.len();
    }

    /// The accumulators, for `n` more terms of a sum to be added to them. Only whole rounds of accumulators may have been before.
    #[inline(always)]
    pub(crate) fn accumulators(&mut self, n: usize) -> &mut [f32; LANES] {
        debug_assert!(self.count.is_multiple_of(LANES), "terms begin with the first accumulator");
        self.count += n;
        &mut self.lanes
    }

    /// The reduced run, which had at least one element.
    #[inline(always)]
    pub(crate) fn finish(&self, kind: ReduceKind) -> f32 {
        if self.count < LANES {
            return self.lanes[1..self.count].iter().fold(self.lanes[0], |acc, &v| combine(kind, acc, v));
        }
        match kind {
            ReduceKind::Sum => halved(&self.lanes, |a, b| combine(ReduceKind::Sum, a, b)),
            kind => halved(&self.lanes, |a, b| combine(kind, a, b)),
        }
    }

    /// The reduced run, which had at least 32 elements, for each place among as many neighbours as there are in `into`, a divisor of 32;
    /// written there, or combined into what is there.
    #[inline(always)]
    pub(crate) fn finish_lanes(&self, kind: ReduceKind, into: &mut [f32], write: bool) {
        let (first, rest) = self.lanes.split_at(into.len());
        let folded = |lane: usize| {
            rest.chunks_exact(into.len()).fold(first[lane], |acc, others| combine(kind, acc, others[lane]))
        };
        let folded: [f32; LANES] = std::array::from_fn(|lane| if lane < into.len() { folded(lane) } else { 0.0 });
        for (sum, folded) in into.iter_mut().zip(folded) {
            *sum = if write { folded } else { combine(kind, *sum, folded) };
        }
    }

    /// A whole run.
    #[inline(always)]
    pub(crate) fn of(kind: ReduceKind, x: &[f32]) -> f32 {
        let mut folding = Folding::EMPTY;
        folding.add(kind, x);
        folding.finish(kind)
    }
}

/// All accumulators in one, by halves.
#[inline(always)]
fn halved(lanes: &[f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let a: [f32; 16] = std::array::from_fn(|i| combine(lanes[i], lanes[i + 16]));
    let a: [f32; 8] = std::array::from_fn(|i| combine(a[i], a[i + 8]));
    let a: [f32; 4] = std::array::from_fn(|i| combine(a[i], a[i + 4]));
    let a: [f32; 2] = std::array::from_fn(|i| combine(a[i], a[i + 2]));
    combine(a[0], a[1])
}

/// What is added up, element by element.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Terms<'a> {
    /// x.
    Values(&'a [f32]),
    /// a · b.
    Products(&'a [f32], &'a [f32]),
    /// |x|.
    Magnitudes(&'a [f32]),
}

impl<'a> Terms<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Terms::Values(x) | Terms::Products(x, _) | Terms::Magnitudes(x) => x.len(),
        }
    }

    /// The first `n` and the others.
    pub(crate) fn split_at(self, n: usize) -> (Terms<'a>, Terms<'a>) {
        let of = |x: &'a [f32]| x.split_at(n);
        match self {
            Terms::Values(x) => (Terms::Values(of(x).0), Terms::Values(of(x).1)),
            Terms::Magnitudes(x) => (Terms::Magnitudes(of(x).0), Terms::Magnitudes(of(x).1)),
            Terms::Products(a, b) => (Terms::Products(of(a).0, of(b).0), Terms::Products(of(a).1, of(b).1)),
        }
    }
}

/// Adds the terms of elements to the accumulators, in the order of [`add`].
macro_rules! add_each {
    ($lanes:ident, $count:ident, ($($x:ident),+), $term:expr) => {{
        let place = $count % LANES;
        let n = [$($x.len()),+][0];
        // Up to where the accumulators begin anew.
        let head = if place == 0 { 0 } else { n.min(LANES - place) };
        for (i, acc) in $lanes[place..place + head].iter_mut().enumerate() {
            $(let $x = $x[i];)+
            *acc += $term;
        }
        $(let $x = &$x[head..n];)+
        let mut sums = *$lanes;
        let full = (n - head) / LANES;
        for chunk in 0..full {
            $(let $x: &[f32; LANES] = $x[chunk * LANES..][..LANES].try_into().expect("as many");)+
            for (i, acc) in sums.iter_mut().enumerate() {
                $(let $x = $x[i];)+
                *acc += $term;
            }
        }
        *$lanes = sums;
        // What is left, some neighbours at a time as far as that goes.
        $(let $x = &$x[full * LANES..];)+
        let left = (n - head) % LANES;
        let whole = left / SHORT * SHORT;
        for (chunk, sums) in $lanes[..whole].as_chunks_mut::<SHORT>().0.iter_mut().enumerate() {
            $(let $x: &[f32; SHORT] = $x[chunk * SHORT..][..SHORT].try_into().expect("as many");)+
            for (i, acc) in sums.iter_mut().enumerate() {
                $(let $x = $x[i];)+
                *acc += $term;
            }
        }
        for (i, acc) in $lanes[whole..left].iter_mut().enumerate() {
            $(let $x = $x[whole + i];)+
            *acc += $term;
        }
    }};
}

vectorised! {
    fn add_products(lanes: &mut [f32; LANES], count: usize, a: &[f32], b: &[f32]) {
        add_each!(lanes, count, (a, b), a * b);
    }
}

vectorised! {
    fn add_magnitudes(lanes: &mut [f32; LANES], count: usize, x: &[f32]) {
        add_each!(lanes, count, (x), x.abs());
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
        *lanes = sums;
        // What is left, some neighbours at a time as far as that goes.
        let (chunks, last) = tail.as_chunks::<SHORT>();
        for (sums, chunk) in lanes.as_chunks_mut::<SHORT>().0.iter_mut().zip(chunks) {
            for (acc, &v) in sums.iter_mut().zip(chunk) {
                *acc = combine(kind, *acc, v);
            }
        }
        for (acc, &v) in lanes[tail.len() - last.len()..].iter_mut().zip(last) {
            *acc = combine(kind, *acc, v);
        }
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
