//! How a pass is cut into tasks, and its reductions: the same pieces, in the same order, as a reduction by itself.

use crate::ops::ReduceKind;
use crate::ops::reduce::fold::{Folding, Terms, combine, combine_each};
use crate::ops::simd::CHUNK;

/// Runs shorter than this are not worth a block of their own.
pub(super) const SHORT: usize = 128;

/// How a pass is cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// Nothing is reduced: anywhere.
    Anywhere,
    /// Each kept element has one run of memory of `run` elements, which is cut into `pieces`.
    Pieces { run: usize, pieces: usize },
    /// Each kept element has one short run; a task has `runs` of them.
    Runs { run: usize, runs: usize },
    /// A task has `rows` rows of `keep` runs of `inner` elements, of which each in its place among `lanes` is kept.
    Rows { rows: usize, keep: usize, inner: usize, lanes: usize },
}

impl Cut {
    /// For a pass that reduces by `view`, and keeps `lanes` neighbouring elements apart.
    pub(super) fn new(view: Option<[usize; 3]>, lanes: usize) -> Cut {
        let Some([outer, keep, inner]) = view else { return Cut::Anywhere };
        if lanes == 1 && (keep == 1 || outer == 1) {
            let run = if keep == 1 { outer * inner } else { inner };
            let pieces = run.div_ceil(CHUNK);
            return if pieces > 1 {
                Cut::Pieces { run, pieces }
            } else {
                Cut::Runs { run, runs: (CHUNK / run).max(1) }
            };
        }
        Cut::Rows { rows: (CHUNK / (keep * inner)).clamp(1, outer), keep, inner, lanes }
    }

    /// Number of tasks of a pass over `elements`.
    pub(super) fn tasks(self, elements: usize) -> usize {
        match self {
            Cut::Anywhere => elements.div_ceil(CHUNK),
            Cut::Pieces { run, pieces } => elements / run * pieces,
            Cut::Runs { run, runs } => elements.div_ceil(run * runs),
            Cut::Rows { rows, keep, inner, .. } => elements.div_ceil(rows * keep * inner),
        }
    }

    /// First element of a task and the one behind its last.
    pub(super) fn range(self, task: usize, elements: usize) -> (usize, usize) {
        let of = |size: usize| (task * size, ((task + 1) * size).min(elements));
        match self {
            Cut::Anywhere => of(CHUNK),
            Cut::Pieces { run, pieces } => {
                let (first, piece) = (task / pieces * run, task % pieces);
                (first + piece * CHUNK, first + ((piece + 1) * CHUNK).min(run))
            }
            Cut::Runs { run, runs } => of(run * runs),
            Cut::Rows { rows, keep, inner, .. } => of(rows * keep * inner),
        }
    }

    /// Partial results of one reduction in the whole pass.
    pub(super) fn partials(self, elements: usize) -> usize {
        match self {
            Cut::Anywhere => 0,
            Cut::Pieces { .. } => self.tasks(elements),
            Cut::Runs { run, .. } => elements / run,
            Cut::Rows { keep, lanes, .. } => self.tasks(elements) * keep * lanes,
        }
    }

    /// Where the partial results of a task are, among all.
    pub(super) fn partials_of(self, task: usize, elements: usize) -> (usize, usize) {
        match self {
            Cut::Anywhere => (0, 0),
            Cut::Pieces { .. } => (task, 1),
            Cut::Runs { run, runs } => (task * runs, runs.min(elements / run - task * runs)),
            Cut::Rows { keep, lanes, .. } => (task * keep * lanes, keep * lanes),
        }
    }

    /// Elements of a run after which sums begin anew, where that is within tasks.
    pub(super) fn run(self) -> Option<usize> {
        match self {
            Cut::Runs { run, .. } => Some(run),
            Cut::Rows { inner, .. } => Some(inner),
            Cut::Anywhere | Cut::Pieces { .. } => None,
        }
    }

    /// The runs that a task's blocks keep to the ends of.
    pub(super) fn runs(self) -> Option<Runs> {
        let (run, keep, lanes) = match self {
            Cut::Runs { run, .. } => (run, usize::MAX, 1),
            Cut::Rows { keep, inner, lanes, .. } => (inner, keep, lanes),
            Cut::Anywhere | Cut::Pieces { .. } => return None,
        };
        (run >= SHORT).then_some(Runs { run, keep, lanes, left: run, index: 0, is_first_row: true })
    }

