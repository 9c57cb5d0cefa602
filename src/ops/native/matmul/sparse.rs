//! Products of rows that are mostly zeros, as what a ReLU lets through and what it lets back are: `out[row][column]` = Σ_term
//! `rows[row][term]` · `w[term][column]`, without the products that are 0. Lanes are columns.
//!
//! The numbers of a row that are not 0 are listed with their places, block by block of terms. A block of w stays in the first-level cache
//! while all rows take from it what their lists name. Sums are added in the order of the dense products, so that they have the same bits,
//! but for the sign of a sum that is 0 and for what is not finite: 0 · ∞ is left out, too.

use std::ops::Range;

use super::Product;
use crate::ops::native::ahead::far;
use crate::ops::native::lanes::{Simd, Width, Work, dispatch};
use crate::ops::native::tile::max_vectors;
use crate::ops::native::workers::{LINE, Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::{Level, vectorised};

/// Vectors of columns that a task sums at once.
const VECTORS: usize = 8;

/// Terms of a block: 32 KiB of the longest vectors.
const TERMS: usize = 64;

/// Most rows of a task, and least where more tasks are wanted: each reads all of its columns of w.
const ROWS: usize = 64;
const LEAST_ROWS: usize = 16;

/// Tasks for each thread, if there are rows enough.
const TASKS: usize = 2;

/// Fewer terms than these are not worth a list.
const LEAST_TERMS: usize = 64;

/// Most products in ten that may be left: a multiply-add that reads w from the first-level cache takes longer than one of a dense tile,
/// which finds it in a register.
const IN_TEN: usize = 4;

/// Numbers that a thread should have to look through.
const LOOK: usize = 64 * 1024;

/// A product with everything decided that depends on shapes only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sparse {
    rows: usize,
    terms: usize,
    columns: usize,
    /// After so many terms sums begin anew, to be added to those before: a multiple of [`TERMS`].
    restart: usize,
    width: Width,
    /// Pieces of the rows.
    pieces: usize,
    slots: usize,
}

impl Sparse {
    /// For rows `[rows][terms]`, and w in packed panels of whole tiles, `[panel][term][lane]`; none where that can't gain anything.
    pub(super) fn new([rows, terms, columns]: [usize; 3], restart: Option<usize>, level: Level) -> Option<Sparse> {
        let width = Width::of(level);
        let restart = restart.unwrap_or(terms.next_multiple_of(TERMS));
        assert!(restart.is_multiple_of(TERMS), "sums begin anew with a block");
        let mut sparse = Sparse { rows, terms, columns, restart, width, pieces: rows.div_ceil(ROWS), slots: 0 };
        let wanted = (TASKS * rayon::current_num_threads()).div_ceil(sparse.groups());
        sparse.pieces = sparse.pieces.max(wanted.min(rows.div_ceil(LEAST_ROWS)));
        sparse.slots = slots(sparse.tasks());
        // Places in lists are counted with 32 bits.
        let countable = rows * (terms + width.lanes) <= u32::MAX as usize;
        (countable && columns >= sparse.panel() && terms >= LEAST_TERMS).then_some(sparse)
    }

    /// Lanes of a packed panel.
    pub(super) fn panel(&self) -> usize {
        max_vectors(self.width.registers) * self.width.lanes
    }

    fn blocks(&self) -> usize {
        self.terms.div_ceil(TERMS)
    }

    /// Columns of a task.
    fn group(&self) -> usize {
        VECTORS * self.width.lanes
    }

    fn groups(&self) -> usize {
        self.columns.div_ceil(self.group())
    }

    fn tasks(&self) -> usize {
        self.groups() * self.pieces
    }

    /// Most numbers that are listed: columns that only fill up panels cost as much as others.
    fn most(&self) -> usize {
        let padded = self.columns.next_multiple_of(self.panel());
        self.rows * self.terms / 10 * IN_TEN * self.columns / padded
    }

    /// Words of the lists, of values or of places: a list may be followed by what vectors write past it.
    fn list_words(&self) -> usize {
        line_aligned(self.most() + self.rows * self.width.lanes)
    }

    /// Words that tell where the blocks of each row begin.
    fn start_words(&self) -> usize {
        line_aligned(self.rows * (self.blocks() + 1))
    }

    /// Sums of a worker, since the last beginning and before.
    fn slot_words(&self) -> usize {
        2 * ROWS * self.group()
    }

    /// Size of the scratch buffer.
    pub(super) fn scratch(&self) -> usize {
        scratch_words(2 * self.list_words() + self.start_words() + self.slots * self.slot_words())
    }

