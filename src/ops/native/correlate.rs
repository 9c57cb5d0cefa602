//! Gradient of a convolution with respect to its weights: the correlation of the input with the output's gradient.
//!
//! `dw[o,c,u,v]` = Σ_{n,i,j} `grad_y[n,o,i,j]` · `x[n, c, i·S−P+u·D, j·S−P+v·D]`. Lanes are output channels (grad_y is transposed
//! to `[pixel][O]`, band by band), the scalars are read from a zero-padded copy of x. The batch is cut into groups by its
//! size alone; each sums its images into a partial gradient `[C·KH·KW][O]`, and the partial gradients are added in order, so
//! the result does not depend on the number of threads, and no sum runs over more than a group's pixels.

use rayon::prelude::*;

use super::ahead::Scalars;
use super::axis::Axis;
use super::band::Band;
use super::bias::{self, BiasGradient};
use super::blocks::{copy_blocks, planes_of_blocks, transpose};
use super::gather::axis_spec;
use super::lanes::{Simd, Width, Work, dispatch};
use super::tile::{MAX_ROWS, StridedTile, max_vectors, pieces};
use super::workers::{Shared, aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::simd::{CHUNK, Level, vectorised};

/// Most groups of images, and most words that their partial gradients may take unless there are only two.
const GROUPS: usize = 16;
const PARTIAL_WORDS: usize = 4 << 20;

/// Words that a band of the transposed gradient may take.
const BAND_WORDS: usize = 32 * 1024;

/// A weight gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct Correlate {
    batch: usize,
    features: usize,
    /// Output extents.
    output: [usize; 2],
    /// Pixels of a channel of x, and elements of an image.
    plane: usize,
    image: usize,
    /// Of x and of the gradients.
    layouts: [Layout; 2],
    row_step: usize,
    band: Band,
    band_rows: usize,
    /// Offset in the band of each row of the partial gradient.
    taps: Vec<u32>,
    groups: usize,
    slots: usize,
    streams: usize,
    width: Width,
}

impl Correlate {
    /// For one correlation, or for two at once (`streams` = 2) that an interval convolution combines; `layouts` are those of x and
    /// grad_y.
    pub(crate) fn new(g: &Geometry, streams: usize, layouts: [Layout; 2], level: Level) -> Correlate {
        let [rows, columns] = [0, 1].map(|a| Axis::forward(axis_spec(g, a), g.output[a]));
        let width = Width::of(level);
        let wide = g.features.next_multiple_of(width.lanes);
        let bands = g.output[0].div_ceil((BAND_WORDS / (wide * g.output[1])).max(1));
        let band_rows = g.output[0].div_ceil(bands);
        let band = Band::new(g.channels, g.input, &rows, &columns, band_rows);
        let mut taps = Vec::new();
        for channel in 0..g.channels {
            for &(_, down) in &rows.classes[0].taps {
                taps.extend(columns.classes[0].taps.iter().map(|&(_, right)| band.offset(channel, down, right) as u32));
            }
        }
        let affordable = PARTIAL_WORDS / (streams * taps.len() * wide);
        let groups = g.batch.min(GROUPS.min(affordable.max(2)));
        Correlate {
            batch: g.batch,
            features: g.features,
            output: g.output,
            plane: g.input[0] * g.input[1],
            image: g.channels * g.input[0] * g.input[1],
            layouts,
            row_step: rows.in_step * band.row(),
            band,
            band_rows,
            taps,
            groups,
            slots: slots(groups * streams),
            streams,
            width,
        }
    }

