//! The gradient with respect to the weights as grad_y · columnsᵀ.
//!
//! Where grad_y lies in planes, lanes are pixels in both factors, so that neither is transposed; the sums of the lanes are added once for many images.
//! In blocks, lanes are its channels, and pixels are read where they lie. The batch is cut into groups by its size alone, whose partial gradients are added in order.

use super::ColumnLayout;
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::bias::{self, BiasGradient};
use crate::ops::native::channel_tile::{ChannelDotTile, max_taps};
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

    /// Words of the padded rows, of the columns and of the sums.
    fn areas(&self) -> [usize; 3] {
        let columns = if self.read == Layout::Planes { self.layout.strips.words() } else { 0 };
        [self.layout.padded_words(), columns, self.lane_words()]
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
            let [of_padded, of_columns, _] = self.areas();
            let (padded, rest) = slot.split_at_mut(of_padded);
            let (columns, lanes) = rest.split_at_mut(of_columns);
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
                    columns,
                    lanes,
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
    columns: &'a mut [f32],
    /// `[feature][term][lane]`, in blocks `[block][term][feature]`.
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
                    let grad_y = &self.grad_y[image * l.image_out()..][..l.image_out()];
                    match self.read {
                        Layout::Planes => {
                            l.strips.write::<S>(self.padded, rows, self.columns);
                            let gradient = &grad_y[top * l.output[1]..];
                            accumulate::<S>(l, self.columns, (gradient, l.plane()), rows * l.output[1], self.lanes);
                        }
                        Layout::Blocks => accumulate_blocks::<S>(l, self.padded, grad_y, (top, rows), self.lanes),
                    }
                    if let Some(sums) = &mut self.sums {
                        let pixels = top * l.output[1]..(top + rows) * l.output[1];
                        bias::add::<S>(self.read, sums, grad_y.as_ptr(), l.plane(), pixels);
                    }
                }
            }
        }
        match self.read {
            Layout::Planes => {
                for (sum, lanes) in self.partial.iter_mut().zip(self.lanes.chunks_exact(S::LANES)) {
                    *sum = lanes.iter().sum();
                }
            }
            Layout::Blocks => {
                for (feature, sums) in self.partial.chunks_exact_mut(l.terms()).enumerate() {
                    let block = &self.lanes[feature / S::LANES * l.terms() * S::LANES + feature % S::LANES..];
                    sums.iter_mut().zip(block.iter().step_by(S::LANES)).for_each(|(sum, &lane)| *sum = lane);
                }
            }
        }
    }
}

/// Adds the products of `pixels` pixels, whose features are `pitch` apart in `gradient`, to `lanes`.
///
/// # Safety
/// As [`Simd`]; the columns are those of these pixels.
#[inline(always)]
unsafe fn accumulate<S: Simd>(
    l: &ColumnLayout,
    columns: &[f32],
    (gradient, pitch): (&[f32], usize),
    pixels: usize,
    lanes: &mut [f32],
) {
    for (feature, features) in pieces(l.features, max_vectors(S::REGISTERS)) {
        for (term, terms) in pieces(l.terms(), MAX_ROWS) {
            // SAFETY: the pixels lie in the features' planes and, with numbers up to a whole vector, in the strips.
            unsafe {
                DotTile {
                    pixels,
                    rows: columns.as_ptr(),
                    taps: &l.strips.taps()[term..term + terms],
                    columns: gradient.as_ptr().add(feature * pitch),
                    plane: pitch,
                    out: lanes.as_mut_ptr().add((feature * l.terms() + term) * S::LANES),
                    out_step: l.terms() * S::LANES,
                }
                .run::<S>(features);
            }
        }
    }
}

/// Adds the products of a band's rows to `lanes`, `[block][term][feature]`, from pixels where they lie.
///
/// # Safety
/// As [`Simd`]; `padded` is that of the band.
#[inline(always)]
unsafe fn accumulate_blocks<S: Simd>(
    l: &ColumnLayout,
    padded: &[f32],
    grad_y: &[f32],
    (top, rows): (usize, usize),
    lanes: &mut [f32],
) {
    for (block, blocks) in pieces(l.features / S::LANES, 2) {
        for (term, terms) in pieces(l.terms(), max_taps(S::REGISTERS, blocks)) {
            let first = block * l.plane() + top * l.output[1];
            // SAFETY: the taps of the band's outputs lie in the band, the rows in the features' blocks.
            unsafe {
                ChannelDotTile {
                    taps: &l.taps[term..term + terms],
                    pixels: padded.as_ptr(),
                    row: l.row_step * l.band.row(),
                    rows,
                    columns: l.output[1],
                    gradients: grad_y.as_ptr().add(first * S::LANES),
                    plane: l.plane() * S::LANES,
                    out: lanes.as_mut_ptr().add((block * l.terms() + term) * S::LANES),
                    out_step: l.terms() * S::LANES,
                }
                .run::<S>(blocks);
            }
        }
    }
}
