//! The gradient with respect to the weights as grad_y · columnsᵀ.
//!
//! Lanes are pixels in both factors, so that neither is transposed; the sums of the lanes are added once for many images.
//! The batch is cut into groups by its size alone, whose partial gradients are added in order.

use super::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::bias::{self, BiasGradient};
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
    layout: Layout,
    batch: usize,
    groups: usize,
    slots: usize,
    streams: usize,
}

impl ColumnsCorrelate {
    /// For one correlation, or for two at once (`streams` = 2) that an interval convolution combines.
    pub(crate) fn new(g: &Geometry, streams: usize, level: Level) -> ColumnsCorrelate {
        let layout = Layout::new(g, false, level);
        let groups = g.batch.min(GROUPS);
        ColumnsCorrelate { layout, batch: g.batch, groups, slots: slots(groups * streams), streams }
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

    fn slot_words(&self) -> usize {
        self.layout.padded_words() + self.layout.matrix_words() + self.lane_words()
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
            let (padded, rest) = slot.split_at_mut(self.layout.padded_words());
            let (matrix, lanes) = rest.split_at_mut(self.layout.matrix_words());
            let (x, grad_y) = pairs[stream];
            let images = group * self.batch / self.groups..(group + 1) * self.batch / self.groups;
            // SAFETY: each group has its own sums.
            let sums = sums.filter(|_| stream == 0).map(|sums| unsafe { sums.begin(group) });
            // SAFETY: each task has its own partial gradient.
            unsafe {
                let at = shared.at((stream * self.groups + group) * words);
                let partial = std::slice::from_raw_parts_mut(at, words);
                let work = GroupTask { layout: &self.layout, x, grad_y, images, partial, sums, padded, matrix, lanes };
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
    layout: &'a Layout,
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
                    self.accumulate::<S>(image, top * l.output[1], rows * l.output[1]);
                    if let Some(sums) = &mut self.sums {
                        let grad_y = &self.grad_y[image * l.image_out()..][..l.image_out()];
                        bias::add::<S>(sums, grad_y.as_ptr().add(top * l.output[1]), l.plane(), rows * l.output[1]);
                    }
                }
            }
        }
        for (sum, lanes) in self.partial.iter_mut().zip(self.lanes.chunks_exact(S::LANES)) {
            *sum = lanes.iter().sum();
        }
    }
}

impl GroupTask<'_> {
    /// Adds the products of `pixels` pixels of an image, from pixel `first` on.
    #[inline(always)]
    unsafe fn accumulate<S: Simd>(&mut self, image: usize, first: usize, pixels: usize) {
        let l = self.layout;
        let gradient = &self.grad_y[image * l.image_out()..][..l.image_out()];
        for (feature, features) in pieces(l.features, max_vectors(S::REGISTERS)) {
            for (term, terms) in pieces(l.terms(), MAX_ROWS) {
                // SAFETY: the pixels lie in the features' planes and, with zeros up to a whole vector, in the matrix.
                unsafe {
                    DotTile {
                        pixels,
                        rows: self.matrix.as_ptr().add(term * l.pitch),
                        pitch: l.pitch,
                        columns: gradient.as_ptr().add(feature * l.plane() + first),
                        plane: l.plane(),
                        out: self.lanes.as_mut_ptr().add((feature * l.terms() + term) * S::LANES),
                        out_step: l.terms() * S::LANES,
                    }
                    .run::<S>(terms, features);
                }
            }
        }
    }
}
