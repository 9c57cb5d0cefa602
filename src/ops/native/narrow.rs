//! The gradient with respect to an input of few channels, such as an image: too few to fill a vector's lanes or a tile's rows.
//!
//! Lanes are neighbouring positions of the output's grid. With stride S, position (i, j) makes the S² pixels
//! (S i + a − P, S j + b − P), a, b < S, all from the same T × T elements of grad_y, T = K / S:
//! `grad_x[n, c, S i + a − P, S j + b − P]` = Σ_{o,t,s} `w[o, c, a + S t, b + S s]` · `grad_y[n, o, i − t, j − s]`.
//! So a vector of grad_y that is read once serves every pixel of its positions, and every row of the tile that reaches it.

use std::ops::Range;

use super::gather::Stream;
use super::lanes::{Simd, Width, Work, dispatch};
use super::tile::pieces;
use super::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::conv2d::Geometry;
use crate::ops::simd::Level;

/// Most input channels: with more, their tiles do as well.
const MOST_CHANNELS: usize = 4;

/// Words that the rows of grad_y for a band may take: a first-level cache.
const BAND_WORDS: usize = 12 * 1024;

/// Most rows of a tile.
const MOST_ROWS: usize = 8;

/// An input gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct Narrow {
    batch: usize,
    /// Channels of grad_y, and of grad_x.
    features: usize,
    channels: usize,
    /// Extents (H, W) of grad_y, and of grad_x.
    read: [usize; 2],
    written: [usize; 2],
    stride: usize,
    kernel: usize,
    padding: [usize; 2],
    /// First position whose pixels are not all padding, and number of positions, along each axis.
    first: [usize; 2],
    positions: [usize; 2],
    /// Rows of positions in a band, and number of bands.
    band_rows: usize,
    bands: usize,
    /// Words between rows of a band.
    pitch: usize,
    width: Width,
    slots: usize,
    streams: usize,
}

impl Narrow {
    /// Whether there is such a kernel for the input gradient of `g`, and nothing better.
    pub(crate) fn suits(g: &Geometry) -> bool {
        let known = [(3, 1), (4, 2)].contains(&(g.kernel[0], g.spec.stride[0]));
        let square = g.kernel[0] == g.kernel[1] && g.spec.stride[0] == g.spec.stride[1] && g.spec.dilation == [1, 1];
        known && square && g.channels <= MOST_CHANNELS && g.spec.padding.iter().all(|&p| p < g.kernel[0])
    }

    /// The gradient grad_y → grad_x of a convolution that [`Narrow::suits`], `streams` times over.
    pub(crate) fn new(g: &Geometry, streams: usize, level: Level) -> Narrow {
        let width = Width::of(level);
        let (stride, kernel) = (g.spec.stride[0], g.kernel[0]);
        let first = g.spec.padding.map(|padding| padding / stride);
        let positions = [0, 1].map(|axis| (g.input[axis] - 1 + g.spec.padding[axis]) / stride + 1 - first[axis]);
        // A row, padding and what a vector reads or writes past it.
        let reach = kernel / stride - 1;
        let left = reach.saturating_sub(first[1]);
        let pitch =
            (positions[1].next_multiple_of(width.lanes) + reach).max(left + g.output[1].next_multiple_of(width.lanes));
        let most = most_rows(stride, width.registers);
        // As many whole tiles of rows as stay in the cache.
        let fitting = (BAND_WORDS / (g.features * pitch)).saturating_sub(reach) / most * most;
        let bands = positions[0].div_ceil(fitting.max(most));
        let band_rows = positions[0].div_ceil(bands);
        let bands = positions[0].div_ceil(band_rows);
        Narrow {
            batch: g.batch,
            features: g.features,
            channels: g.channels,
            read: g.output,
            written: g.input,
            stride,
            kernel,
            padding: g.spec.padding,
            first,
            positions,
            band_rows,
            bands,
            pitch,
            width,
            slots: slots(g.batch * bands * streams),
            streams,
        }
    }

    /// Taps of a pixel along an axis.
    fn taps(&self) -> usize {
        self.kernel / self.stride
    }