    /// Sizes of the scratch buffers: partial gradients; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![
            scratch_words(self.streams * self.groups * self.partial_words()),
            scratch_words(self.slots * self.slot_words()),
        ]
    }

    /// Words for the sums of a bias's gradient.
    pub(super) fn bias_words(&self) -> usize {
        bias::words(self.groups, self.features)
    }

    fn wide(&self) -> usize {
        self.features.next_multiple_of(self.width.lanes)
    }

    /// Pieces of the output channels that a tile handles, filled up to whole vectors: (first channel, lanes).
    fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        let (wide, most) = (self.wide(), max_vectors(self.width.registers) * self.width.lanes);
        (0..wide).step_by(most).map(move |first| (first, most.min(wide - first)))
    }

    /// Pixels of a band.
    fn band_pixels(&self) -> usize {
        self.band_rows * self.output[1]
    }

    fn partial_words(&self) -> usize {
        self.taps.len() * self.wide()
    }

    /// Words of a padded band, of a band's gradient, and of an image's planes where it lies in blocks.
    fn areas(&self) -> [usize; 3] {
        let planes = if self.layouts[0] == Layout::Blocks { self.image } else { 0 };
        [self.band.words(), self.band_pixels() * self.wide(), planes].map(line_aligned)
    }

    fn slot_words(&self) -> usize {
        self.areas().iter().sum()
    }

    /// dw from pairs (x, grad_y): the first pair's correlation, plus sign(w) times the second's if there are two.
    /// `scratch` is as declared by [`Correlate::scratch`].
    pub(crate) fn run(
        &self,
        streams: &[(&[f32], &[f32])],
        sign_of: Option<&[f32]>,
        dw: &mut [f32],
        mut bias: Option<BiasGradient<'_>>,
        scratch: [&mut [f32]; 2],
    ) {
        let sums = bias.as_mut().map(|bias| bias.groups(self.groups));
        let [partials, slots] = scratch;
        let partials = aligned(partials, self.streams * self.groups * self.partial_words());
        let shared = Shared::new(partials);
        let slots = aligned(slots, self.slots * self.slot_words());
        for_each_task(self.groups * self.streams, self.slots, slots, |task, slot| {
            let (group, stream) = (task / self.streams, task % self.streams);
            let [of_band, of_gradient, _] = self.areas();
            let (padded, rest) = slot.split_at_mut(of_band);
            let (gradient, planes) = rest.split_at_mut(of_gradient);
            let (x, grad_y) = streams[stream];
            let images = group * self.batch / self.groups..(group + 1) * self.batch / self.groups;
            // SAFETY: each group has its own sums.
            let sums = sums.filter(|_| stream == 0).map(|sums| unsafe { sums.begin(group) });
            let at = (stream * self.groups + group) * self.partial_words();
            // SAFETY: each task has its own partial gradient.
            unsafe {
                let partial = std::slice::from_raw_parts_mut(shared.at(at), self.partial_words());
                dispatch(
                    self.width.level,
                    GroupTask { correlate: self, x, grad_y, images, partial, sums, padded, gradient, planes },
                );
            }
        });
        self.combine(partials, sign_of, dw);
        if let Some(bias) = bias {
            bias.finish(self.groups);
        }
    }

    /// Adds the groups in order, and turns `[term][O]` into `[O][term]`.
    fn combine(&self, partials: &mut [f32], sign_of: Option<&[f32]>, dw: &mut [f32]) {
        let (terms, words) = (self.taps.len(), self.partial_words());
        for stream in partials.chunks_exact_mut(self.groups * words) {
            let (total, others) = stream.split_at_mut(words);
            let others = &*others;
            total.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, total)| {
                for partial in others.chunks_exact(words) {
                    add(total, &partial[chunk * CHUNK..][..total.len()]);
                }
            });
        }
        let partials = &*partials;
        let total = |stream: usize, term: usize, feature: usize| {
            partials[stream * self.groups * words + term * self.wide() + feature]
        };
        dw.par_chunks_mut(terms).enumerate().with_min_len(8).for_each(|(feature, row)| {
            for (term, d) in row.iter_mut().enumerate() {
                *d = total(0, term, feature);
                if let Some(w) = sign_of {
                    *d += sign(w[feature * terms + term]) * total(1, term, feature);
                }
            }
        });
    }
}

vectorised! {
    fn add(total: &mut [f32], other: &[f32]) {
        for (total, &other) in total.iter_mut().zip(other) {
            *total += other;
        }
    }
}

