//! The gradient with respect to an image of as many columns as y has, of three columns of taps and stride 1, where grad_y lies in blocks:
//! features are the lanes of sums over taps and blocks, which are added across the lanes at the end.

use crate::ops::conv2d::Geometry;
use crate::ops::native::ahead::Coming;
use crate::ops::native::axis::Axis;
use crate::ops::native::gather::{Stream, axis_spec};
use crate::ops::native::lanes::{MOST_LANES, Simd, Width, Work, dispatch};
use crate::ops::native::tile::{Sized, choose, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Columns of taps.
const COLUMNS: usize = 3;

/// Most sums in a tile.
const MOST_SUMS: usize = 16;

/// Whether the gradient of `g` can be made so: columns beside y are not looked at but by the first and the last pixel of a row.
pub(in crate::ops::native) fn suits(g: &Geometry) -> bool {
    g.kernel[1] == COLUMNS && g.spec.padding[1] == 1 && g.spec.stride == [1, 1] && g.spec.dilation == [1, 1]
}

/// An input gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct AcrossBackward {
    batch: usize,
    channels: usize,
    features: usize,
    /// Rows of x and of y, and their common columns.
    rows: usize,
    rows_of_y: usize,
    columns: usize,
    /// Rows of taps.
    kernel_rows: usize,
    /// Row of grad_y that the first taps of x's first row lie on. It may be negative.
    lowest: isize,
    slots: usize,
    /// Most sums in a tile.
    most_sums: usize,
    width: Width,
}

impl AcrossBackward {
    /// The gradient grad_y, in blocks, → grad_x in planes, for what [`suits`].
    pub(crate) fn new(g: &Geometry, level: Level) -> AcrossBackward {
        let width = Width::of(level);
        AcrossBackward {
            batch: g.batch,
            channels: g.channels,
            features: g.features,
            rows: g.input[0],
            rows_of_y: g.output[0],
            columns: g.input[1],
            kernel_rows: g.kernel[0],
            lowest: Axis::backward(axis_spec(g, 0), g.input[0]).lowest,
            slots: slots(g.batch),
            most_sums: most_sums(width),
            width,
        }
    }

