//! The convolution as W · columns, which are not written down where a row of pixels about fills a vector: then they are read where they come
//! from. Where the output lies in blocks, lanes are its channels. The sums have the same bits.

use super::{ColumnLayout, pack};
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::channel_tile::{ChannelTile, max_pixels};
use crate::ops::native::epilogue::Epilogue;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, RowTile, max_vectors, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Most vectors of pixels in a tile.
const MOST: usize = 4;

/// Most vectors of channels in a tile.
const MOST_VECTORS: usize = 2;

/// What a tile is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Pixels along the lanes, whose columns are written down.
    Written,
    /// Pixels along the lanes, where they come from.
    InPlace,
    /// Channels along the lanes.
    Blocks,
}

/// A convolution with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsForward {
    layout: ColumnLayout,
    batch: usize,
    slots: usize,
    way: Way,
}

impl ColumnsForward {
    /// The convolution of x, in planes, → y in `written`.
    pub(crate) fn new(g: &Geometry, written: Layout, level: Level) -> ColumnsForward {
        let layout = ColumnLayout::new(g, false, level);
        let slots = slots(g.batch * layout.bands);
        // Of longer rows, vectors would be stored across cache lines, or in parts, more often than that saves.
        let [pixels, lanes] = [g.output[1], layout.width.lanes];
        let way = match written {
            Layout::Blocks => Way::Blocks,
            Layout::Planes if 4 * pixels < 3 * lanes || pixels > lanes => Way::Written,
            Layout::Planes => Way::InPlace,
        };
        ColumnsForward { layout, batch: g.batch, slots, way }
    }

    /// Pieces of the features whose packed weights lie together.
    fn pieces(&self) -> impl Iterator<Item = (usize, usize)> {
        let (whole, most) = match self.way {
            Way::Blocks => (self.layout.width.lanes, MOST_VECTORS),
            _ => (1, MAX_ROWS),
        };
        pieces(self.layout.features / whole, most).map(move |(first, count)| (first * whole, count * whole))
    }