    /// Runs the product, unless the rows have too many numbers that are not 0: then nothing is written.
    pub(super) fn run(&self, packed: &[f32], product: &Product<'_>, scratch: &mut [f32]) -> bool {
        let words = 2 * self.list_words() + self.start_words() + self.slots * self.slot_words();
        let (values, rest) = aligned(scratch, words).split_at_mut(self.list_words());
        let (places, rest) = rest.split_at_mut(self.list_words());
        let (starts, slots) = rest.split_at_mut(self.start_words());
        let starts: &mut [u32] = bytemuck::cast_slice_mut(starts);
        if !self.count(product.input, starts) {
            return false;
        }
        self.list(product.input, values, bytemuck::cast_slice_mut(places), starts);
        let lists = Lists { values, places: bytemuck::cast_slice(places), starts };
        for_each_task(self.tasks(), self.slots, slots, |task, slot| {
            let (group, piece) = match far(self.terms * self.columns) {
                true => (task / self.pieces, task % self.pieces),
                // What comes before and after has the same rows in the same cache.
                false => (task % self.groups(), task / self.groups()),
            };
            let [begin, end] = [piece, piece + 1].map(|i| i * self.rows / self.pieces);
            let work = GroupTask { sparse: self, packed, lists, product, group, rows: begin..end, slot };
            // SAFETY: tasks write disjoint columns of disjoint rows.
            unsafe { dispatch(self.width.level, work) }
        });
        true
    }

    /// Where each row's list begins, by the numbers that are not 0; whether there are few enough.
    fn count(&self, rows: &[f32], starts: &mut [u32]) -> bool {
        let per_task = LOOK.div_ceil(self.terms);
        let tasks = self.rows.div_ceil(per_task);
        let row = self.blocks() + 1;
        let shared = Shared::new(bytemuck::cast_slice_mut(starts));
        for_each(tasks, |task| {
            for i in task * per_task..self.rows.min((task + 1) * per_task) {
                let count = nonzeros(&rows[i * self.terms..][..self.terms]);
                // SAFETY: each task writes the starts of its own rows.
                unsafe { *shared.at(i * row).cast::<u32>() = count };
            }
        });
        let (mut next, mut total) = (0, 0);
        for start in starts.iter_mut().step_by(row).take(self.rows) {
            let count = std::mem::replace(start, next);
            next += count + self.width.lanes as u32;
            total += count as usize;
        }
        total <= self.most()
    }

    /// The lists of all rows.
    fn list(&self, rows: &[f32], values: &mut [f32], places: &mut [u32], starts: &mut [u32]) {
        let per_task = LOOK.div_ceil(self.terms);
        let row = self.blocks() + 1;
        let [values, places, starts] =
            [values, bytemuck::cast_slice_mut(places), bytemuck::cast_slice_mut(starts)].map(Shared::new);
        for_each(self.rows.div_ceil(per_task), |task| {
            for i in task * per_task..self.rows.min((task + 1) * per_task) {
                // SAFETY: each task writes the starts and lists of its own rows, which have the room that was counted.
                unsafe {
                    let starts = std::slice::from_raw_parts_mut(starts.at(i * row).cast::<u32>(), row);
                    let first = starts[0] as usize;
                    let list = (values.at(first), places.at(first).cast());
                    let from = &rows[i * self.terms..][..self.terms];
                    dispatch(self.width.level, ListTask { from, panel: self.panel(), list, starts });
                }
            }
        });
    }
}

/// The numbers that are not 0, row by row and block by block of terms.
#[derive(Clone, Copy)]
struct Lists<'a> {
    values: &'a [f32],
    /// Words from the beginning of the block to the term's lanes.
    places: &'a [u32],
    /// `[row][block]`, and where the last block ends.
    starts: &'a [u32],
}

vectorised! {
    /// How many numbers are not 0.
    fn nonzeros(row: &[f32]) -> u32 {
        row.iter().map(|&x| u32::from(x != 0.0)).sum()
    }
}

/// One row to list.
struct ListTask<'a> {
    from: &'a [f32],
    panel: usize,
    list: (*mut f32, *mut u32),
    starts: &'a mut [u32],
}

impl Work for ListTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (mut values, mut places) = self.list;
        let mut at = self.starts[0];
        for (block, start) in self.from.chunks(TERMS).zip(&mut self.starts[1..]) {
            for i in (0..block.len()).step_by(S::LANES) {
                let piece = &block[i..block.len().min(i + S::LANES)];
                // SAFETY: the list has room for what is listed and for a vector more.
                unsafe {
                    let place = ((i * self.panel) as u32, self.panel as u32);
                    let count = S::list(piece.as_ptr(), piece.len(), place, values, places);
                    (values, places) = (values.add(count), places.add(count));
                    at += count as u32;
                }
            }
            *start = at;
        }
    }
}

