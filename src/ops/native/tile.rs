//! The micro-kernels: a tile of sums stays in registers while the reduction runs.
//!
//! All but [`DotTile`] are the same outer product, `sum[p][v]` += `scalar[p]` · `vector[v]`, and differ in where the operands lie:
//! [`ChannelTile`](super::channel_tile::ChannelTile), [`PixelTile`] and [`RowTile`] walk the taps of a convolution through a table of offsets (an implicit GEMM: no
//! im2col matrix in memory), [`StridedTile`] and [`ColumnTile`] walk strided operands.

use super::ahead::{AHEAD, Next, Scalars};
use super::epilogue::Epilogue;
use super::lanes::{Simd, Work};
use super::workers::LINE;

/// Largest V of a [`PixelTile`] or [`StridedTile`].
pub(crate) fn max_vectors(registers: usize) -> usize {
    if registers >= 32 { 4 } else { 2 }
}

/// Largest P of a [`PixelTile`] or [`StridedTile`]: 6 · 4 sums, 4 vectors and a scalar fill 32 registers, 6 · 2, 2 and 1
/// fill 16. One more row would spill.
pub(crate) const MAX_ROWS: usize = 6;

/// Cuts `extent` into as few pieces of at most `most` as possible, nearly equal; yields (first, length).
pub(crate) fn pieces(extent: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = extent.div_ceil(most);
    (0..count).map(move |i| {
        let first = i * extent / count;
        (first, (i + 1) * extent / count - first)
    })
}

/// Lanes are neighbouring pixels: `out[p][v][lane]` = Σ_k `weights[k][p]` · `groups[v]`[`taps[k]` + lane].
#[derive(Clone, Copy)]
pub(crate) struct PixelTile<'a> {
    /// Offset of each term in the groups.
    pub(crate) taps: &'a [u32],
    /// `[taps][P]`.
    pub(crate) weights: *const f32,
    /// V origins in the zero-padded image.
    pub(crate) groups: &'a [*const f32],
    /// `[P][V · LANES]`.
    pub(crate) out: *mut f32,
}

/// `out[p·out_step + lane]` (+)= Σ_{i,j} `scalars[p·p_step + i·row_step + j·step]` · `vectors[(i·columns + j)·vector_step + lane]`.
#[derive(Clone, Copy)]
pub(crate) struct StridedTile<'a> {
    /// Extents of the reduction.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// P origins.
    pub(crate) scalars: &'a [*const f32],
    pub(crate) row_step: usize,
    pub(crate) step: usize,
    pub(crate) vectors: *const f32,
    pub(crate) vector_step: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
    /// Add to `out` instead of overwriting it.
    pub(crate) accumulate: bool,
    /// What is needed next, from memory that is not near.
    pub(crate) next: Option<Next>,
}

/// Lanes are neighbouring pixels of a matrix of columns: `out[p·out_step + pixel]` = Σ_k `weights[k][p]` · `columns[k·pitch + pixel]`.
#[derive(Clone, Copy)]
pub(crate) struct ColumnTile {
    /// Terms k.
    pub(crate) terms: usize,
    /// `[terms][P]`.
    pub(crate) weights: *const f32,
    pub(crate) columns: *const f32,
    pub(crate) pitch: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
    /// Pixels to read and to write, at most V · LANES, more than (V − 1) · LANES.
    pub(crate) pixels: usize,
    /// What is needed next, from memory that is not near.
    pub(crate) next: Option<Next>,
}

/// Lanes are neighbouring pixels: `out[p·out_step + v·pixels + lane]` = Σ_k `weights[k][p]` · `groups[v]`[`taps[k]` + lane], and the epilogue.
#[derive(Clone, Copy)]
pub(crate) struct RowTile<'a> {
    /// Offset of each term in the groups.
    pub(crate) taps: &'a [u32],
    /// `[taps][P]`.
    pub(crate) weights: *const f32,
    /// V origins, of rows or of parts of them.
    pub(crate) groups: &'a [*const f32],
    /// Its summands are those of the P channels.
    pub(crate) epilogue: Epilogue<'a>,
    /// Place of the first channel in the epilogue's mask.
    pub(crate) at: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
    /// Pixels of a vector, at most LANES, and of the last one.
    pub(crate) pixels: usize,
    pub(crate) last: usize,
}

