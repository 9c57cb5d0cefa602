//! Gather convolution: the convolution and the gradient with respect to its input, as one implicit GEMM.
//!
//! `out[n, m, i·so + oo, j·so' + oo']` = Σ_{ch,tap} `w[m,ch,tap]` · `in[n, ch, i·si + d(tap), j·si' + d'(tap)]` per class
//! (oo, oo') of outputs, see [`Axis`]. A task is one band of rows of one image: it makes a zero-padded copy of what the
//! band reads, and the micro-kernels read that through a table of offsets.
//!
//! Lanes are output channels where there are enough of them; the sums then go to a buffer `[pixel][channel]`, which is
//! transposed at the end. Otherwise lanes are the pixels of a row.

use std::ops::Range;

use super::axis::{Axis, AxisSpec};
use super::band::Band;
use super::blocks::transpose_masked;
use super::box_relu::BoxRelu;
use super::channel_tile::{ChannelTile, max_pixels};
use super::epilogue::Epilogue;
use super::lanes::{Simd, Width, Work, dispatch};
use super::tile::{MAX_ROWS, PixelTile, max_vectors, pieces};
use super::workers::{Shared, aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::conv2d::Geometry;
use crate::ops::simd::Level;

/// Words that a band's output may take: half of a small second-level cache.
const BAND_WORDS: usize = 16 * 1024;

/// Most vectors in a [`ChannelTile`].
const PANEL_VECTORS: usize = 2;

/// What lies along the lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    Channels,
    Pixels,
}

/// Outputs that share their taps along both axes.
#[derive(Debug)]
struct Class {
    rows: usize,
    columns: usize,
    /// Offsets in the band, channel by channel, tap by tap.
    taps: Vec<u32>,
    /// Index of each term's weight for output channel 0.
    sources: Vec<u32>,
    /// Where its weights begin among the packed ones.
    packed: usize,
}

/// A gather convolution with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct Gather {
    batch: usize,
    /// Elements of one image, input and output.
    image: [usize; 2],
    /// Output channels and extents.
    channels: usize,
    output: [usize; 2],
    rows: Axis,
    columns: Axis,
    classes: Vec<Class>,
    /// Distance in w of neighbouring output channels.
    weight_step: usize,
    lanes: Lanes,
    /// Pieces of the output channels that a tile handles: (first channel, channels, with the filling up to whole
    /// vectors). A piece's weights lie together, `[terms][channels]`, from first channel · terms.
    panels: Vec<(usize, usize)>,
    width: Width,
    band: Band,
    /// Output rows of each class in a band, and number of bands.
    band_rows: usize,
    bands: usize,
    packed: usize,
    slots: usize,
}

/// One convolution of a call. An interval convolution has two: the centers by w, the radii by |w|.
#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    pub(super) input: &'a [f32],
    pub(super) output: Shared,
    pub(super) epilogue: Epilogue<'a>,
}

impl<'a> Stream<'a> {
    /// Reads `input`, writes `output`.
    pub(crate) fn new(input: &'a [f32], output: &'a mut [f32], epilogue: Epilogue<'a>) -> Self {
        Stream { input, output: Shared::new(output), epilogue }
    }