    /// The next elements of a task, the first being element `at` of the task; `partial` are the task's. For cuts whose blocks don't keep to
    /// runs.
    pub(super) fn add(self, kind: ReduceKind, at: usize, x: Terms<'_>, folding: &mut Folding, partial: &mut [f32]) {
        let (run, keep) = match self {
            Cut::Anywhere => return,
            Cut::Pieces { .. } => return fold(kind, x, folding),
            Cut::Runs { run, .. } => (run, partial.len()),
            Cut::Rows { keep, inner: 1, .. } => return rows(kind, at, keep, x, partial),
            Cut::Rows { keep, inner, .. } => (inner, keep),
        };
        let (mut at, mut x) = (at, x);
        while x.len() > 0 {
            let (of_run, rest) = x.split_at((run - at % run).min(x.len()));
            fold(kind, of_run, folding);
            at += of_run.len();
            x = rest;
            if at.is_multiple_of(run) {
                let index = at / run - 1;
                close(kind, index % keep, index < keep, folding, partial);
            }
        }
    }

    /// The end of a task.
    pub(super) fn finish_task(self, kind: ReduceKind, folding: Folding, partial: &mut [f32]) {
        if let Cut::Pieces { .. } = self {
            partial[0] = folding.finish(kind);
        }
    }

    /// The end of the pass: all partial results to the output.
    pub(super) fn finish(self, kind: ReduceKind, partial: &[f32], y: &mut [f32]) {
        match self {
            Cut::Anywhere => {}
            Cut::Pieces { pieces, .. } => {
                for (y, partial) in y.iter_mut().zip(partial.chunks(pieces)) {
                    *y = Folding::of(kind, partial);
                }
            }
            Cut::Runs { .. } => y.copy_from_slice(partial),
            Cut::Rows { keep, lanes, .. } => {
                let (first, rest) = partial.split_at(keep * lanes);
                y.copy_from_slice(first);
                rest.chunks(keep * lanes).for_each(|partial| combine_each(kind, partial, y));
            }
        }
    }
}

/// A task's runs, as its blocks go through them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    run: usize,
    keep: usize,
    lanes: usize,
    /// Elements of the run that are still to come.
    pub(super) left: usize,
    /// Which kept element it belongs to.
    index: usize,
    is_first_row: bool,
}

impl Runs {
    /// Goes on behind a block of `n` elements: the run, if it ends there.
    #[inline(always)]
    pub(super) fn advance(&mut self, n: usize) -> Option<Runs> {
        self.left -= n;
        (self.left == 0).then_some(())?;
        let ended = *self;
        (self.left, self.index) = (self.run, self.index + 1);
        if self.index == self.keep {
            (self.index, self.is_first_row) = (0, false);
        }
        Some(ended)
    }

    /// The end of this run.
    #[inline(always)]
    pub(super) fn close(&self, kind: ReduceKind, folding: &mut Folding, partial: &mut [f32]) {
        if self.lanes == 1 {
            return close(kind, self.index, self.is_first_row, folding, partial);
        }
        let into = &mut partial[self.index * self.lanes..][..self.lanes];
        folding.finish_lanes(kind, into, self.is_first_row);
        *folding = Folding::EMPTY;
    }
}

/// The end of a run of kept element `index`, in the first row or a later one.
#[inline(always)]
fn close(kind: ReduceKind, index: usize, is_first_row: bool, folding: &mut Folding, partial: &mut [f32]) {
    let folded = folding.finish(kind);
    *folding = Folding::EMPTY;
    let sum = &mut partial[index];
    *sum = if is_first_row { folded } else { combine(kind, *sum, folded) };
}

/// The next elements of a run; other terms than plain values are those of sums.
pub(super) fn fold(kind: ReduceKind, x: Terms<'_>, folding: &mut Folding) {
    match x {
        Terms::Values(x) => folding.add(kind, x),
        terms => folding.add_terms(terms),
    }
}

/// Rows of `keep` elements, each of which is kept.
fn rows(kind: ReduceKind, at: usize, keep: usize, x: Terms<'_>, partial: &mut [f32]) {
    let Terms::Values(x) = x else { unreachable!("rows are added as they are") };
    let (mut at, mut x) = (at, x);
    while !x.is_empty() {
        let place = at % keep;
        let (of_row, rest) = x.split_at((keep - place).min(x.len()));
        let into = &mut partial[place..place + of_row.len()];
        if at < keep {
            into.copy_from_slice(of_row);
        } else {
            combine_each(kind, of_row, into);
        }
        at += of_row.len();
        x = rest;
    }
}
