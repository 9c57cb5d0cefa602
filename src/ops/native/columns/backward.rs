//! The gradient with respect to the input: the rows of Wᵀ · grad_y, added where the columns came from (col2im).

use super::{Layout, pack};
use crate::ops::conv2d::Geometry;
use crate::ops::native::epilogue::Epilogue;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{ColumnTile, MAX_ROWS, max_vectors, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// An input gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsBackward {
    layout: Layout,
    batch: usize,
    slots: usize,
}

impl ColumnsBackward {
    /// The gradient grad_y → grad_x.
    pub(crate) fn new(g: &Geometry, level: Level) -> ColumnsBackward {
        let layout = Layout::new(g, true, level);
        ColumnsBackward { layout, batch: g.batch, slots: slots(g.batch) }
    }

    /// Words of the packed weights: for each piece of the terms `[feature][term]`.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.layout.features * self.layout.terms())
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("columns backward {} {}", self.layout.features, self.layout.terms())
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let terms = self.layout.terms();
        let weight = |term: usize, feature: usize| weights[feature * terms + term];
        pack((terms, self.layout.features), weight, absolute, packed);
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    fn slot_words(&self) -> usize {
        self.layout.padded_words() + self.layout.matrix_words() + self.line_words()
    }

    /// A row of the image, and what vectors write past it.
    fn line_words(&self) -> usize {
        line_aligned(self.layout.input[1] + 2 * self.layout.width.lanes)
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`ColumnsBackward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch, self.slots, slots, |image, slot| {
            let (padded, rest) = slot.split_at_mut(self.layout.padded_words());
            let (matrix, line) = rest.split_at_mut(self.layout.matrix_words());
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = ImageTask { layout: &self.layout, stream, packed, image, padded, matrix, line };
                // SAFETY: tasks write disjoint images.
                unsafe { dispatch(self.layout.width.level, work) }
            }
        });
    }
}

/// One image.
struct ImageTask<'a> {
    layout: &'a Layout,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    padded: &'a mut [f32],
    matrix: &'a mut [f32],
    line: &'a mut [f32],
}

impl Work for ImageTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        self.padded.fill(0.0);
        for band in 0..self.layout.bands {
            // SAFETY: the buffers are those of the layout.
            unsafe {
                self.multiply::<S>(band);
                self.layout.col2im::<S>(self.matrix, band, self.padded);
            }
        }
        let (at, n) = (self.image * self.layout.image(), self.layout.image());
        // SAFETY: the image is this task's.
        unsafe {
            self.write::<S>();
            self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, n);
        }
    }
}

impl ImageTask<'_> {
    /// `matrix[term][pixel]` = Σ_o `w[o,term]` · `grad_y[o,pixel]` over the pixels of a band.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self, band: usize) {
        let l = self.layout;
        let (top, rows) = l.rows(band);
        let pixels = rows * l.output[1];
        let gradient = &self.stream.input[self.image * l.image_out()..][..l.image_out()];
        let (vectors, most) = (pixels.div_ceil(S::LANES), max_vectors(S::REGISTERS));
        for vector in (0..vectors).step_by(most) {
            let (group, pixel) = (most.min(vectors - vector), vector * S::LANES);
            for (first, count) in pieces(l.terms(), MAX_ROWS) {
                // SAFETY: the pixels lie in the band's rows of grad_y; a row of the matrix holds them.
                unsafe {
                    ColumnTile {
                        terms: l.features,
                        weights: self.packed.as_ptr().add(first * l.features),
                        columns: gradient.as_ptr().add(top * l.output[1] + pixel),
                        pitch: l.plane(),
                        epilogue: Epilogue::default(),
                        at: 0,
                        out: self.matrix.as_mut_ptr().add(first * l.pitch + pixel),
                        out_step: l.pitch,
                        pixels: (group * S::LANES).min(pixels - pixel),
                        next: None,
                    }
                    .run::<S>(count, group);
                }
            }
        }
    }

    /// Writes the image out of its padded rows.
    #[inline(always)]
    unsafe fn write<S: Simd>(&mut self) {
        let l = self.layout;
        let [height, width] = l.input;
        for channel in 0..l.channels {
            for row in 0..height {
                let at = ((self.image * l.channels + channel) * height + row) * width;
                // SAFETY: the row is this task's; the line holds it, and a vector more.
                unsafe {
                    l.band.row_of_image::<S>(self.padded, channel, row, self.line);
                    let to = self.stream.output.at(at);
                    self.stream.epilogue.write::<S>(channel, at, self.line.as_ptr(), to, width);
                }
            }
        }
    }
}