/// Some columns of some rows.
struct GroupTask<'a> {
    sparse: &'a Sparse,
    packed: &'a [f32],
    lists: Lists<'a>,
    product: &'a Product<'a>,
    group: usize,
    rows: Range<usize>,
    slot: &'a mut [f32],
}

impl Work for GroupTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let s = self.sparse;
        let panels = (s.columns - self.group * s.group()).min(s.group()).div_ceil(s.panel());
        // SAFETY: the caller's duty.
        unsafe {
            match (s.panel() / S::LANES, panels) {
                (4, 1) => self.sum::<S, 4, 1>(),
                (4, 2) => self.sum::<S, 4, 2>(),
                (2, 1) => self.sum::<S, 2, 1>(),
                (2, 2) => self.sum::<S, 2, 2>(),
                (2, 3) => self.sum::<S, 2, 3>(),
                (2, 4) => self.sum::<S, 2, 4>(),
                (vectors, panels) => unreachable!("{panels} panels of {vectors} vectors"),
            }
        }
    }
}

impl GroupTask<'_> {
    /// P panels of V vectors.
    #[inline(always)]
    unsafe fn sum<S: Simd, const V: usize, const P: usize>(self) {
        let (s, panel, group) = (self.sparse, V * S::LANES, P * V * S::LANES);
        let words = s.terms * panel;
        let column = self.group * s.group();
        let width = group.min(s.columns - column);
        let w: [*const f32; P] = std::array::from_fn(|p| self.packed[(column / panel + p) * words..].as_ptr());
        let (sums, totals) = self.slot.split_at_mut(ROWS * group);
        let ahead = far(s.terms * s.columns);
        // Lines of a block's panel that each row asks for.
        let share = (TERMS * panel / LINE).div_ceil(self.rows.len());
        for block in 0..s.blocks() {
            let (first, last) = (block * TERMS, block + 1 == s.blocks());
            let (begins, ends) = (first.is_multiple_of(s.restart), last || (first + TERMS).is_multiple_of(s.restart));
            let w: [*const f32; P] = std::array::from_fn(|p| w[p].wrapping_add(first * panel));
            // After the last block comes the first one of the next group.
            let next = if last { P * words - first * panel } else { TERMS * panel };
            for (i, row) in self.rows.clone().enumerate() {
                // SAFETY: the lists name terms of the block; sums and totals have these rows; rows and columns of the output are this task's.
                unsafe {
                    for line in i * share..if ahead { (i + 1) * share } else { 0 } {
                        w.iter().for_each(|w| S::prefetch(w.wrapping_add(next + line * LINE)));
                    }
                    let (sum, total) = (sums.as_mut_ptr().add(i * group), totals.as_mut_ptr().add(i * group));
                    let lanes = |p: usize, v: usize| (p * V + v) * S::LANES;
                    let mut y = [[S::splat(0.0); V]; P];
                    if !begins {
                        y = std::array::from_fn(|p| std::array::from_fn(|v| S::load(sum.add(lanes(p, v)))));
                    }
                    let starts = &self.lists.starts[row * (s.blocks() + 1) + block..][..2];
                    for i in starts[0] as usize..starts[1] as usize {
                        let x = S::splat(*self.lists.values.as_ptr().add(i));
                        let place = *self.lists.places.as_ptr().add(i) as usize;
                        for (y, w) in y.iter_mut().zip(&w) {
                            for (v, y) in y.iter_mut().enumerate() {
                                *y = S::mul_add(x, S::load(w.add(place + v * S::LANES)), *y);
                            }
                        }
                    }
                    let before = first >= s.restart;
                    let to = if ends { total } else { sum };
                    for (p, y) in y.into_iter().enumerate() {
                        for (v, y) in y.into_iter().enumerate() {
                            let at = lanes(p, v);
                            S::store(to.add(at), if ends && before { S::add(S::load(to.add(at)), y) } else { y });
                        }
                    }
                    if last {
                        let at = row * s.columns + column;
                        self.product.epilogue.write_features::<S>(column, at, total, self.product.output.at(at), width);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::linear::Extents;
    use crate::ops::native::Epilogue;
    use crate::ops::native::matmul::{BackwardInput, Forward, SparseForward, Weights};
    use crate::ops::simd::level;

    /// Numbers of which about `density` in ten are not 0; whole rows are 0, too.
    fn numbers(n: usize, density: u32, mut state: u32) -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let number = |bits: u32| bits as f32 / (1 << 23) as f32 - 1.0;
        (0..n).map(|i| if i / 80 % 7 == 3 || next() % 10 >= density { 0.0 } else { number(next()) }).collect()
    }

    /// Outputs of a sparse product, if it ran, and of the dense one.
    fn both(
        sparse: impl Fn(&Product<'_>) -> bool,
        dense: impl Fn(Product<'_>),
        (input, words): (&[f32], usize),
        epilogue: Epilogue<'_>,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        let [mut y, mut expected] = [vec![f32::NAN; words], vec![f32::NAN; words]];
        dense(Product::new(input, &mut expected, epilogue));
        let ran = sparse(&Product::new(input, &mut y, epilogue));
        assert!(ran || y.iter().all(|y| y.is_nan()), "what did not run has written");
        (ran.then_some(y), expected)
    }

    fn check(e: Extents, density: u32, level: Level) -> [Option<bool>; 2] {
        let Extents { batch, inputs, outputs } = e;
        let (w, bias) = (numbers(inputs * outputs, 10, 1), numbers(outputs, 10, 2));
        let (x, grad) = (numbers(batch * inputs, density, 3), numbers(batch * outputs, density, 4));
        let relu = Epilogue { bias: Some(&bias), relu: true, ..Epilogue::default() };
        let scratch = |words: usize| vec![f32::NAN; words];
        let forward = SparseForward::new(&e, level).map(|product| {
            let mut packed = scratch(product.packed_words());
            product.pack(&w, &mut packed);
            let sparse = Sparse::new([batch, inputs, outputs], Some(256), level).expect("as the product has");
            let plain = Forward::new(&e, 1, level);
            let run = |y: Product<'_>| {
                let [mut s, mut t] = [scratch(plain.scratch()[0]), scratch(plain.scratch()[1])];
                plain.run(&w, &[y], [&mut s, &mut t]);
            };
            let run_sparse = |y: &Product<'_>| sparse.run(&packed, y, &mut scratch(sparse.scratch()));
            let (y, expected) = both(run_sparse, run, (&x, batch * outputs), relu);
            let [mut s, mut t] = [scratch(product.scratch()[0]), scratch(product.scratch()[1])];
            let mut chosen = vec![f32::NAN; batch * outputs];
            product.run(&w, &packed, Product::new(&x, &mut chosen, relu), [&mut s, &mut t]);
            assert_eq!(chosen, expected, "{e:?} {density} {level:?}: y");
            if let Some(y) = &y {
                assert_eq!(*y, expected, "{e:?} {density} {level:?}: y");
                let mut changed = x.clone();
                changed[batch * inputs - 1] += 1.0;
                let (_, other) = both(run_sparse, run, (&changed, batch * outputs), relu);
                assert_ne!(*y, other, "one number that is missing must be noticed");
            }
            y.is_some()
        });
        let backward = Sparse::new([batch, outputs, inputs], None, level).map(|sparse| {
            let mask = Epilogue { mask: Some(&x), ..Epilogue::default() };
            let (packing, plain) = (BackwardInput::new(&e, 1, level), BackwardInput::alone(&e, 1, level));
            let mut packed = scratch(packing.packed_words());
            packing.pack(&w, &mut packed);
            let run = |dx: Product<'_>| plain.run(Weights::Plain(&w), &[dx], &mut scratch(plain.scratch()));
            let run_sparse = |dx: &Product<'_>| sparse.run(&packed, dx, &mut scratch(sparse.scratch()));
            let (dx, expected) = both(run_sparse, run, (&grad, batch * inputs), mask);
            let mut chosen = vec![f32::NAN; batch * inputs];
            let product = Product::new(&grad, &mut chosen, mask);
            packing.run(Weights::Packed(&packed), &[product], &mut scratch(packing.scratch()));
            assert_eq!(chosen, expected, "{e:?} {density} {level:?}: dx");
            if let Some(dx) = &dx {
                assert_eq!(*dx, expected, "{e:?} {density} {level:?}: dx");
            }
            dx.is_some()
        });
        [forward, backward]
    }

    #[test]
    fn products_without_zeros_have_the_bits_of_those_with_them() {
        let levels = [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= level());
        for level in levels {
            for (batch, inputs, outputs) in
                [(1, 64, 64), (7, 100, 65), (64, 300, 130), (130, 257, 100), (65, 1000, 192), (3, 64, 513)]
            {
                let e = Extents { batch, inputs, outputs };
                for density in [0, 1] {
                    let ran = check(e, density, level);
                    assert_eq!(ran, [Some(true); 2], "{e:?} {density} {level:?}");
                }
                // It depends on how well the columns fill their panels.
                for density in [2, 3, 5] {
                    check(e, density, level);
                }
                assert_eq!(check(e, 10, level), [Some(false); 2], "{e:?} {level:?}: few zeros");
            }
            let ran = |inputs, outputs| check(Extents { batch: 9, inputs, outputs }, 1, level);
            assert_eq!(ran(100, 5), [None; 2], "{level:?}: few outputs");
        }
    }
}
