//! Weights at the points of the tiles: G w Gᵀ of every kernel, laid out as the products read them.

use super::scheme::{MOST_TAPS, Scheme};
use super::tiling::{KINDS, Sizes};
use super::transform::weight_rows;
use crate::ops::conv2d::Geometry;
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{MOST_LANES, Simd, Width, Work, dispatch};
use crate::ops::native::tile::max_vectors;
use crate::ops::native::workers::{LINE, Shared, for_each, line_aligned};

const MOST: usize = 3;

/// Layout of the packed weights: for each kind of tiles `[point][panel][phases read][channels read][lanes of the panel]`, a panel being
/// some lanes of `[phase written][channel written]`.
#[derive(Debug)]
pub(super) struct Packing {
    pub(super) scheme: Scheme,
    pub(super) sizes: Sizes,
    /// Channels and phases that are read.
    pub(super) terms: usize,
    pub(super) phases_read: usize,
    /// Channels and phases that are written.
    channels: usize,
    pub(super) phases_written: usize,
    /// Distances in w of neighbouring channels written and read.
    steps: [usize; 2],
    /// Whether the taps are turned by half a circle, as a gradient by the same convolution needs them.
    pub(super) flipped: bool,
    /// Where each kind begins.
    kinds: [Option<usize>; KINDS],
    pub(super) words: usize,
    width: Width,
}

impl Packing {
    /// Weights of the convolution, or of its input gradient, by `flipped` taps or as its adjoint.
    pub(super) fn new(
        g: &Geometry,
        scheme: Scheme,
        (forward, flipped): (bool, bool),
        (sizes, kinds): (Sizes, [bool; KINDS]),
        width: Width,
    ) -> Packing {
        let (taps, phases) = (scheme.kernel_taps(), scheme.phases());
        let mut packing = Packing {
            scheme,
            sizes,
            terms: if forward { g.channels } else { g.features },
            phases_read: if forward { phases } else { 1 },
            channels: if forward { g.features } else { g.channels },
            phases_written: if forward { 1 } else { phases },
            steps: if forward { [taps * g.channels, taps] } else { [taps, taps * g.channels] },
            flipped,
            kinds: [None; KINDS],
            words: 0,
            width,
        };
        let plane = packing.plane();
        for kind in (0..KINDS).filter(|&kind| kinds[kind]) {
            packing.kinds[kind] = Some(packing.words);
            packing.words += line_aligned(sizes.all_points(kind) * plane);
        }
        packing
    }

    /// Channels that are written, filled up to whole vectors.
    pub(super) fn wide_channels(&self) -> usize {
        self.channels.next_multiple_of(self.width.lanes)
    }

    /// Lanes that are written.
    pub(super) fn wide(&self) -> usize {
        self.phases_written * self.wide_channels()
    }

    /// Words from one point to the next: an odd number of lines, so that the points of a kernel, which are written one after the other,
    /// fall on different places of a cache.
    fn plane(&self) -> usize {
        LINE * ((self.phases_read * self.terms * self.wide()).div_ceil(LINE) | 1)
    }

    /// Pieces of the lanes that a tile of the product handles: (first lane, lanes).
    #[inline(always)]
    pub(super) fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        let (wide, most) = (self.wide(), max_vectors(self.width.registers) * self.width.lanes);
        (0..wide).step_by(most).map(move |first| (first, most.min(wide - first)))
    }

    /// Where the weights of a panel for a phase read begin, at a point.
    #[inline(always)]
    pub(super) fn at(&self, kind: usize, point: usize, (first, lanes): (usize, usize), phase: usize) -> usize {
        let begin = self.kinds[kind].expect("a kind that the tiling has");
        begin + point * self.plane() + first * self.phases_read * self.terms + phase * self.terms * lanes
    }

    /// Whether a panel has weights other than 0 at a point.
    pub(super) fn writes(&self, (first, lanes): (usize, usize), at: [usize; 2], points: [usize; 2]) -> bool {
        let phases = first / self.wide_channels()..=(first + lanes - 1) / self.wide_channels();
        self.phases_written == 1 || phases.into_iter().any(|phase| self.scheme.present(phase, at, points, self.flipped))
    }

    /// Whether a phase that is read has weights other than 0 at a point.
    pub(super) fn reads(&self, phase: usize, at: [usize; 2], points: [usize; 2]) -> bool {
        self.phases_read == 1 || self.scheme.present(phase, at, points, self.flipped)
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

/// One vector of lanes that are written.
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
        let begin = self.first / most * most;
        let panel = (begin, most.min(p.wide() - begin));
        let (written, channel) = (self.first / p.wide_channels(), self.first % p.wide_channels());
        let count = S::LANES.min(p.channels - channel);
        let taps = p.scheme.taps();
        // SAFETY: as `Simd`.
        let bits = unsafe { S::all_but_sign() };
        // Lanes past the last channel stay 0.
        let mut kernel = [0.0; MOST_TAPS * MOST_LANES];
        for term in 0..p.terms {
            let from = &self.weights[channel * p.steps[0] + term * p.steps[1]..];
            // SAFETY: the weights hold `count` kernels; the points lie in this task's lanes.
            unsafe {
                let to = (kernel.as_mut_ptr(), S::LANES);
                transpose::<S>((from.as_ptr(), p.steps[0]), to, count, p.scheme.kernel_taps());
                for read in 0..p.phases_read {
                    // One of the two is the only phase, 0.
                    let phase = read + written;
                    let mut of_phase = [[S::splat(0.0); MOST]; MOST];
                    for (i, line) in of_phase.iter_mut().enumerate().take(taps) {
                        for (j, w) in line.iter_mut().enumerate().take(taps) {
                            let tap = if p.flipped { [taps - 1 - i, taps - 1 - j] } else { [i, j] };
                            if let Some(tap) = p.scheme.tap(phase, tap) {
                                *w = S::load(kernel.as_ptr().add(tap * S::LANES));
                                if self.absolute {
                                    *w = S::and(*w, bits);
                                }
                            }
                        }
                    }
                    for kind in 0..KINDS {
                        if p.kinds[kind].is_none() {
                            continue;
                        }
                        let at = p.at(kind, 0, panel, read) + term * panel.1 + self.first - panel.0;
                        all_points::<S>(p.sizes, kind, &of_phase, self.packed.at(at), p.plane());
                    }
                }
            }
        }
    }
}

/// G w Gᵀ, each product rounded by itself, points `step` words apart.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn all_points<S: Simd>(
    sizes: Sizes,
    kind: usize,
    kernel: &[[S::Vector; MOST]; MOST],
    to: *mut f32,
    step: usize,
) {
    let [rows, columns] = sizes.outputs(kind).map(|outputs| weight_rows(sizes.taps, outputs));
    // SAFETY: the caller's duty.
    unsafe {
        for (i, row) in rows.iter().enumerate() {
            let mut line = [S::splat(0.0); MOST];
            for (v, x) in line.iter_mut().enumerate() {
                *x = dot::<S>(row, [kernel[0][v], kernel[1][v], kernel[2][v]]);
            }
            for (j, column) in columns.iter().enumerate() {
                S::store(to.add((i * columns.len() + j) * step), dot::<S>(column, line));
            }
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd>(factors: &[f32; MOST], of: [S::Vector; MOST]) -> S::Vector {
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
