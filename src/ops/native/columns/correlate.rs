//! The gradient with respect to the weights as grad_y · columnsᵀ.
//!
//! Lanes are pixels in both factors, so that neither is transposed; the sums of the lanes are added once for many images.
//! The batch is cut into groups by its size alone, whose partial gradients are added in order.

use super::ColumnLayout;
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::bias::{self, BiasGradient};
use crate::ops::native::blocks::planes_of_blocks;
use crate::ops::native::correlate::sign;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{DotTile, MAX_ROWS, max_vectors, pieces};
use crate::ops::native::workers::{Shared, aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Most groups of images.
const GROUPS: usize = 16;

/// A weight gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct ColumnsCorrelate {
    layout: ColumnLayout,
    /// How grad_y lies.
    read: Layout,
    batch: usize,
    groups: usize,
    slots: usize,
    streams: usize,
}

impl ColumnsCorrelate {
    /// For one correlation, or for two at once (`streams` = 2) that an interval convolution combines, of x in planes and grad_y in `read`.
    pub(crate) fn new(g: &Geometry, streams: usize, read: Layout, level: Level) -> ColumnsCorrelate {
        let layout = ColumnLayout::new(g, false, level);
        let groups = g.batch.min(GROUPS);
        ColumnsCorrelate { layout, read, batch: g.batch, groups, slots: slots(groups * streams), streams }
    }

    /// Sizes of the scratch buffers: partial gradients; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.streams * self.groups * self.weights()), scratch_words(self.slots * self.slot_words())]
    }

    /// Words for the sums of a bias's gradient.
    pub(in crate::ops::native) fn bias_words(&self) -> usize {
        bias::words(self.groups, self.layout.features)
    }

    fn weights(&self) -> usize {
        self.layout.features * self.layout.terms()
    }

    /// Sums of every weight's lanes.
    fn lane_words(&self) -> usize {
        line_aligned(self.weights() * self.layout.width.lanes)
    }

    /// Words for the planes of a band's gradient, which are made where it lies in blocks.
    fn plane_words(&self) -> usize {
        match self.read {
            Layout::Planes => 0,
            Layout::Blocks => line_aligned(self.layout.features * self.layout.band_rows * self.layout.output[1]),
        }
    }

    /// Words of the padded rows, of the matrix, of the sums and of the planes.
    fn areas(&self) -> [usize; 4] {
        [self.layout.padded_words(), self.layout.matrix_words(), self.lane_words(), self.plane_words()]
    }

    fn slot_words(&self) -> usize {
        self.areas().iter().sum()
    }

    /// dw from pairs (x, grad_y): the first pair's correlation, plus sign(w) times the second's if there are two.
    /// `scratch` is as declared by [`ColumnsCorrelate::scratch`].
    pub(crate) fn run(
        &self,
        pairs: &[(&[f32], &[f32])],
        sign_of: Option<&[f32]>,
        dw: &mut [f32],
        mut bias: Option<BiasGradient<'_>>,
        scratch: [&mut [f32]; 2],
    ) {
        let sums = bias.as_mut().map(|bias| bias.groups(self.groups));
        let [partials, slots] = scratch;
        let words = self.weights();
        let partials = aligned(partials, self.streams * self.groups * words);
        let shared = Shared::new(partials);
        let slots = aligned(slots, self.slots * self.slot_words());
        for_each_task(self.groups * self.streams, self.slots, slots, |task, slot| {
            let (group, stream) = (task / self.streams, task % self.streams);
            let [of_padded, of_matrix, of_lanes, _] = self.areas();
            let (padded, rest) = slot.split_at_mut(of_padded);
            let (matrix, rest) = rest.split_at_mut(of_matrix);
            let (lanes, planes) = rest.split_at_mut(of_lanes);
            let (x, grad_y) = pairs[stream];
            let images = group * self.batch / self.groups..(group + 1) * self.batch / self.groups;
            // SAFETY: each group has its own sums.
            let sums = sums.filter(|_| stream == 0).map(|sums| unsafe { sums.begin(group) });
            // SAFETY: each task has its own partial gradient.
            unsafe {
                let at = shared.at((stream * self.groups + group) * words);
                let partial = std::slice::from_raw_parts_mut(at, words);
                let work = GroupTask {
                    layout: &self.layout,
                    read: self.read,
                    x,
                    grad_y,
                    images,
                    partial,
                    sums,
                    padded,
                    matrix,
                    lanes,
                    planes,
                };
                dispatch(self.layout.width.level, work);
            }
        });
        let total = |stream: usize, weight: usize| -> f32 {
            let of_stream = &partials[stream * self.groups * words..][..self.groups * words];
            of_stream.iter().skip(weight).step_by(words).sum()
        };
        for (weight, d) in dw.iter_mut().enumerate() {
            *d = total(0, weight);
            if let Some(w) = sign_of {
                *d += sign(w[weight]) * total(1, weight);
            }
        }
        if let Some(bias) = bias {
            bias.finish(self.groups);
        }
    }
}

