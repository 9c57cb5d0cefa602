//! The native kernel of a sweep: one loop over each channel's neighbouring elements.

use super::super::gather::{Cut, SHORT};
use super::super::program::{Operand, Program, Source};
use super::algebra::Vectors;
use super::maps::Map;
use super::pattern::{Match, find};
use crate::kernel::NativeCall;
use crate::ops::ReduceKind;
use crate::ops::native::lanes::{MOST_LANES, Simd, Work, dispatch};
use crate::ops::native::workers::{Shared, for_each};
use crate::ops::reduce::fold::{Folding, LANES};
use crate::ops::simd::level;
use crate::ops::support::Spread;

/// The pass as a sweep of map `M`, if it is one.
pub(super) fn call<M: Map<E, F, R, T>, const E: usize, const F: usize, const R: usize, const T: usize>(
    program: &Program,
) -> Option<NativeCall> {
    let Match { each, factors, results, sums } = find::<M, E, F, R, T>(program)?;
    let (elements, cut) = (program.elements, Cut::new(program.view, program.lanes));
    let period = Period::new(program, &factors, cut)?;
    let input = |o: usize| match program.operands[o].source {
        Source::Input(input) => input,
        Source::Old(_) => unreachable!("sweeps update nothing"),
    };
    let each = each.map(input);
    let factors = factors.map(|o| (input(o), program.operands[o]));
    let (tasks, partials) = (cut.tasks(elements), cut.partials(elements));
    Some(NativeCall::with_scratch("elementwise", vec![(partials * T).max(1)], move |args| {
        let partial = Shared::new(args.scratch(0));
        let factors = factors.map(|(input, operand)| Factor::new(args.input(input), operand));
        for_each(tasks, |task| {
            let (from, to) = cut.range(task, elements);
            let (first, count) = cut.partials_of(task, elements);
            let results = results.map(|output| args.raw_output(output));
            let inputs = each.map(|input| args.input(input));
            assert!(inputs.iter().all(|x| x.len() >= to) && results.iter().all(|y| y.words >= to), "whole operands");
            let run = Run::<M, E, F, R, T> {
                each: inputs.map(<[f32]>::as_ptr),
                factors: &factors,
                results: results.map(|y| y.pointer.cast()),
                period,
                cut,
                range: [from, to],
                // SAFETY: each task has its own partial results.
                partial: std::array::from_fn(|t| unsafe {
                    std::slice::from_raw_parts_mut(partial.at(t * partials + first), count)
                }),
                map: std::marker::PhantomData,
            };
            // SAFETY: the level is this machine's, the operands have all elements of the range, and tasks are disjoint.
            unsafe { dispatch(level(), run) };
        });
        let partial = args.scratch(0);
        for (t, output) in sums.into_iter().enumerate() {
            cut.finish(ReduceKind::Sum, &partial[t * partials..(t + 1) * partials], args.output(output));
        }
    }))
}

/// How long factors stay the same.
#[derive(Clone, Copy, Debug)]
struct Period {
    /// Elements from one change to the next.
    run: usize,
    /// Changes after which they begin anew.
    len: usize,
}

impl Period {
    /// The period of a pass, if a sweep can keep to it.
    fn new(program: &Program, factors: &[usize], cut: Cut) -> Option<Period> {
        let operands = factors.iter().map(|&o| &program.operands[o]).filter(|operand| operand.spread.len > 1);
        let mut period = None;
        for &Operand { spread, lanes, .. } in operands {
            let fits = spread.inner >= SHORT && (lanes == 1 || lanes == level().lanes());
            (fits && *period.get_or_insert(spread) == spread).then_some(())?;
        }
        let Some(Spread { inner: run, len }) = period else {
            // Sums begin anew where factors would change.
            let run = cut.run().unwrap_or(usize::MAX);
            return (run >= SHORT).then_some(Period { run, len: 1 });
        };
        let fits = match cut {
            Cut::Anywhere => true,
            // The accumulators go on across changes.
            Cut::Pieces { .. } => run.is_multiple_of(LANES),
            Cut::Runs { .. } | Cut::Rows { .. } => cut.run() == Some(run),
        };
        fits.then_some(Period { run, len })
    }
}

/// One number for a channel or for all elements.
#[derive(Clone, Copy, Debug)]
struct Factor<'a> {
    values: &'a [f32],
    /// From the first value of a channel, or a block of channels, to that of the next.
    step: usize,
    lanes: usize,
}

impl<'a> Factor<'a> {
    fn new(input: &'a [f32], operand: Operand) -> Factor<'a> {
        let lanes = operand.lanes;
        Factor { values: &input[operand.first..], step: if operand.spread.len == 1 { 0 } else { lanes }, lanes }
    }

    /// The vector to apply to elements of change `index`.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, index: usize) -> S::Vector {
        let values = &self.values[index * self.step..][..self.lanes];
        // SAFETY: the caller's duty; blocks of channels have as many as the vectors of this machine's level.
        unsafe { if self.lanes == 1 { S::splat(values[0]) } else { S::load(values.as_ptr()) } }
    }
}

/// Most vectors of [`LANES`] elements.
const MOST_VECTORS: usize = 8;