    /// What the radii that belong to these centers may end with, see [`BoxRelu::new`]: of each place, streams are written in their order.
    pub(crate) fn joined(&self, behind: Option<[&'a [f32]; 2]>) -> BoxRelu<'a> {
        BoxRelu::new(self.output, behind)
    }
}

/// The extents of `g` along one axis.
pub(crate) fn axis_spec(g: &Geometry, axis: usize) -> AxisSpec {
    AxisSpec {
        kernel: g.kernel[axis],
        stride: g.spec.stride[axis],
        padding: g.spec.padding[axis],
        dilation: g.spec.dilation[axis],
    }
}

impl Gather {
    /// The convolution x → y.
    pub(crate) fn forward(g: &Geometry, level: Level) -> Gather {
        let axes = [0, 1].map(|a| Axis::forward(axis_spec(g, a), g.output[a]));
        let taps = g.kernel[0] * g.kernel[1];
        Gather::new(g, (g.channels, g.input), (g.features, g.output), axes, [g.channels * taps, taps], level)
    }

    /// The gradient grad_y → grad_x.
    pub(crate) fn backward(g: &Geometry, level: Level) -> Gather {
        let axes = [0, 1].map(|a| Axis::backward(axis_spec(g, a), g.input[a]));
        let taps = g.kernel[0] * g.kernel[1];
        Gather::new(g, (g.features, g.output), (g.channels, g.input), axes, [taps, g.channels * taps], level)
    }

    /// `steps`: distances in w of neighbouring output and input channels.
    fn new(
        g: &Geometry,
        (in_channels, input): (usize, [usize; 2]),
        (channels, output): (usize, [usize; 2]),
        [rows, columns]: [Axis; 2],
        steps: [usize; 2],
        level: Level,
    ) -> Gather {
        let width = Width::of(level);
        let terms = in_channels * g.kernel[0] * g.kernel[1] / (rows.out_step * columns.out_step);
        let lanes = choose_lanes(terms, channels, columns.count(), width.lanes);
        let wide = channels.next_multiple_of(width.lanes);
        let most = PANEL_VECTORS * width.lanes;
        let panels = match lanes {
            Lanes::Channels => (0..wide).step_by(most).map(|first| (first, most.min(wide - first))).collect(),
            Lanes::Pixels => pieces(channels, MAX_ROWS).collect(),
        };
        // Bands are cut by their output, and the last is not much smaller than the others.
        let row_words = wide * output[1] * rows.out_step;
        let bands = rows.count().div_ceil((BAND_WORDS / row_words).max(1)).max(1);
        let band_rows = rows.count().div_ceil(bands).max(1);
        let bands = rows.count().div_ceil(band_rows);
        let band = Band::new(in_channels, input, &rows, &columns, band_rows);
        let mut classes = Vec::new();
        let mut packed = 0;
        for (r, row_class) in rows.classes.iter().enumerate() {
            for (c, column_class) in columns.classes.iter().enumerate() {
                let terms = (0..in_channels).flat_map(|channel| {
                    row_class
                        .taps
                        .iter()
                        .flat_map(move |&down| column_class.taps.iter().map(move |&right| (channel, down, right)))
                });
                let (taps, sources): (Vec<u32>, Vec<u32>) = terms
                    .map(|(channel, (u, down), (v, right))| {
                        let source = channel * steps[1] + u * g.kernel[1] + v;
                        (band.offset(channel, down, right) as u32, source as u32)
                    })
                    .unzip();
                let words = line_aligned(taps.len() * wide);
                classes.push(Class { rows: r, columns: c, taps, sources, packed });
                packed += words;
            }
        }
        Gather {
            batch: g.batch,
            image: [in_channels * input[0] * input[1], channels * output[0] * output[1]],
            channels,
            output,
            rows,
            columns,
            classes,
            weight_step: steps[0],
            lanes,
            panels,
            width,
            band,
            band_rows,
            bands,
            packed,
            slots: slots(g.batch * bands),
        }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        self.packed
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("gather {:?} {:?} {} {}", self.classes, self.panels, self.channels, self.weight_step)
    }

    fn slot_words(&self) -> usize {
        self.band_words() + line_aligned(self.buffer_words())
    }

    /// The padded band, and the lanes that a [`PixelTile`] reads past the end of its last row.
    fn band_words(&self) -> usize {
        line_aligned(self.band.words() + self.width.lanes)
    }

    fn buffer_words(&self) -> usize {
        match self.lanes {
            Lanes::Channels => self.band_rows * self.rows.out_step * self.output[1] * self.wide(),
            Lanes::Pixels => self.tile_words() + self.row_words(),
        }
    }

    /// Sums of one [`PixelTile`].
    fn tile_words(&self) -> usize {
        MAX_ROWS * max_vectors(self.width.registers) * self.width.lanes
    }

    /// The rows of a band, `[channel][pixel]`, where [`PixelTile`]s of several classes of columns meet.
    fn row_words(&self) -> usize {
        match self.columns.out_step {
            1 => 0,
            _ => self.channels * self.band_rows * self.rows.out_step * self.output[1],
        }
    }

    /// Output channels, filled up to whole vectors.
    fn wide(&self) -> usize {
        self.channels.next_multiple_of(self.width.lanes)
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`Gather::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch * self.bands, self.slots, slots, |task, slot| {
            let (image, band) = (task / self.bands, task % self.bands);
            let (padded, buffer) = slot.split_at_mut(self.band_words());
            let first = band * self.band_rows;
            for (&Stream { input, output, epilogue }, &packed) in streams.iter().zip(packed) {
                let work = BandTask {
                    gather: self,
                    input: &input[image * self.image[0]..][..self.image[0]],
                    packed,
                    epilogue: Epilogue {
                        mask: epilogue.mask.map(|m| &m[image * self.image[1]..][..self.image[1]]),
                        ..epilogue
                    },
                    output,
                    output_at: image * self.image[1],
                    rows: first..(first + self.band_rows).min(self.rows.count()),
                    padded,
                    buffer,
                };
                // SAFETY: tasks write disjoint bands of disjoint images.
                unsafe { dispatch(self.width.level, work) }
            }
        });
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let weight = |at: usize| if absolute { weights[at].abs() } else { weights[at] };
        for class in &self.classes {
            let packed = &mut packed[class.packed..];
            for &(first, width) in &self.panels {
                let panel = &mut packed[first * class.taps.len()..];
                for (row, &source) in panel.chunks_exact_mut(width).zip(&class.sources) {
                    for (lane, w) in row.iter_mut().enumerate() {
                        let channel = first + lane;
                        *w = if channel < self.channels {
                            weight(channel * self.weight_step + source as usize)
                        } else {
                            0.0
                        };
                    }
                }
            }
        }
    }
}

/// The lanes that cost less, counting a multiply-add of vectors as 1 and moving an element through a transposition as
/// ½. A [`PixelTile`] of few channels waits for its loads, two multiply-adds' worth each.
fn choose_lanes(terms: usize, channels: usize, row: usize, lanes: usize) -> Lanes {
    let by_channels = row * (2 * terms * channels.div_ceil(lanes) + channels);
    let by_pixels = 2 * terms * channels.max(2) * row.div_ceil(lanes);
    if by_pixels < by_channels { Lanes::Pixels } else { Lanes::Channels }
}

/// One band of one image.
struct BandTask<'a> {
    gather: &'a Gather,
    input: &'a [f32],
    packed: &'a [f32],
    epilogue: Epilogue<'a>,
    output: Shared,
    /// First element of the image in the output.
    output_at: usize,
    /// Output rows of each class, counted in the class.
    rows: Range<usize>,
    padded: &'a mut [f32],
    buffer: &'a mut [f32],
}

impl Work for BandTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let g = self.gather;
        // SAFETY: `input` is one image; the rest by the contracts of the callees.
        unsafe {
            g.band.fill::<S>(self.input.as_ptr(), self.rows.start * g.rows.in_step, self.padded);
            match g.lanes {
                Lanes::Channels => {
                    self.by_channels::<S>();
                    self.finish::<S>();
                }
                Lanes::Pixels => {
                    // What a vector reads past the last row is never used, but should be numbers.
                    self.padded[g.band.words()..].fill(0.0);
                    self.by_pixels::<S>();
                }
            }
            if self.epilogue.joined.is_some() {
                let (top, pixels) = self.pixels();
                for channel in 0..g.channels {
                    let at = self.output_at + (channel * g.output[0] + top) * g.output[1];
                    self.epilogue.finish::<S>(self.output.at(at), at, pixels);
                }
            }
        }
    }
}

impl BandTask<'_> {
    /// Rows of `class` in the band, counted from its first.
    fn class_rows(&self, class: &Class) -> Range<usize> {
        let count = self.gather.rows.classes[class.rows].count;
        0..self.rows.end.min(count).saturating_sub(self.rows.start)
    }

    /// Sums into the buffer, `[pixel of the band][channel]`.
    #[inline(always)]
    unsafe fn by_channels<S: Simd>(&mut self) {
        let g = self.gather;
        let wide = g.wide();
        for class in &g.classes {
            let (rows, columns) = (&g.rows.classes[class.rows], &g.columns.classes[class.columns]);
            for &(first, width) in &g.panels {
                let vectors = width / S::LANES;
                let weights = &self.packed[class.packed + first * class.taps.len()..][..class.taps.len() * width];
                let most = max_pixels(S::REGISTERS, vectors);
                let class_rows = self.class_rows(class).end;
                // Two short rows make one tile: the weights are read half as often.
                let step = if 2 * columns.count <= most { 2 } else { 1 };
                for i in (0..class_rows).step_by(step) {
                    for (j, pixels) in pieces(columns.count, most) {
                        let row = i * g.rows.out_step + rows.offset;
                        let column = j * g.columns.out_step + columns.offset;
                        // SAFETY: the taps of every output of the band lie in the padded band, by its construction;
                        // row and column are outputs of the band.
                        unsafe {
                            ChannelTile {
                                taps: &class.taps,
                                weights: weights.as_ptr(),
                                pixels: self.padded.as_ptr().add(i * g.rows.in_step * g.band.row() + j),
                                row: g.rows.in_step * g.band.row(),
                                out: self.buffer.as_mut_ptr().add((row * g.output[1] + column) * wide + first),
                                out_step: g.columns.out_step * wide,
                                out_row: g.rows.out_step * g.output[1] * wide,
                                out_vector: S::LANES,
                                bias: None,
                                relu: false,
                            }
                            .run::<S>(step.min(class_rows - i), pixels, vectors);
                        }
                    }
                }
            }
        }
    }

    /// Transposes the buffer into the output and applies the epilogue.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&mut self) {
        let g = self.gather;
        let [height, width] = g.output;
        let (top, pixels) = self.pixels();
        for first in (0..g.channels).step_by(S::LANES) {
            let channels = S::LANES.min(g.channels - first);
            // SAFETY: the buffer holds whole vectors of channels; the band's rows of these channels belong to this task.
            unsafe {
                let epilogue = self.epilogue.lanes::<S>(first, channels);
                for pixel in 0..if epilogue.is_identity() { 0 } else { pixels } {
                    let sums = self.buffer.as_mut_ptr().add(pixel * g.wide() + first);
                    S::store(sums, epilogue.apply(S::load(sums)));
                }
                let out = self.output.at(self.output_at + (first * height + top) * width);
                let mask = self.epilogue.mask_from((first * height + top) * width);
                let sums = (self.buffer.as_ptr().add(first), g.wide());
                transpose_masked::<S>(sums, (out, height * width), mask, pixels, channels);
            }
        }
    }

    /// Sums and writes, some channels by some vectors of pixels at a time.
    #[inline(always)]
    unsafe fn by_pixels<S: Simd>(&mut self) {
        let g = self.gather;
        let most = max_vectors(S::REGISTERS);
        for class in &g.classes {
            let columns = &g.columns.classes[class.columns];
            let per_row = columns.count.div_ceil(S::LANES);
            let groups = self.class_rows(class).len() * per_row;
            for (group, vectors) in pieces(groups, most) {
                // SAFETY: as in `by_channels`; lanes past the row read inside `padded`, which is a vector longer.
                unsafe {
                    let mut origins = [std::ptr::null(); 4];
                    for (v, origin) in origins[..vectors].iter_mut().enumerate() {
                        let (i, j) = ((group + v) / per_row, (group + v) % per_row * S::LANES);
                        *origin = self.padded.as_ptr().add(i * g.rows.in_step * g.band.row() + j);
                    }
                    for &(first, channels) in &g.panels {
                        PixelTile {
                            taps: &class.taps,
                            weights: self.packed.as_ptr().add(class.packed + first * class.taps.len()),
                            groups: &origins[..vectors],
                            out: self.buffer.as_mut_ptr(),
                        }
                        .run::<S>(channels);
                        for v in 0..vectors {
                            let (i, j) = ((group + v) / per_row, (group + v) % per_row * S::LANES);
                            self.write_vectors::<S>(class, (first, channels), (i, j), (v, vectors));
                        }
                    }
                }
            }
        }
        if g.columns.out_step > 1 {
            let (top, pixels) = self.pixels();
            for channel in 0..g.channels {
                let at = channel * g.output[0] * g.output[1] + top * g.output[1];
                let rows = &self.buffer[g.tile_words() + channel * pixels..][..pixels];
                // SAFETY: the band's rows belong to this task.
                unsafe {
                    let out = self.output.at(self.output_at + at);
                    self.epilogue.write::<S>(channel, at, rows.as_ptr(), out, pixels);
                }
            }
        }
    }

    /// First output row of the band, and its pixels.
    fn pixels(&self) -> (usize, usize) {
        let [height, width] = self.gather.output;
        let top = self.rows.start * self.gather.rows.out_step;
        (top, ((self.rows.end * self.gather.rows.out_step).min(height) - top) * width)
    }

    /// Writes vector `v` of a tile, row `i` of the band from column `j` of the class: where neighbouring outputs of the
    /// class are neighbours, into the output, else to their places in the buffered rows.
    #[inline(always)]
    unsafe fn write_vectors<S: Simd>(
        &mut self,
        class: &Class,
        (first, channels): (usize, usize),
        (i, j): (usize, usize),
        (v, vectors): (usize, usize),
    ) {
        let g = self.gather;
        let (rows, columns) = (&g.rows.classes[class.rows], &g.columns.classes[class.columns]);
        let row = i * g.rows.out_step + rows.offset;
        let column = j * g.columns.out_step + columns.offset;
        let n = S::LANES.min(columns.count - j);
        let (top, pixels) = self.pixels();
        let (sums, buffered) = self.buffer.split_at_mut(g.tile_words());
        for p in 0..channels {
            let sums = &sums[(p * vectors + v) * S::LANES..][..S::LANES];
            if g.columns.out_step == 1 {
                let at = ((first + p) * g.output[0] + top + row) * g.output[1] + column;
                // SAFETY: row and column are outputs of this task's band.
                unsafe {
                    let out = self.output.at(self.output_at + at);
                    self.epilogue.write_vector::<S>(first + p, at, S::load(sums.as_ptr()), out, n);
                }
            } else {
                let out = &mut buffered[(first + p) * pixels + row * g.output[1] + column..];
                for (y, &sum) in out.iter_mut().step_by(g.columns.out_step).zip(&sums[..n]) {
                    *y = sum;
                }
            }
        }
    }
}