/// Lanes are neighbouring pixels: `out[v·out_step + p·LANES + lane]` += Σ_i `columns[v·plane + i]` · `rows[taps[p] + i]` over the i of
/// the lane.
#[derive(Clone, Copy)]
pub(crate) struct DotTile<'a> {
    /// Extent of the reduction. The rows hold numbers up to a whole vector.
    pub(crate) pixels: usize,
    pub(crate) rows: *const f32,
    /// P offsets in `rows`.
    pub(crate) taps: &'a [u32],
    pub(crate) columns: *const f32,
    pub(crate) plane: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_step: usize,
}

/// One size of a tile.
pub(super) struct Sized<T, const P: usize, const V: usize>(pub(super) T);

/// The same for [`Scalars::Streamed`].
struct Streamed<T, const P: usize, const V: usize>(T);

/// The same for [`Scalars::StreamedAbs`].
struct StreamedAbs<T, const P: usize, const V: usize>(T);

/// The same for [`Scalars::Near`] where something is needed next.
struct Followed<T, const P: usize, const V: usize>(T);

/// Sums of a [`PixelTile`] or [`RowTile`].
///
/// # Safety
/// See [`PixelTile`].
#[inline(always)]
unsafe fn pixels<S: Simd, const P: usize, const V: usize>(
    taps: &[u32],
    weights: *const f32,
    groups: &[*const f32],
) -> [[S::Vector; V]; P] {
    // SAFETY: the caller's duty.
    unsafe {
        let groups: [*const f32; V] = std::array::from_fn(|v| groups[v]);
        let mut sums = [[S::splat(0.0); V]; P];
        let mut weights = weights;
        for &tap in taps {
            let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(groups[v].add(tap as usize)));
            for (p, row) in sums.iter_mut().enumerate() {
                let w = S::splat(*weights.add(p));
                for (sum, &x) in row.iter_mut().zip(&vectors) {
                    *sum = S::mul_add(w, x, *sum);
                }
            }
            weights = weights.add(P);
        }
        sums
    }
}

impl<const P: usize, const V: usize> Work for Sized<PixelTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `PixelTile`.
        unsafe {
            let sums = pixels::<S, P, V>(t.taps, t.weights, t.groups);
            for (p, row) in sums.iter().enumerate() {
                for (v, &sum) in row.iter().enumerate() {
                    S::store(t.out.add((p * V + v) * S::LANES), sum);
                }
            }
        }
    }
}

impl<const P: usize, const V: usize> Work for Sized<ColumnTile, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        let last = t.pixels - (V - 1) * S::LANES;
        // SAFETY: the caller's duty; see `ColumnTile`.
        unsafe {
            let sums = match last == S::LANES {
                true => columns::<S, P, V>(t, |from| S::load(from)),
                false => columns::<S, P, V>(t, |from| S::load_first(from, last)),
            };
            for (p, row) in sums.into_iter().enumerate() {
                for (v, sum) in row.into_iter().enumerate() {
                    let count = if v + 1 < V { S::LANES } else { last };
                    S::store_up_to(t.out.add(p * t.out_step + v * S::LANES), sum, count);
                }
            }
        }
    }
}

/// Sums of a [`ColumnTile`], of which `last` reads the last vector of each term.
///
/// # Safety
/// See [`ColumnTile`].
#[inline(always)]
unsafe fn columns<S: Simd, const P: usize, const V: usize>(
    t: ColumnTile,
    last: impl Fn(*const f32) -> S::Vector,
) -> [[S::Vector; V]; P] {
    // SAFETY: the caller's duty.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; P];
        let (mut columns, mut weights) = (t.columns, t.weights);
        for term in 0..t.terms {
            if let Some(next) = t.next {
                S::prefetch_second_level(next.line(term, const { V * S::LANES }));
            }
            let vectors: [S::Vector; V] = std::array::from_fn(|v| {
                let from = columns.add(v * S::LANES);
                if v + 1 < V { S::load(from) } else { last(from) }
            });
            for (p, row) in sums.iter_mut().enumerate() {
                let w = S::splat(*weights.add(p));
                for (sum, &x) in row.iter_mut().zip(&vectors) {
                    *sum = S::mul_add(w, x, *sum);
                }
            }
            weights = weights.add(P);
            columns = columns.wrapping_add(t.pitch);
        }
        sums
    }
}