    /// Words of the packed weights, `[channel][block][row][column][feature of the block]`, rows and columns in the order of grad_y's.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.channels * self.features * self.taps())
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("across {} {} {}", self.features, self.channels, self.kernel_rows)
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let (lanes, taps) = (self.width.lanes, self.taps());
        for (i, w) in packed[..self.channels * self.features * taps].iter_mut().enumerate() {
            let (lane, tap, piece) = (i % lanes, i / lanes % taps, i / lanes / taps);
            let (block, channel) = (piece % (self.features / lanes), piece / (self.features / lanes));
            // What lies further on in grad_y comes through a tap before.
            let value = weights[((block * lanes + lane) * self.channels + channel) * taps + taps - 1 - tap];
            *w = if absolute { value.abs() } else { value };
        }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.line_words())
    }

    fn taps(&self) -> usize {
        self.kernel_rows * COLUMNS
    }

    /// Words of a row of the image, and of what vectors write past it.
    fn line_words(&self) -> usize {
        line_aligned(self.columns + self.width.lanes)
    }

    /// Words of a row of a block of grad_y.
    fn row_words(&self) -> usize {
        self.columns * self.width.lanes
    }

    /// Where row `row` of the first block of an image's grad_y lies, or would lie.
    fn row_at(&self, gradient: &[f32], row: isize) -> *const f32 {
        gradient.as_ptr().wrapping_offset(row * self.row_words() as isize)
    }

    /// Words of a block of grad_y.
    fn plane_words(&self) -> usize {
        self.rows_of_y * self.row_words()
    }

    /// What the row of x behind `row` reads first, asked for by that row's tiles.
    fn coming(&self, gradient: &[f32], row: usize) -> Coming<impl Iterator<Item = (*const f32, usize)> + Clone> {
        let next = (row + self.kernel_rows) as isize + self.lowest;
        let words = if (0..self.rows_of_y as isize).contains(&next) { self.row_words() } else { 0 };
        let (first, plane) = (self.row_at(gradient, next), self.plane_words());
        let areas = (0..self.features / self.width.lanes).map(move |block| (first.wrapping_add(block * plane), words));
        Coming::new(areas, self.channels * self.columns.div_ceil(self.most_sums))
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`AcrossBackward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.line_words());
        for_each_task(self.batch, self.slots, slots, |image, line| {
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = ImageTask { backward: self, stream, packed, image, line };
                // SAFETY: tasks write disjoint images.
                unsafe { dispatch(self.width.level, work) }
            }
        });
    }
}

/// Most sums in a tile: whole vectors of them, as many as registers hold beside the weights and three vectors of grad_y.
fn most_sums(width: Width) -> usize {
    (width.registers - 2 * COLUMNS).min(MOST_SUMS) / width.lanes * width.lanes
}

/// One image.
struct ImageTask<'a> {
    backward: &'a AcrossBackward,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    /// A row of x.
    line: &'a mut [f32],
}

impl Work for ImageTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let b = self.backward;
        let elements = b.features * b.rows_of_y * b.columns;
        let gradient = &self.stream.input[self.image * elements..][..elements];
        for row in 0..b.rows {
            let first_row = row as isize + b.lowest;
            // Those of its rows that there are.
            let begin = (-first_row).clamp(0, b.kernel_rows as isize) as usize;
            let end = (b.rows_of_y as isize - first_row).clamp(0, b.kernel_rows as isize) as usize;
            let mut coming = b.coming(gradient, row);
            for channel in 0..b.channels {
                let weights = &self.packed[channel * b.features * b.taps()..][..b.features * b.taps()];
                for (first, sums) in pieces(b.columns, b.most_sums) {
                    // SAFETY: the rows that there are lie in the gradient, columns beside them are not read; the line holds a vector more.
                    unsafe {
                        coming.ask::<S>();
                        AcrossTile {
                            blocks: b.features / S::LANES,
                            rows: (begin, end.max(begin)),
                            kernel_rows: b.kernel_rows,
                            pixels: b.row_at(gradient, first_row).wrapping_add(first * S::LANES),
                            row: b.row_words(),
                            plane: b.plane_words(),
                            beside: [first > 0, first + sums < b.columns],
                            weights: weights.as_ptr(),
                            out: self.line.as_mut_ptr().add(first),
                        }
                        .run::<S>(sums);
                    }
                }
                let at = ((self.image * b.channels + channel) * b.rows + row) * b.columns;
                // SAFETY: the row is this task's.
                unsafe {
                    let to = self.stream.output.at(at);
                    self.stream.epilogue.write::<S>(channel, at, self.line.as_ptr(), to, b.columns);
                }
            }
        }
        let n = b.channels * b.rows * b.columns;
        // SAFETY: the image is this task's.
        unsafe { self.stream.epilogue.finish::<S>(self.stream.output.at(self.image * n), self.image * n, n) }
    }
}

/// `out[p]` = Σ over lanes, b, r and i of `weights[((b·kernel_rows + r)·COLUMNS + i)·LANES + lane]` ·
/// `pixels[b·plane + r·row + (p + i − 1)·LANES + lane]`, and words up to a whole vector.
#[derive(Clone, Copy)]
struct AcrossTile {
    blocks: usize,
    /// The r of the sum, from the first one to the end.
    rows: (usize, usize),
    kernel_rows: usize,
    pixels: *const f32,
    row: usize,
    plane: usize,
    /// Whether there are pixels beside those that are the tile's, before and behind.
    beside: [bool; 2],
    weights: *const f32,
    out: *mut f32,
}

impl<const P: usize, const V: usize> Work for Sized<AcrossTile, P, V> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty; see `AcrossTile`.
        unsafe {
            let mut sums = [S::splat(0.0); P];
            for (block, r) in (0..t.blocks).flat_map(|block| (t.rows.0..t.rows.1).map(move |r| (block, r))) {
                let pixels = t.pixels.wrapping_add(block * t.plane + r * t.row);
                let weights = t.weights.add((block * t.kernel_rows + r) * COLUMNS * S::LANES);
                let w: [S::Vector; COLUMNS] = std::array::from_fn(|i| S::load(weights.add(i * S::LANES)));
                let mut before = if t.beside[0] { S::load(pixels.sub(S::LANES)) } else { S::splat(0.0) };
                let mut here = S::load(pixels);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let there = p + 1 < P || t.beside[1];
                    let behind = if there { S::load(pixels.add((p + 1) * S::LANES)) } else { S::splat(0.0) };
                    *sum = S::mul_add(behind, w[2], S::mul_add(here, w[1], S::mul_add(before, w[0], *sum)));
                    (before, here) = (here, behind);
                }
            }
            for first in (0..P).step_by(S::LANES) {
                let some: [S::Vector; MOST_LANES] =
                    std::array::from_fn(|i| if first + i < P { sums[first + i] } else { S::splat(0.0) });
                S::store(t.out.add(first), S::add_across(some));
            }
        }
    }
}

impl AcrossTile {
    /// Runs the tile with P = `sums` ≤ [`most_sums`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, sums: usize) {
        // SAFETY: the caller's duty.
        unsafe { choose!(SUMS(S, Sized, self), (sums, 1)) }
    }
}