/// A task.
struct Run<'a, M, const E: usize, const F: usize, const R: usize, const T: usize> {
    each: [*const f32; E],
    factors: &'a [Factor<'a>; F],
    results: [*mut f32; R],
    period: Period,
    cut: Cut,
    range: [usize; 2],
    /// The task's partial sums, by sum.
    partial: [&'a mut [f32]; T],
    map: std::marker::PhantomData<M>,
}

impl<M: Map<E, F, R, T>, const E: usize, const F: usize, const R: usize, const T: usize> Work
    for Run<'_, M, E, F, R, T>
{
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let [from, to] = self.range;
        let Period { run, len } = self.period;
        let (mut at, mut index, mut left) = (from, from / run % len, run - from % run);
        let mut runs = self.cut.runs();
        let mut sums = [Folding::EMPTY; T];
        while at < to {
            let n = left.min(to - at);
            // SAFETY: the caller's duty; the elements are the task's.
            unsafe { self.segment::<S>(at, n, index, &mut sums) };
            if let Some(ended) = runs.as_mut().and_then(|runs| runs.advance(n)) {
                for (sum, partial) in sums.iter_mut().zip(&mut self.partial) {
                    ended.close(ReduceKind::Sum, sum, partial);
                }
            }
            (at, left) = (at + n, left - n);
            if left == 0 {
                left = run;
                index = if index + 1 == len { 0 } else { index + 1 };
            }
        }
        for (sum, partial) in sums.into_iter().zip(&mut self.partial) {
            self.cut.finish_task(ReduceKind::Sum, sum, partial);
        }
    }
}

impl<M: Map<E, F, R, T>, const E: usize, const F: usize, const R: usize, const T: usize> Run<'_, M, E, F, R, T> {
    /// `n` elements from `at` on, the accumulators beginning with their first.
    ///
    /// # Safety
    /// As [`Simd`], and the elements are in all operands.
    #[inline(always)]
    unsafe fn segment<S: Simd>(&self, at: usize, n: usize, index: usize, sums: &mut [Folding; T]) {
        // SAFETY: the caller's duty, for all of the function.
        unsafe {
            let mut a = Vectors::<S>::new();
            let mut factors = [S::splat(0.0); F];
            for (vector, factor) in factors.iter_mut().zip(self.factors) {
                *vector = factor.at::<S>(index);
            }
            let vectors = LANES / S::LANES;
            let mut lanes: [&mut [f32; LANES]; T] = sums.each_mut().map(|sum| sum.accumulators(n));
            // One value for each vector and sum, so that they stay in registers.
            let mut accumulators = [[S::splat(0.0); T]; MOST_VECTORS];
            for (v, of_vector) in accumulators.iter_mut().take(vectors).enumerate() {
                for (accumulator, lanes) in of_vector.iter_mut().zip(&lanes) {
                    *accumulator = S::load(lanes.as_ptr().add(v * S::LANES));
                }
            }
            let whole = n / LANES * LANES;
            let mut i = 0;
            while i < whole {
                for of_vector in accumulators.iter_mut().take(vectors) {
                    *of_vector = self.vector(&mut a, at + i, factors, *of_vector);
                    i += S::LANES;
                }
            }
            for of_vector in accumulators.iter_mut().take(vectors) {
                if i + S::LANES <= n {
                    *of_vector = self.vector(&mut a, at + i, factors, *of_vector);
                    i += S::LANES;
                }
            }
            for (v, of_vector) in accumulators.into_iter().take(vectors).enumerate() {
                for (accumulator, lanes) in of_vector.into_iter().zip(&mut lanes) {
                    S::store(lanes.as_mut_ptr().add(v * S::LANES), accumulator);
                }
            }
            let rest = n - i;
            if rest > 0 {
                let mut each = [S::splat(0.0); E];
                for (each, x) in each.iter_mut().zip(&self.each) {
                    *each = S::load_first(x.add(at + i), rest);
                }
                let (results, terms) = M::apply(&mut a, each, factors);
                for (result, y) in results.into_iter().zip(&self.results) {
                    S::store_first(y.add(at + i), result, rest);
                }
                for (lanes, term) in lanes.iter_mut().zip(terms) {
                    let mut last = [0.0; MOST_LANES];
                    S::store(last.as_mut_ptr(), term);
                    for (sum, term) in lanes[i - whole..].iter_mut().zip(&last[..rest]) {
                        *sum += term;
                    }
                }
            }
        }
    }

    /// One vector of elements from `at` on, and the accumulators behind it.
    ///
    /// # Safety
    /// As [`Run::segment`].
    #[inline(always)]
    unsafe fn vector<S: Simd>(
        &self,
        a: &mut Vectors<S>,
        at: usize,
        factors: [S::Vector; F],
        accumulators: [S::Vector; T],
    ) -> [S::Vector; T] {
        // SAFETY: the caller's duty.
        unsafe {
            let mut each = [S::splat(0.0); E];
            for (each, x) in each.iter_mut().zip(&self.each) {
                *each = S::load(x.add(at));
            }
            let (results, terms) = M::apply(a, each, factors);
            for (result, y) in results.into_iter().zip(&self.results) {
                S::store(y.add(at), result);
            }
            let mut sums = accumulators;
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum = S::add(*sum, term);
            }
            sums
        }
    }
}