impl<const P: usize, const V: usize> Work for Sized<RowTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `RowTile`.
        unsafe {
            let mut sums = pixels::<S, P, V>(t.taps, t.weights, t.groups);
            // One pass over all sums for each step of the epilogue, so that they stay in registers.
            if let Some(bias) = t.epilogue.bias {
                for (row, &bias) in sums.iter_mut().zip(bias) {
                    let bias = S::splat(bias);
                    row.iter_mut().for_each(|sum| *sum = S::add(*sum, bias));
                }
            }
            if t.epilogue.relu {
                sums.iter_mut().flatten().for_each(|sum| *sum = S::relu(*sum));
            }
            if t.epilogue.mask.is_none() && t.pixels == S::LANES && t.last == S::LANES {
                for (p, row) in sums.iter().enumerate() {
                    for (v, &sum) in row.iter().enumerate() {
                        S::store(t.out.add(p * t.out_step + v * S::LANES), sum);
                    }
                }
                return;
            }
            let masked = Epilogue { mask: t.epilogue.mask, ..Epilogue::default() };
            for (p, row) in sums.into_iter().enumerate() {
                for (v, sum) in row.into_iter().enumerate() {
                    let count = if v + 1 < V { t.pixels } else { t.last };
                    let place = p * t.out_step + v * t.pixels;
                    masked.write_vector::<S>(p, t.at + place, sum, t.out.add(place), count);
                }
            }
        }
    }
}

impl<const P: usize, const V: usize> Work for Sized<DotTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `DotTile`.
        unsafe {
            let out = |p: usize, v: usize| t.out.add(v * t.out_step + p * S::LANES);
            let rows: [*const f32; P] = std::array::from_fn(|p| t.rows.add(t.taps[p] as usize));
            let mut sums: [[S::Vector; V]; P] = std::array::from_fn(|p| std::array::from_fn(|v| S::load(out(p, v))));
            let whole = t.pixels / S::LANES * S::LANES;
            for i in (0..whole).step_by(S::LANES) {
                let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(t.columns.add(v * t.plane + i)));
                add_products::<S, P, V>(&rows, i, vectors, &mut sums);
            }
            if whole < t.pixels {
                let rest = t.pixels - whole;
                let vectors = std::array::from_fn(|v| S::load_first(t.columns.add(v * t.plane + whole), rest));
                add_products::<S, P, V>(&rows, whole, vectors, &mut sums);
            }
            for (p, row) in sums.into_iter().enumerate() {
                for (v, sum) in row.into_iter().enumerate() {
                    S::store(out(p, v), sum);
                }
            }
        }
    }
}

/// Adds the products of a [`DotTile`]'s `vectors` with what its rows hold from `i` on.
///
/// # Safety
/// See [`DotTile`].
#[inline(always)]
unsafe fn add_products<S: Simd, const P: usize, const V: usize>(
    rows: &[*const f32; P],
    i: usize,
    vectors: [S::Vector; V],
    sums: &mut [[S::Vector; V]; P],
) {
    for (row, x) in sums.iter_mut().zip(rows) {
        // SAFETY: the caller's duty.
        unsafe {
            let x = S::load(x.add(i));
            for (sum, &y) in row.iter_mut().zip(&vectors) {
                *sum = S::mul_add(x, y, *sum);
            }
        }
    }
}

/// Body of [`StridedTile`]; `STREAM` and `ABS` as in [`Scalars`], `NEXT` if something is needed next.
///
/// # Safety
/// See [`StridedTile`].
#[inline(always)]
unsafe fn strided<S: Simd, const P: usize, const V: usize, const STREAM: bool, const ABS: bool, const NEXT: bool>(
    t: StridedTile<'_>,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let scalars: [*const f32; P] = std::array::from_fn(|p| t.scalars[p]);
        let mut sums = [[S::splat(0.0); V]; P];
        let mut lanes = t.vectors;
        let bits = if ABS { S::all_but_sign() } else { S::splat(0.0) };
        for i in 0..t.rows {
            let mut at = i * t.row_step;
            for j in 0..t.columns {
                if STREAM && j % LINE == 0 {
                    for scalar in &scalars {
                        S::prefetch(scalar.wrapping_add(at + AHEAD));
                    }
                }
                let vectors: [S::Vector; V] = std::array::from_fn(|v| S::load(lanes.add(v * S::LANES)));
                if let Some(next) = t.next.filter(|_| NEXT) {
                    S::prefetch_second_level(next.line(i * t.columns + j, const { V * S::LANES }));
                }
                for (row, scalar) in sums.iter_mut().zip(&scalars) {
                    let mut x = S::splat(*scalar.add(at));
                    if ABS {
                        x = S::and(x, bits);
                    }
                    for (sum, &y) in row.iter_mut().zip(&vectors) {
                        *sum = S::mul_add(x, y, *sum);
                    }
                }
                at += t.step;
                lanes = lanes.add(t.vector_step);
            }
        }
        for (p, row) in sums.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let out = t.out.add(p * t.out_step + v * S::LANES);
                S::store(out, if t.accumulate { S::add(S::load(out), sum) } else { sum });
            }
        }
    }
}

