//! The convolution as W · columns.

use super::{Layout, pack};
use crate::ops::conv2d::Geometry;
use crate::ops::native::epilogue::Epilogue;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{ColumnTile, MAX_ROWS, max_vectors, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// A convolution with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsForward {
    layout: Layout,
    batch: usize,
    slots: usize,
    streams: usize,
}

impl ColumnsForward {
    /// The convolution x → y, `streams` times over.
    pub(crate) fn new(g: &Geometry, streams: usize, level: Level) -> ColumnsForward {
        let layout = Layout::new(g, false, level);
        let slots = slots(g.batch * layout.bands * streams);
        ColumnsForward { layout, batch: g.batch, slots, streams }
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
        self.layout.padded_words() + self.layout.matrix_words()
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`ColumnsForward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        let tasks = self.batch * self.layout.bands * self.streams;
        for_each_task(tasks, self.slots, slots, |task, slot| {
            let (rest, stream) = (task / self.streams, task % self.streams);
            let (padded, matrix) = slot.split_at_mut(self.layout.padded_words());
            let work = BandTask {
                layout: &self.layout,
                stream: streams[stream],
                packed: packed[stream],
                image: rest / self.layout.bands,
                band: rest % self.layout.bands,
                padded,
                matrix,
            };
            // SAFETY: tasks write disjoint bands of disjoint images.
            unsafe { dispatch(self.layout.width.level, work) }
        });
    }
}

/// One band of one image.
struct BandTask<'a> {
    layout: &'a Layout,
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
        let Stream { input, output, epilogue } = self.stream;
        let (top, rows) = l.rows(self.band);
        let image = &input[self.image * l.image()..][..l.image()];
        let (vectors, most) = ((rows * l.output[1]).div_ceil(S::LANES), max_vectors(S::REGISTERS));
        // SAFETY: the image is whole; the band's rows of y belong to this task.
        unsafe {
            l.band.fill::<S>(image.as_ptr(), top * l.row_step, self.padded);
            l.im2col::<S>(self.padded, rows, self.matrix);
            for (first, count) in pieces(l.features, MAX_ROWS) {
                let weights = &self.packed[first * l.terms()..][..count * l.terms()];
                let epilogue = Epilogue { bias: epilogue.bias.map(|b| &b[first..first + count]), ..epilogue };
                let from = self.image * l.image_out() + first * l.plane() + top * l.output[1];
                for vector in (0..vectors).step_by(most) {
                    let (group, pixel) = (most.min(vectors - vector), vector * S::LANES);
                    let at = from + pixel;
                    ColumnTile {
                        terms: l.terms(),
                        weights: weights.as_ptr(),
                        columns: self.matrix.as_ptr().add(pixel),
                        pitch: l.pitch,
                        epilogue,
                        at,
                        out: output.at(at),
                        out_step: l.plane(),
                        pixels: (group * S::LANES).min(rows * l.output[1] - pixel),
                    }
                    .run::<S>(count, group);
                }
            }
        }
    }
}
