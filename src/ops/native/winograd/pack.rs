//! Weights at the points of the tiles: G w Gᵀ of every kernel, laid out as the products read them.

use super::tiling::Kind;
use super::transform::weight_rows;
use crate::ops::conv2d::Geometry;
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{Simd, Width, Work, dispatch};
use crate::ops::native::tile::max_vectors;
use crate::ops::native::workers::{Shared, for_each, line_aligned};

/// Taps of a kernel.
const TAPS: usize = 9;

/// Most lanes of any instruction set.
const MOST_LANES: usize = 16;

/// Layout of the packed weights: for each kind of tiles `[point][panel][terms][lanes of the panel]`, terms being the channels
/// that are read and lanes those that are written.
#[derive(Debug)]
pub(super) struct Packing {
    pub(super) terms: usize,
    channels: usize,
    /// Distances in w of neighbouring channels written and read.
    steps: [usize; 2],
    /// Whether the taps are turned by half a circle, as the gradient needs them.
    flipped: bool,
    /// Where each kind begins.
    kinds: [Option<usize>; Kind::ALL.len()],
    pub(super) words: usize,
    width: Width,
}

impl Packing {
    /// Weights of the convolution, or of its input gradient.
    pub(super) fn new(g: &Geometry, forward: bool, kinds: [bool; Kind::ALL.len()], width: Width) -> Packing {
        let rows = TAPS * g.channels;
        let (terms, channels, steps) = match forward {
            true => (g.channels, g.features, [rows, TAPS]),
            false => (g.features, g.channels, [TAPS, rows]),
        };
        let mut packing = Packing { terms, channels, steps, flipped: !forward, kinds: [None; 4], words: 0, width };
        let plane = packing.plane();
        for (begin, kind) in
            packing.kinds.iter_mut().zip(Kind::ALL).zip(kinds).filter_map(|(pair, there)| there.then_some(pair))
        {
            *begin = Some(packing.words);
            packing.words += line_aligned(kind.points() * plane);
        }
        packing
    }

    /// Channels that are written, filled up to whole vectors.
    pub(super) fn wide(&self) -> usize {
        self.channels.next_multiple_of(self.width.lanes)
    }

    /// Words of one point.
    fn plane(&self) -> usize {
        self.terms * self.wide()
    }

    /// Pieces of the channels that a tile of the product handles: (first channel, lanes).
    #[inline(always)]
    pub(super) fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        let (wide, most) = (self.wide(), max_vectors(self.width.registers) * self.width.lanes);
        (0..wide).step_by(most).map(move |first| (first, most.min(wide - first)))
    }

    /// Where the weights of a panel at a point begin.
    #[inline(always)]
    pub(super) fn at(&self, kind: usize, point: usize, first: usize) -> usize {
        self.kinds[kind].expect("a kind that the tiling has") + point * self.plane() + first * self.terms
    }

    /// Packs w, or |w|.
    pub(super) fn run(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let shared = Shared::new(packed);
        for_each(self.wide() / self.width.lanes, |vector| {
            let work =
                VectorTask { packing: self, weights, absolute, first: vector * self.width.lanes, packed: shared };
            // SAFETY: each task writes lanes of its own.
            unsafe { dispatch(self.width.level, work) }
        });
    }
}

/// One vector of channels that are written.
struct VectorTask<'a> {
    packing: &'a Packing,
    weights: &'a [f32],
    absolute: bool,
    first: usize,
    packed: Shared,
}

impl Work for VectorTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = self.packing;
        let most = max_vectors(S::REGISTERS) * S::LANES;
        let panel = self.first / most * most;
        let lanes = most.min(p.wide() - panel);
        let count = S::LANES.min(p.channels - self.first);
        // Lanes past the last channel stay 0.
        let mut taps = [0.0; TAPS * MOST_LANES];
        for term in 0..p.terms {
            let from = &self.weights[self.first * p.steps[0] + term * p.steps[1]..];
            // SAFETY: the weights hold `count` kernels of nine taps; the points lie in this task's lanes.
            unsafe {
                transpose::<S>((from.as_ptr(), p.steps[0]), (taps.as_mut_ptr(), S::LANES), count, TAPS);
                let mut kernel = [S::splat(0.0); TAPS];
                for (tap, k) in kernel.iter_mut().enumerate() {
                    let source = if p.flipped { TAPS - 1 - tap } else { tap };
                    *k = S::load(taps.as_ptr().add(source * S::LANES));
                    if self.absolute {
                        *k = S::abs(*k);
                    }
                }
                for (index, kind) in Kind::ALL.iter().enumerate() {
                    if p.kinds[index].is_none() {
                        continue;
                    }
                    let at = p.at(index, 0, panel) + term * lanes + self.first - panel;
                    points::<S>(kind, &kernel, self.packed.at(at), p.plane());
                }
            }
        }
    }
}

/// G w Gᵀ, each product rounded by itself, points `step` words apart.
#[inline(always)]
unsafe fn points<S: Simd>(kind: &Kind, kernel: &[S::Vector; TAPS], to: *mut f32, step: usize) {
    let (rows, columns) = (weight_rows(kind.outputs[0]), weight_rows(kind.outputs[1]));
    // SAFETY: the caller's duty.
    unsafe {
        for (i, row) in rows.iter().enumerate() {
            let mut line = [S::splat(0.0); 3];
            for (v, x) in line.iter_mut().enumerate() {
                *x = dot::<S>(row, [kernel[v], kernel[3 + v], kernel[6 + v]]);
            }
            for (j, column) in columns.iter().enumerate() {
                S::store(to.add((i * columns.len() + j) * step), dot::<S>(column, line));
            }
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd>(factors: &[f32; 3], of: [S::Vector; 3]) -> S::Vector {
    // SAFETY: the caller's duty.
    unsafe {
        let zero = S::splat(0.0);
        let [a, b, c] = [
            S::mul_add(S::splat(factors[0]), of[0], zero),
            S::mul_add(S::splat(factors[1]), of[1], zero),
            S::mul_add(S::splat(factors[2]), of[2], zero),
        ];
        S::add(S::add(a, b), c)
    }
}