/// −1, 0 or 1.
pub(crate) fn sign(w: f32) -> f32 {
    (w > 0.0) as u32 as f32 - (w < 0.0) as u32 as f32
}

/// The images of one group.
struct GroupTask<'a> {
    correlate: &'a Correlate,
    x: &'a [f32],
    grad_y: &'a [f32],
    images: std::ops::Range<usize>,
    partial: &'a mut [f32],
    /// Of the bias's gradient.
    sums: Option<&'a mut [f32]>,
    padded: &'a mut [f32],
    gradient: &'a mut [f32],
    planes: &'a mut [f32],
}

impl Work for GroupTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let c = self.correlate;
        let [height, width] = c.output;
        self.partial.fill(0.0);
        // Lanes past the last channel are computed and ignored, but should be numbers.
        self.gradient.fill(0.0);
        for image in self.images.clone() {
            let mut x = &self.x[image * c.image..][..c.image];
            if c.layouts[0] == Layout::Blocks {
                // SAFETY: both hold an image.
                unsafe { planes_of_blocks::<S>(x, c.plane, 0..c.plane, self.planes) };
                x = &self.planes[..c.image];
            }
            for top in (0..height).step_by(c.band_rows) {
                let rows = c.band_rows.min(height - top);
                // SAFETY: image and rows are inside x and grad_y; the taps of the band's outputs lie in `padded`.
                unsafe {
                    c.band.fill::<S>(x.as_ptr(), top * c.row_step / c.band.row(), self.padded);
                    let grad_y = &self.grad_y[image * c.features * height * width..][..c.features * height * width];
                    if let Some(sums) = &mut self.sums {
                        let pixels = top * width..(top + rows) * width;
                        bias::add::<S>(c.layouts[1], sums, grad_y.as_ptr(), height * width, pixels);
                    }
                    for (first, lanes) in c.panels() {
                        // Panel by panel, so that a tile reads one contiguous stream.
                        if c.layouts[1] == Layout::Blocks {
                            let panel = &mut self.gradient[first * c.band_pixels()..];
                            let blocks = &grad_y[first * height * width..][..lanes * height * width];
                            copy_blocks::<S>(blocks, height * width, top * width..(top + rows) * width, panel);
                            continue;
                        }
                        transpose::<S>(
                            (grad_y.as_ptr().add(first * height * width + top * width), height * width),
                            (self.gradient.as_mut_ptr().add(first * c.band_pixels()), lanes),
                            lanes.min(c.features - first),
                            rows * width,
                        );
                    }
                    accumulate::<S>(c, self.padded, self.gradient, rows, self.partial);
                }
            }
        }
    }
}

/// `partial[term][o]` += Σ_pixel padded[`taps[term]` + pixel] · `gradient[pixel][o]` over `rows` rows of the band.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn accumulate<S: Simd>(c: &Correlate, padded: &[f32], gradient: &[f32], rows: usize, partial: &mut [f32]) {
    let wide = c.wide();
    for (first, lanes) in c.panels() {
        for (term, count) in pieces(c.taps.len(), MAX_ROWS) {
            let mut scalars = [std::ptr::null(); MAX_ROWS];
            for (scalar, &tap) in scalars.iter_mut().zip(&c.taps[term..term + count]) {
                *scalar = &raw const padded[tap as usize];
            }
            // SAFETY: term and channels are inside the partial gradient, pixels inside both bands.
            unsafe {
                StridedTile {
                    rows,
                    columns: c.output[1],
                    scalars: &scalars[..count],
                    row_step: c.row_step,
                    step: 1,
                    vectors: gradient.as_ptr().add(first * c.band_pixels()),
                    vector_step: lanes,
                    out: partial.as_mut_ptr().add(term * wide + first),
                    out_step: wide,
                    accumulate: true,
                    next: None,
                }
                .run::<S>(lanes / S::LANES, Scalars::Near);
            }
        }
    }
}