impl<const P: usize, const V: usize> Work for Sized<StridedTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { strided::<S, P, V, false, false, false>(self.0) }
    }
}

impl<const P: usize, const V: usize> Work for Streamed<StridedTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { strided::<S, P, V, true, false, true>(self.0) }
    }
}

impl<const P: usize, const V: usize> Work for StreamedAbs<StridedTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { strided::<S, P, V, true, true, true>(self.0) }
    }
}

impl<const P: usize, const V: usize> Work for Followed<StridedTile<'_>, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's duty.
        unsafe { strided::<S, P, V, false, false, true>(self.0) }
    }
}

/// Calls the tile of the size that is known at run time only. Sizes whose sums don't fit the registers are left out.
macro_rules! choose {
    // One row of pixels by one or two vectors of channels.
    (ROW $call:tt, $size:expr) => {
        choose!($call, $size, 1,
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1) (13, 1) (14, 1)
            (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2) (7, 2) (8, 2) (9, 2) (10, 2) (11, 2) (12, 2) (13, 2) (14, 2))
    };
    // Sums that are added across lanes.
    (SUMS $call:tt, $size:expr) => {
        choose!($call, $size, 1,
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1) (8, 1)
            (9, 1) (10, 1) (11, 1) (12, 1) (13, 1) (14, 1) (15, 1) (16, 1))
    };
    // Two rows of pixels.
    (PAIR $call:tt, $size:expr) => {
        choose!($call, $size, 2,
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1)
            (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2) (7, 2))
    };
    // Up to MAX_ROWS scalars by up to four vectors.
    (MATRIX $call:tt, $size:expr) => {
        choose!($call, $size, 1,
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2)
            (1, 3) (2, 3) (3, 3) (4, 3) (5, 3) (6, 3) (1, 4) (2, 4) (3, 4) (4, 4) (5, 4) (6, 4))
    };
    ($call:tt, $size:expr, $rows:literal, $(($P:literal, $V:literal))*) => {
        match $size {
            $(($P, $V) => choose!(ONE $call, $rows, $P, $V),)*
            (p, v) => unreachable!("no tile of {p} by {v} vectors"),
        }
    };
    (ONE ($simd:ident, $wrap:ident, $tile:expr), $rows:literal, $P:literal, $V:literal) => {
        if const { $rows * $P * $V + $V < $simd::REGISTERS } {
            $simd::enter($wrap::<_, $P, $V>($tile))
        } else {
            unreachable!("a tile that spills registers")
        }
    };
}

pub(super) use choose;

impl PixelTile<'_> {
    /// Runs the tile with P = `channels` ≤ [`MAX_ROWS`] and V = number of groups ≤ [`max_vectors`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, channels: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(MATRIX(S, Sized, self), (channels, self.groups.len())) }
    }
}

impl StridedTile<'_> {
    /// Runs the tile with P = number of scalars ≤ [`MAX_ROWS`] and V = `vectors` ≤ [`max_vectors`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, vectors: usize, scalars: Scalars) {
        let size = (self.scalars.len(), vectors);
        // SAFETY: the caller's duty.
        unsafe {
            match scalars {
                Scalars::Near if self.next.is_some() => choose!(MATRIX(S, Followed, self), size),
                Scalars::Near => choose!(MATRIX(S, Sized, self), size),
                Scalars::Streamed => choose!(MATRIX(S, Streamed, self), size),
                Scalars::StreamedAbs => choose!(MATRIX(S, StreamedAbs, self), size),
            }
        }
    }
}

impl ColumnTile {
    /// Runs the tile with P = `rows` ≤ [`MAX_ROWS`] and V = `vectors` ≤ [`max_vectors`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, rows: usize, vectors: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(MATRIX(S, Sized, self), (rows, vectors)) }
    }
}

impl RowTile<'_> {
    /// Runs the tile with P = `channels` ≤ [`MAX_ROWS`] and V = number of groups ≤ [`max_vectors`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, channels: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(MATRIX(S, Sized, self), (channels, self.groups.len())) }
    }
}

impl DotTile<'_> {
    /// Runs the tile with P = number of taps ≤ [`MAX_ROWS`] and V = `columns` ≤ [`max_vectors`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, columns: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(MATRIX(S, Sized, self), (self.taps.len(), columns)) }
    }
}