    /// Words of the packed weights: for each piece of the features `[term][feature]`.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.layout.features * self.layout.terms())
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("columns {} {} {}", self.way == Way::Blocks, self.layout.features, self.layout.terms())
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let terms = self.layout.terms();
        let weight = |feature: usize, term: usize| weights[feature * terms + term];
        pack(self.pieces(), terms, weight, absolute, packed);
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    fn slot_words(&self) -> usize {
        self.layout.padded_words() + if self.way == Way::Written { self.layout.strips.words() } else { 0 }
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`ColumnsForward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch * self.layout.bands, self.slots, slots, |task, slot| {
            let (padded, columns) = slot.split_at_mut(self.layout.padded_words());
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = BandTask {
                    forward: self,
                    layout: &self.layout,
                    stream,
                    packed,
                    image: task / self.layout.bands,
                    band: task % self.layout.bands,
                    padded,
                    columns,
                };
                // SAFETY: tasks write disjoint bands of disjoint images.
                unsafe { dispatch(self.layout.width.level, work) }
            }
        });
    }
}

/// One band of one image.
struct BandTask<'a> {
    forward: &'a ColumnsForward,
    layout: &'a ColumnLayout,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    band: usize,
    padded: &'a mut [f32],
    columns: &'a mut [f32],
}

impl Work for BandTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let l = self.layout;
        let (top, rows) = l.rows(self.band);
        let image = &self.stream.input[self.image * l.image()..][..l.image()];
        // SAFETY: the image is whole; the buffers are those of the layout.
        unsafe {
            l.band.fill::<S>(image.as_ptr(), top * l.row_step, self.padded);
            let way = self.forward.way;
            if way == Way::Written {
                l.strips.write::<S>(self.padded, rows, self.columns);
            }
            let joined = self.stream.epilogue.joined.is_some();
            for (first, count) in self.forward.pieces() {
                let weights = &self.packed[first * l.terms()..][..count * l.terms()];
                match way {
                    Way::Written => self.multiply_written::<S>(weights, (first, count), (top, rows)),
                    Way::InPlace => self.multiply::<S>(weights, (first, count), (top, rows)),
                    Way::Blocks => self.multiply_blocks::<S>(weights, (first, count), (top, rows)),
                }
                // As many neighbouring elements at once as a task writes.
                let whole = if way == Way::Blocks { S::LANES } else { 1 };
                for feature in (first..if joined { first + count } else { first }).step_by(whole) {
                    let at = self.place(feature, top * whole);
                    self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, whole * rows * l.output[1]);
                }
            }
        }
    }
}

impl BandTask<'_> {
    /// The epilogue of `count` features from `first` on.
    fn epilogue(&self, (first, count): (usize, usize)) -> Epilogue<'_> {
        let epilogue = self.stream.epilogue;
        Epilogue { bias: epilogue.bias.map(|b| &b[first..first + count]), ..epilogue }
    }

    /// Place in y of a feature's row `top`; in blocks, of the block that begins with the feature, for LANES times the row.
    fn place(&self, feature: usize, top: usize) -> usize {
        let l = self.layout;
        self.image * l.image_out() + feature * l.plane() + top * l.output[1]
    }

    /// Some features by columns in the padded rows.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&self, weights: &[f32], features: (usize, usize), (top, rows): (usize, usize)) {
        let (l, width, most) = (self.layout, self.layout.output[1], max_vectors(S::REGISTERS));
        let at = self.place(features.0, top);
        let step = l.row_step * l.band.row();
        for (first, count) in pieces(rows, most) {
            let mut groups = [std::ptr::null(); MOST];
            for (row, group) in (first..first + count).zip(&mut groups) {
                *group = &raw const self.padded[row * step];
            }
            let at = at + first * width;
            // SAFETY: the taps of the band's outputs lie in the band, which is followed by a vector; the band's rows of y belong to this task.
            unsafe {
                RowTile {
                    taps: &l.taps,
                    weights: weights.as_ptr(),
                    groups: &groups[..count],
                    epilogue: self.epilogue(features),
                    at,
                    out: self.stream.output.at(at),
                    out_step: l.plane(),
                    pixels: width,
                    last: width,
                }
                .run::<S>(features.1);
            }
        }
    }

    /// Some features by columns that were written down.
    #[inline(always)]
    unsafe fn multiply_written<S: Simd>(&self, weights: &[f32], features: (usize, usize), (top, rows): (usize, usize)) {
        let l = self.layout;
        let (vectors, most) = ((rows * l.output[1]).div_ceil(S::LANES), max_vectors(S::REGISTERS));
        for vector in (0..vectors).step_by(most) {
            let (group, pixel) = (most.min(vectors - vector), vector * S::LANES);
            let at = self.place(features.0, top) + pixel;
            let groups: [*const f32; MOST] =
                std::array::from_fn(|v| self.columns.as_ptr().wrapping_add(pixel + v * S::LANES));
            // SAFETY: the strips hold the columns, and words up to a whole vector; the band's rows of y belong to this task.
            unsafe {
                RowTile {
                    taps: l.strips.taps(),
                    weights: weights.as_ptr(),
                    groups: &groups[..group],
                    epilogue: self.epilogue(features),
                    at,
                    out: self.stream.output.at(at),
                    out_step: l.plane(),
                    pixels: S::LANES,
                    last: (rows * l.output[1] - pixel).min(group * S::LANES) - (group - 1) * S::LANES,
                }
                .run::<S>(features.1);
            }
        }
    }

    /// Some blocks of features.
    #[inline(always)]
    unsafe fn multiply_blocks<S: Simd>(
        &self,
        weights: &[f32],
        (first, features): (usize, usize),
        (top, rows): (usize, usize),
    ) {
        let (l, width, vectors) = (self.layout, self.layout.output[1], features / S::LANES);
        let most = max_pixels(S::REGISTERS, vectors);
        let step = l.row_step * l.band.row();
        let bias = self.stream.epilogue.bias.map(|bias| bias[first..first + features].as_ptr());
        // Two short rows make one tile: the weights are read half as often.
        let together = if 2 * width <= most { 2 } else { 1 };
        for row in (0..rows).step_by(together) {
            for (pixel, pixels) in pieces(width, most) {
                let at = self.place(first, (top + row) * S::LANES) + pixel * S::LANES;
                // SAFETY: the taps of the band's outputs lie in the band; the band's rows of y belong to this task.
                unsafe {
                    ChannelTile {
                        taps: &l.taps,
                        weights: weights.as_ptr(),
                        pixels: self.padded.as_ptr().add(row * step + pixel),
                        row: step,
                        out: self.stream.output.at(at),
                        out_step: S::LANES,
                        out_row: width * S::LANES,
                        out_vector: l.plane() * S::LANES,
                        bias,
                        relu: self.stream.epilogue.relu,
                    }
                    .run::<S>(together.min(rows - row), pixels, vectors);
                }
            }
        }
    }
}