/// The images of one group.
struct GroupTask<'a> {
    layout: &'a ColumnLayout,
    read: Layout,
    x: &'a [f32],
    grad_y: &'a [f32],
    images: std::ops::Range<usize>,
    partial: &'a mut [f32],
    /// Of the bias's gradient.
    sums: Option<&'a mut [f32]>,
    padded: &'a mut [f32],
    matrix: &'a mut [f32],
    /// `[feature][term][lane]`.
    lanes: &'a mut [f32],
    planes: &'a mut [f32],
}

impl Work for GroupTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let l = self.layout;
        self.lanes.fill(0.0);
        for image in self.images.clone() {
            let x = &self.x[image * l.image()..][..l.image()];
            for band in 0..l.bands {
                let (top, rows) = l.rows(band);
                // SAFETY: the image is whole, the buffers are those of the layout.
                unsafe {
                    l.band.fill::<S>(x.as_ptr(), top * l.row_step, self.padded);
                    l.im2col::<S>(self.padded, rows, self.matrix);
                    let grad_y = &self.grad_y[image * l.image_out()..][..l.image_out()];
                    let pixels = top * l.output[1]..(top + rows) * l.output[1];
                    let n = pixels.len();
                    let (gradient, pitch) = match self.read {
                        Layout::Planes => (&grad_y[pixels.start..], l.plane()),
                        Layout::Blocks => {
                            planes_of_blocks::<S>(grad_y, l.plane(), pixels, self.planes);
                            (&*self.planes, n)
                        }
                    };
                    accumulate::<S>(l, self.matrix, (gradient, pitch), n, self.lanes);
                    if let Some(sums) = &mut self.sums {
                        bias::add::<S>(Layout::Planes, sums, gradient.as_ptr(), pitch, 0..n);
                    }
                }
            }
        }
        for (sum, lanes) in self.partial.iter_mut().zip(self.lanes.chunks_exact(S::LANES)) {
            *sum = lanes.iter().sum();
        }
    }
}

/// Adds the products of `pixels` pixels, whose features are `pitch` apart in `gradient`, to `lanes`.
///
/// # Safety
/// As [`Simd`]; the matrix is that of these pixels.
#[inline(always)]
unsafe fn accumulate<S: Simd>(
    l: &ColumnLayout,
    matrix: &[f32],
    (gradient, pitch): (&[f32], usize),
    pixels: usize,
    lanes: &mut [f32],
) {
    for (feature, features) in pieces(l.features, max_vectors(S::REGISTERS)) {
        for (term, terms) in pieces(l.terms(), MAX_ROWS) {
            // SAFETY: the pixels lie in the features' planes and, with zeros up to a whole vector, in the matrix.
            unsafe {
                DotTile {
                    pixels,
                    rows: matrix.as_ptr().add(term * l.pitch),
                    pitch: l.pitch,
                    columns: gradient.as_ptr().add(feature * pitch),
                    plane: pitch,
                    out: lanes.as_mut_ptr().add((feature * l.terms() + term) * S::LANES),
                    out_step: l.terms() * S::LANES,
                }
                .run::<S>(terms, features);
            }
        }
    }
}