    /// Words of the packed weights, `[channel][feature][tap][pixel]`.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.channels * self.features * self.kernel * self.kernel)
    }

    /// Words of a feature's rows in a band.
    fn plane(&self) -> usize {
        (self.band_rows + self.taps() - 1) * self.pitch
    }

    /// Words of the bands of all features, and of the rows of pixels of a tile.
    fn slot_words(&self) -> [usize; 2] {
        [line_aligned(self.features * self.plane()), line_aligned(MOST_ROWS * self.stride * self.line())]
    }

    /// Words of a row of pixels.
    fn line(&self) -> usize {
        self.stride * self.positions[1].next_multiple_of(self.width.lanes)
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("narrow {} {} {} {}", self.channels, self.features, self.kernel, self.stride)
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        let slot: usize = self.slot_words().iter().sum();
        scratch_words(self.slots * slot)
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`Narrow::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slot_words = self.slot_words();
        let slots = aligned(scratch, self.slots * slot_words.iter().sum::<usize>());
        // What lies beside the rows of a band is never written again.
        slots.fill(0.0);
        for_each_task(self.batch * self.bands * self.streams, self.slots, slots, |task, slot| {
            let (rest, stream) = (task / self.streams, task % self.streams);
            let (image, band) = (rest / self.bands, rest % self.bands);
            let (rows, lines) = slot.split_at_mut(slot_words[0]);
            let first = band * self.band_rows;
            let work = BandTask {
                narrow: self,
                stream: streams[stream],
                packed: packed[stream],
                image,
                positions: first..(first + self.band_rows).min(self.positions[0]),
                rows,
                lines,
            };
            // SAFETY: tasks write disjoint rows of disjoint images.
            unsafe { dispatch(self.width.level, work) }
        });
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let (k, s, t) = (self.kernel, self.stride, self.taps());
        for (at, w) in packed[..self.channels * self.features * k * k].iter_mut().enumerate() {
            let (kernel, within) = (at / (k * k), at % (k * k));
            let (channel, feature) = (kernel / self.features, kernel % self.features);
            let (tap, pixel) = (within / (s * s), within % (s * s));
            let [u, v] = [pixel / s + s * (tap / t), pixel % s + s * (tap % t)];
            let value = weights[((feature * self.channels + channel) * k + u) * k + v];
            *w = if absolute { value.abs() } else { value };
        }
    }
}

/// Most rows of a tile: its sums, one vector and one weight stay in registers.
const fn most_rows(stride: usize, registers: usize) -> usize {
    let rows = (registers - 4) / (stride * stride);
    if rows < MOST_ROWS { rows } else { MOST_ROWS }
}

/// Some rows of positions of one image.
struct BandTask<'a> {
    narrow: &'a Narrow,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    /// Rows, counted from the first position.
    positions: Range<usize>,
    rows: &'a mut [f32],
    lines: &'a mut [f32],
}

impl Work for BandTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the buffers are those of `slot_words`.
        unsafe {
            self.fill::<S>();
            match self.narrow.stride {
                1 => self.tiles::<S, 1, 3>(),
                _ => self.tiles::<S, 2, 2>(),
            }
        }
    }
}

impl BandTask<'_> {
    /// The rows of grad_y that the band reads, `[feature][row][column]`, zeros around them.
    #[inline(always)]
    unsafe fn fill<S: Simd>(&mut self) {
        let n = self.narrow;
        let ([height, width], reach) = (n.read, n.taps() - 1);
        // Padded row r shows row r + top − reach of grad_y, and columns likewise.
        let top = n.first[0] + self.positions.start;
        let begin = reach.saturating_sub(top);
        let end = (self.positions.len() + reach).min((height + reach).saturating_sub(top)).max(begin);
        let (left, cut) = (reach.saturating_sub(n.first[1]), n.first[1].saturating_sub(reach));
        let shown = width.saturating_sub(cut).min(n.pitch - left);
        let image = &self.stream.input[self.image * n.features * height * width..];
        let rows = self.positions.len() + reach;
        for feature in 0..n.features {
            let plane = &mut self.rows[feature * n.plane()..][..n.plane()];
            plane[..begin * n.pitch].fill(0.0);
            for row in begin..end {
                let from = &image[(feature * height + row + top - reach) * width + cut..][..shown];
                let to = &mut plane[row * n.pitch + left..(row + 1) * n.pitch];
                for i in (0..shown).step_by(S::LANES) {
                    // SAFETY: a padded row holds whole vectors from `left` on; what lies past the row is 0 in them.
                    unsafe {
                        let x = match shown - i {
                            rest if rest < S::LANES => S::load_first(from.as_ptr().add(i), rest),
                            _ => S::load(from.as_ptr().add(i)),
                        };
                        S::store(to.as_mut_ptr().add(i), x);
                    }
                }
            }
            plane[end * n.pitch..rows * n.pitch].fill(0.0);
        }
    }

    #[inline(always)]
    unsafe fn tiles<S: Simd, const STRIDE: usize, const TAPS: usize>(&mut self) {
        let n = self.narrow;
        let words = n.features * n.kernel * n.kernel;
        for channel in 0..n.channels {
            for (row, rows) in pieces(self.positions.len(), most_rows(STRIDE, S::REGISTERS)) {
                for column in (0..n.positions[1]).step_by(S::LANES) {
                    // SAFETY: the band holds the rows and a vector past each; the lines hold the pixels.
                    unsafe {
                        NarrowTile::<STRIDE, TAPS> {
                            features: n.features,
                            weights: self.packed.as_ptr().add(channel * words),
                            rows: self.rows.as_ptr().add(row * n.pitch + column),
                            plane: n.plane(),
                            pitch: n.pitch,
                            lines: self.lines.as_mut_ptr().add(STRIDE * column),
                            line: n.line(),
                        }
                        .run::<S>(rows);
                    }
                }
                // SAFETY: the pixels are this task's.
                unsafe { self.show::<S>(channel, row..row + rows) };
            }
        }
    }

    /// Writes the pixels of some rows of positions that lie in the image.
    #[inline(always)]
    unsafe fn show<S: Simd>(&self, channel: usize, rows: Range<usize>) {
        let n = self.narrow;
        let [height, width] = n.written;
        // Pixel 0 of a line is column S · first − P ≤ 0 of the image.
        let skipped = n.padding[1] - n.stride * n.first[1];
        let top = n.stride * (n.first[0] + self.positions.start + rows.start);
        for line in 0..n.stride * rows.len() {
            let row = (top + line).wrapping_sub(n.padding[0]);
            if row >= height {
                continue;
            }
            let at = ((self.image * n.channels + channel) * height + row) * width;
            let from = &self.lines[line * n.line() + skipped..][..width];
            // SAFETY: the row is this task's, of an image and channel that exist.
            unsafe {
                let to = self.stream.output.at(at);
                self.stream.epilogue.write::<S>(channel, at, from.as_ptr(), to, width);
            }
        }
    }
}

/// Pixels of R rows of positions, one vector of them each: `lines[r · S + a][j · S + b]`.
#[derive(Clone, Copy)]
struct NarrowTile<const STRIDE: usize, const TAPS: usize> {
    features: usize,
    /// `[feature][tap][pixel]`.
    weights: *const f32,
    rows: *const f32,
    /// Words between features, rows and lines.
    plane: usize,
    pitch: usize,
    lines: *mut f32,
    line: usize,
}

/// One size of it.
struct Rows<T, const R: usize>(T);

impl<const R: usize, const STRIDE: usize, const TAPS: usize> Work for Rows<NarrowTile<STRIDE, TAPS>, R> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let t = self.0;
        // SAFETY: the caller's duty.
        unsafe {
            let mut sums = [[[S::splat(0.0); R]; STRIDE]; STRIDE];
            for feature in 0..t.features {
                let weights = t.weights.add(feature * TAPS * TAPS * STRIDE * STRIDE);
                let rows = t.rows.add(feature * t.plane);
                for row in 0..R + TAPS - 1 {
                    for right in 0..TAPS {
                        let x = S::load(rows.add(row * t.pitch + right));
                        let s = TAPS - 1 - right;
                        for tap in 0..TAPS {
                            // Row r of the tile reads this one by tap r + T − 1 − row.
                            let r = row + tap;
                            if r < TAPS - 1 || r >= R + TAPS - 1 {
                                continue;
                            }
                            for (a, sums) in sums.iter_mut().enumerate() {
                                for (b, sums) in sums.iter_mut().enumerate() {
                                    let w = weights.add(((tap * TAPS + s) * STRIDE + a) * STRIDE + b);
                                    let sum = &mut sums[r - (TAPS - 1)];
                                    *sum = S::mul_add(S::splat(*w), x, *sum);
                                }
                            }
                        }
                    }
                }
            }
            for r in 0..R {
                for (a, sums) in sums.iter().enumerate() {
                    let to = t.lines.add((r * STRIDE + a) * t.line);
                    if STRIDE == 1 {
                        S::store(to, sums[0][r]);
                    } else {
                        S::zip(sums[0][r], sums[STRIDE - 1][r], to);
                    }
                }
            }
        }
    }
}

impl<const STRIDE: usize, const TAPS: usize> NarrowTile<STRIDE, TAPS> {
    /// Runs the tile for R = `rows` ≤ [`most_rows`].
    ///
    /// # Safety
    /// The pointers hold what the equation reads and writes.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, rows: usize) {
        macro_rules! choose {
            ($($R:literal)*) => {
                match rows {
                    $($R => {
                        if const { $R <= most_rows(STRIDE, S::REGISTERS) } {
                            S::enter(Rows::<_, $R>(self))
                        } else {
                            unreachable!("a tile that spills registers")
                        }
                    })*
                    rows => unreachable!("no tile of {rows} rows"),
                }
            };
        }
        // SAFETY: the caller's duty.
        unsafe { choose!(1 2 3 4 5 6 7 8) }
    }
}
