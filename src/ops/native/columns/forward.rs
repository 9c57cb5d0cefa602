//! The convolution as W · columns, which are not written down where a row of pixels about fills a vector: then they are read where they come
//! from. The sums have the same bits.

use super::{Layout, pack};
use crate::ops::conv2d::Geometry;
use crate::ops::native::epilogue::Epilogue;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{ColumnTile, MAX_ROWS, RowTile, max_vectors, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// A convolution with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsForward {
    layout: Layout,
    batch: usize,
    slots: usize,
    /// Whether columns are written down.
    written: bool,
}

impl ColumnsForward {
    /// The convolution x → y.
    pub(crate) fn new(g: &Geometry, level: Level) -> ColumnsForward {
        let layout = Layout::new(g, false, level);
        let slots = slots(g.batch * layout.bands);
        // Of longer rows, vectors would be stored across cache lines, or in parts, more often than that saves.
        let [pixels, lanes] = [g.output[1], layout.width.lanes];
        let written = 4 * pixels < 3 * lanes || pixels > lanes;
        ColumnsForward { layout, batch: g.batch, slots, written }
    }

    /// Words of the packed weights: for each piece of the features `[term][feature]`.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.layout.features * self.layout.terms())
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("columns {} {}", self.layout.features, self.layout.terms())
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let terms = self.layout.terms();
        let weight = |feature: usize, term: usize| weights[feature * terms + term];
        pack((self.layout.features, terms), weight, absolute, packed);
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    fn slot_words(&self) -> usize {
        self.layout.padded_words() + if self.written { self.layout.matrix_words() } else { 0 }
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`ColumnsForward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch * self.layout.bands, self.slots, slots, |task, slot| {
            let (padded, matrix) = slot.split_at_mut(self.layout.padded_words());
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = BandTask {
                    layout: &self.layout,
                    written: self.written,
                    stream,
                    packed,
                    image: task / self.layout.bands,
                    band: task % self.layout.bands,
                    padded,
                    matrix,
                };
                // SAFETY: tasks write disjoint bands of disjoint images.
                unsafe { dispatch(self.layout.width.level, work) }
            }
        });
    }
}

/// One band of one image.
struct BandTask<'a> {
    layout: &'a Layout,
    written: bool,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    band: usize,
    padded: &'a mut [f32],
    matrix: &'a mut [f32],
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
            if self.written {
                l.im2col::<S>(self.padded, rows, self.matrix);
            }
            for (first, count) in pieces(l.features, MAX_ROWS) {
                let weights = &self.packed[first * l.terms()..][..count * l.terms()];
                if self.written {
                    self.multiply_written::<S>(weights, (first, count), (top, rows));
                } else {
                    self.multiply::<S>(weights, (first, count), (top, rows));
                }
                for feature in first..if self.stream.epilogue.joined.is_some() { first + count } else { first } {
                    let at = self.place(feature, top);
                    self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, rows * l.output[1]);
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

    /// Place of a band's first pixel in a feature of y.
    fn place(&self, feature: usize, top: usize) -> usize {
        let l = self.layout;
        self.image * l.image_out() + feature * l.plane() + top * l.output[1]
    }

    /// Some features by columns in the padded rows.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&self, weights: &[f32], features: (usize, usize), (top, rows): (usize, usize)) {
        const MOST: usize = 4;
        let (l, width, most) = (self.layout, self.layout.output[1], max_vectors(S::REGISTERS).min(MOST));
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
            // SAFETY: the matrix holds the columns; the band's rows of y belong to this task.
            unsafe {
                ColumnTile {
                    terms: l.terms(),
                    weights: weights.as_ptr(),
                    columns: self.matrix.as_ptr().add(pixel),
                    pitch: l.pitch,
                    epilogue: self.epilogue(features),
                    at,
                    out: self.stream.output.at(at),
                    out_step: l.plane(),
                    pixels: (group * S::LANES).min(rows * l.output[1] - pixel),
                    next: None,
                }
                .run::<S>(features.1, group);
            }
        }
    }
}
