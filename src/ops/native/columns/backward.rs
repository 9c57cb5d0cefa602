//! The gradient with respect to the input: the rows of Wᵀ · grad_y, added where the columns came from (col2im).

use super::{ColumnLayout, pack};
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::blocks::planes_of_blocks;
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{ColumnTile, MAX_ROWS, max_vectors, pieces};
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// An input gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsBackward {
    layout: ColumnLayout,
    /// How grad_y lies.
    read: Layout,
    batch: usize,
    slots: usize,
}

impl ColumnsBackward {
    /// The gradient grad_y, in `read`, → grad_x in planes.
    pub(crate) fn new(g: &Geometry, read: Layout, level: Level) -> ColumnsBackward {
        let layout = ColumnLayout::new(g, true, level);
        ColumnsBackward { layout, read, batch: g.batch, slots: slots(g.batch) }
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
        pack(pieces(terms, MAX_ROWS), self.layout.features, weight, absolute, packed);
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    fn plane_words(&self) -> usize {
        match self.read {
            Layout::Planes => 0,
            Layout::Blocks => self.layout.features * max_vectors(self.layout.width.registers) * self.layout.width.lanes,
        }
    }

    /// Words of the padded rows, of the matrix, of a row of the image, and of a tile's gradient in planes where it lies in blocks.
    fn areas(&self) -> [usize; 4] {
        let l = &self.layout;
        [l.padded_words(), l.matrix_words(), self.line_words(), self.plane_words()]
    }

    fn slot_words(&self) -> usize {
        self.areas().iter().sum()
    }

    /// A row of the image, and what vectors write past it.
    fn line_words(&self) -> usize {
        line_aligned(self.layout.input[1] + 2 * self.layout.width.lanes)
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`ColumnsBackward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch, self.slots, slots, |image, slot| {
            let [of_padded, of_matrix, of_line, _] = self.areas();
            let (padded, rest) = slot.split_at_mut(of_padded);
            let (matrix, rest) = rest.split_at_mut(of_matrix);
            let (line, planes) = rest.split_at_mut(of_line);
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = ImageTask {
                    layout: &self.layout,
                    read: self.read,
                    stream,
                    packed,
                    image,
                    padded,
                    matrix,
                    line,
                    planes,
                };
                // SAFETY: tasks write disjoint images.
                unsafe { dispatch(self.layout.width.level, work) }
            }
        });
    }
}

/// One image.
struct ImageTask<'a> {
    layout: &'a ColumnLayout,
    read: Layout,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    padded: &'a mut [f32],
    matrix: &'a mut [f32],
    line: &'a mut [f32],
    planes: &'a mut [f32],
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
            let width = (group * S::LANES).min(pixels - pixel);
            let at = top * l.output[1] + pixel;
            let (columns, pitch) = match self.read {
                Layout::Planes => (&raw const gradient[at], l.plane()),
                Layout::Blocks => {
                    // SAFETY: blocks are made of whole vectors of features, of which the scratch holds these pixels.
                    unsafe { planes_of_blocks::<S>(gradient, l.plane(), at..at + width, self.planes) };
                    (self.planes.as_ptr(), width)
                }
            };
            for (first, count) in pieces(l.terms(), MAX_ROWS) {
                // SAFETY: the pixels lie in the band's rows of grad_y; a row of the matrix holds them.
                unsafe {
                    ColumnTile {
                        terms: l.features,
                        weights: self.packed.as_ptr().add(first * l.features),
                        columns,
                        pitch,
                        out: self.matrix.as_mut_ptr().add(first * l.pitch + pixel),
                        out_step: l.pitch,
                        pixels: width,
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
