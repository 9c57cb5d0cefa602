//! The gradient with respect to the weights. Rows of tiles are cut into groups by the shapes alone; each group sums into a partial
//! gradient `[point][O][C]`, and the partial gradients are added in order, so the result does not depend on the number of
//! threads.

use std::ops::Range;

use super::block_words;
use super::read::Reader;
use super::scheme::{MOST_TAPS, Scheme};
use super::tiling::{Counts, Frame, Sizes, Tiling};
use super::transform::{Gradient, Input, weight_rows};
use crate::kernel::Layout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::ahead::{Coming, Next, Scalars, far, in_memory};
use crate::ops::native::bias::{self, BiasGradient};
use crate::ops::native::blocks::transpose;
use crate::ops::native::correlate::sign;
use crate::ops::native::lanes::{MOST_LANES, Simd, Width, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, StridedTile, max_vectors, pieces};
use crate::ops::native::workers::{Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Most groups of all streams, and most words that their partial gradients may take unless there are only two.
const GROUPS: usize = 8;
const PARTIAL_WORDS: usize = 2 << 20;

/// Most points of a tile along an axis, most taps of a phase there, and most lanes of any instruction set.
const MOST_POINTS: usize = 6;
const MOST: usize = 3;

/// A weight gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct WinogradCorrelate {
    scheme: Scheme,
    inputs: Reader,
    gradients: Reader,
    groups: usize,
    /// Rows of tiles in a block.
    units: usize,
    slots: usize,
    streams: usize,
    width: Width,
}

impl WinogradCorrelate {
    /// For one correlation, or for two at once (`streams` = 2) that an interval convolution combines; `layouts` are those of x and
    /// grad_y.
    pub(crate) fn new(g: &Geometry, streams: usize, layouts: [Layout; 2], level: Level) -> WinogradCorrelate {
        let (width, scheme) = (Width::of(level), Scheme::of(g).expect("a convolution that `pays` accepts"));
        let frame = Frame { scale: scheme.stride, before: g.spec.padding, image: g.input };
        // One kind of tiles, so that a sum is long and partial gradients are few; larger ones would have fewer tiles and more points.
        let sizes = Sizes::mixed(scheme.taps());
        let of_images = Tiling::of_one_kind(g.batch, g.output, sizes);
        let pitch = frame.pitch(g.output, scheme.taps());
        let tilings = std::iter::once(of_images).chain(Tiling::of_sheets(g.batch, g.output, pitch, sizes));
        let tiling = tilings.min_by_key(|tiling| tiling.most_points(tiling.units())).expect("several tilings");
        let phases = (scheme.stride > 1).then_some(scheme);
        let inputs = Reader::inputs(tiling.clone(), (g.channels, layouts[0]), frame, phases, width.lanes);
        let gradients = Reader::gradients(tiling, (g.features, layouts[1]), g.output, width.lanes);
        let partial = sizes.edge() * sizes.edge() * g.features * inputs.wide();
        let affordable = PARTIAL_WORDS / (streams * partial);
        // Powers of two, so that they are shared evenly.
        let groups = inputs.tiling.units().min((GROUPS / streams).min(affordable.max(2)));
        let groups = 1 << groups.ilog2();
        let largest = inputs.tiling.units().div_ceil(groups);
        let units = inputs.tiling.block(largest, inputs.wide() + gradients.wide(), block_words(partial));
        let slots = slots(groups * streams);
        WinogradCorrelate { scheme, inputs, gradients, groups, units, slots, streams, width }
    }

    /// Sizes of the scratch buffers: partial gradients; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![
            scratch_words(self.streams * self.groups * self.partial_words()),
            scratch_words(self.slots * self.slot_words()),
        ]
    }

    /// Points of a tile along an axis.
    #[inline(always)]
    fn edge(&self) -> usize {
        self.inputs.tiling.sizes.edge()
    }

    /// Pieces that the products of a block are done in.
    fn pieces(&self) -> usize {
        let lanes = max_vectors(self.width.registers) * self.width.lanes;
        self.edge() * self.edge() * self.inputs.wide().div_ceil(lanes) * self.gradients.channels.div_ceil(MAX_ROWS)
    }

    /// Words for the sums of a bias's gradient.
    pub(in crate::ops::native) fn bias_words(&self) -> usize {
        bias::words(self.groups, self.gradients.channels)
    }

    fn partial_words(&self) -> usize {
        line_aligned(self.edge() * self.edge() * self.gradients.channels * self.inputs.wide())
    }

    /// Words for rows of an image, for the points of inputs and for those of gradients.
    fn areas(&self) -> [usize; 3] {
        [
            self.inputs.buffer_words().max(self.gradients.buffer_words()),
            self.inputs.tiling.point_words(self.units, self.inputs.wide()),
            self.inputs.tiling.point_words(self.units, self.gradients.wide()),
        ]
    }

    fn slot_words(&self) -> usize {
        self.areas().iter().sum()
    }

    /// dw from pairs (x, grad_y): the first pair's correlation, plus sign(w) times the second's if there are two.
    /// `scratch` is as declared by [`WinogradCorrelate::scratch`].
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
        let words = self.partial_words();
        let partials = aligned(partials, self.streams * self.groups * words);
        let shared = Shared::new(partials);
        let slots = aligned(slots, self.slots * self.slot_words());
        let units = self.inputs.tiling.units();
        for_each_task(self.groups * self.streams, self.slots, slots, |task, slot| {
            let (group, stream) = (task / self.streams, task % self.streams);
            let units = group * units / self.groups..(group + 1) * units / self.groups;
            // SAFETY: each group has its own sums.
            let sums = sums.filter(|_| stream == 0).map(|sums| unsafe { sums.begin(group) });
            // SAFETY: each task has its own partial gradient.
            unsafe {
                let at = shared.at((stream * self.groups + group) * words);
                let partial = std::slice::from_raw_parts_mut(at, words);
                let (x, grad_y) = pairs[stream];
                dispatch(self.width.level, GroupTask { correlate: self, x, grad_y, units, partial, sums, slot });
            }
        });
        let partials = &*partials;
        let dw = Shared::new(dw);
        for_each(self.gradients.channels, |feature| {
            // SAFETY: each task writes the weights of its own output channel.
            unsafe { dispatch(self.width.level, FeatureTask { correlate: self, feature, partials, sign_of, dw }) };
        });
        if let Some(bias) = bias {
            bias.finish(self.groups);
        }
    }
}

/// Some rows of tiles.
struct GroupTask<'a> {
    correlate: &'a WinogradCorrelate,
    x: &'a [f32],
    grad_y: &'a [f32],
    units: Range<usize>,
    partial: &'a mut [f32],
    /// Of the bias's gradient.
    sums: Option<&'a mut [f32]>,
    slot: &'a mut [f32],
}

impl Work for GroupTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let c = self.correlate;
        let [buffer_words, input_words, _] = c.areas();
        let (buffer, rest) = self.slot.split_at_mut(buffer_words);
        let (inputs, gradients) = rest.split_at_mut(input_words);
        let first = self.units.start;
        for begin in self.units.clone().step_by(c.units) {
            let units = begin..(begin + c.units).min(self.units.end);
            let counts = c.inputs.tiling.counts(units.clone());
            // SAFETY: the buffers are those of `areas`, the partial gradient that of this task.
            unsafe {
                let of_gradients = c.gradients.buffer_words();
                for unit in units.clone() {
                    if let Some(sums) = &mut self.sums {
                        c.gradients.sum::<S>(self.grad_y, unit, sums);
                    }
                }
                c.inputs.read::<S, Input>(self.x, units.clone(), &counts, buffer, inputs);
                let (buffer, next) = (&mut buffer[..of_gradients], units.end..self.units.end.min(units.end + c.units));
                c.gradients.read::<S, Gradient>(self.grad_y, units, &counts, buffer, gradients);
                let coming = Coming::new(areas(c, (self.x, self.grad_y), next), c.pieces());
                accumulate::<S>(c, &counts, (inputs, gradients), self.partial, begin > first, coming);
            }
        }
    }
}

/// What is read after the products: images and gradients of some units.
fn areas<'a>(
    c: &'a WinogradCorrelate,
    (x, grad_y): (&'a [f32], &'a [f32]),
    units: Range<usize>,
) -> impl Iterator<Item = (*const f32, usize)> + Clone {
    let units = if in_memory(x.len() + grad_y.len()) { units } else { 0..0 };
    let of = move |reader: &'a Reader, from: &'a [f32]| {
        reader.images().areas(&reader.tiling, units.clone()).map(move |(at, words)| (from[at..].as_ptr(), words))
    };
    of(&c.inputs, x).chain(of(&c.gradients, grad_y))
}

/// `partial[point][o][c]` (+)= Σ_tile `gradients[point][tile][o]` · `inputs[point][tile][c]`.
///
/// # Safety
/// As [`Simd`]; the buffers hold these tiles, large ones only.
#[inline(always)]
unsafe fn accumulate<S: Simd>(
    c: &WinogradCorrelate,
    counts: &Counts,
    (inputs, gradients): (&[f32], &[f32]),
    partial: &mut [f32],
    accumulate: bool,
    mut coming: Coming<impl Iterator<Item = (*const f32, usize)> + Clone>,
) {
    let (wide, step, features) = (c.inputs.wide(), c.gradients.wide(), c.gradients.channels);
    let most = max_vectors(S::REGISTERS) * S::LANES;
    let (of_inputs, of_gradients) = (counts.places(wide).pitch[0], counts.places(step).pitch[0]);
    let at = |point: usize, feature: usize, lane: usize| (point * features + feature) * wide + lane;
    let far = far(partial.len());
    for point in 0..c.edge() * c.edge() {
        for first in (0..wide).step_by(most) {
            let lanes = most.min(wide - first);
            for (feature, count) in pieces(features, MAX_ROWS) {
                let mut scalars = [std::ptr::null(); MAX_ROWS];
                for (i, scalar) in scalars.iter_mut().enumerate().take(count) {
                    *scalar = &raw const gradients[point * of_gradients + feature + i];
                }
                let next = match (feature + count < features, first + most < wide) {
                    (true, _) => at(point, feature + count, first),
                    (false, true) => at(point, 0, first + most),
                    (false, false) => at(point + 1, 0, 0),
                };
                let next = far.then(|| Next { at: partial.as_ptr().wrapping_add(next), step: wide });
                // SAFETY: features and lanes are inside the partial gradient, tiles inside both buffers.
                unsafe {
                    coming.ask::<S>();
                    StridedTile {
                        rows: 1,
                        columns: counts.tiles[0],
                        scalars: &scalars[..count],
                        row_step: 0,
                        step,
                        vectors: inputs.as_ptr().add(point * of_inputs + first),
                        vector_step: wide,
                        out: partial.as_mut_ptr().add(at(point, feature, first)),
                        out_step: wide,
                        accumulate,
                        next,
                    }
                    .run::<S>(lanes / S::LANES, Scalars::Near);
                }
            }
        }
    }
}

/// The weights of one output channel.
struct FeatureTask<'a> {
    correlate: &'a WinogradCorrelate,
    feature: usize,
    partials: &'a [f32],
    sign_of: Option<&'a [f32]>,
    dw: Shared,
}

impl Work for FeatureTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let c = self.correlate;
        let (channels, taps) = (c.inputs.channels, c.scheme.kernel_taps());
        let words = c.groups * c.partial_words();
        for first in (0..c.inputs.wide_channels()).step_by(S::LANES) {
            let count = S::LANES.min(channels - first);
            let at = (self.feature * channels + first) * taps;
            // SAFETY: the partial gradients and the row of dw hold these channels.
            unsafe {
                let dw = std::slice::from_raw_parts_mut(self.dw.at(at), count * taps);
                kernels::<S>(c, &self.partials[..words], self.feature, first, dw);
                if let Some(w) = self.sign_of {
                    let mut radius = [0.0; MOST_TAPS * MOST_LANES];
                    let radius = &mut radius[..count * taps];
                    kernels::<S>(c, &self.partials[words..], self.feature, first, radius);
                    for ((d, &r), &w) in dw.iter_mut().zip(&*radius).zip(&w[at..at + count * taps]) {
                        *d += sign(w) * r;
                    }
                }
            }
        }
    }
}

/// Adds the groups in order, and Gᵀ m G, each product rounded by itself, to `[c][tap]`, of the channels from `first` on.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn kernels<S: Simd>(c: &WinogradCorrelate, partials: &[f32], feature: usize, first: usize, to: &mut [f32]) {
    let (wide, features, edge, taps) = (c.inputs.wide(), c.gradients.channels, c.edge(), c.scheme.taps());
    let rows = weight_rows(taps, c.inputs.tiling.sizes.large);
    let mut kernel = [0.0; MOST_TAPS * MOST_LANES];
    // SAFETY: the partial gradients hold the channels, `to` holds the taps of each.
    unsafe {
        let zero = S::splat(0.0);
        for phase in 0..c.scheme.phases() {
            let lane = phase * c.inputs.wide_channels() + first;
            let mut half = [[zero; MOST]; MOST_POINTS];
            for (i, half) in half.iter_mut().enumerate().take(edge) {
                for (j, row) in rows.iter().enumerate() {
                    let at = ((i * edge + j) * features + feature) * wide + lane;
                    let mut sum = S::load(partials.as_ptr().add(at));
                    for group in 1..c.groups {
                        sum = S::add(sum, S::load(partials.as_ptr().add(group * c.partial_words() + at)));
                    }
                    for (h, &factor) in half.iter_mut().zip(row) {
                        *h = S::add(*h, S::mul_add(S::splat(factor), sum, zero));
                    }
                }
            }
            let mut of_phase = [[zero; MOST]; MOST];
            for (half, row) in half.iter().zip(rows) {
                for (line, &factor) in of_phase.iter_mut().zip(row) {
                    for (k, &h) in line.iter_mut().zip(half) {
                        *k = S::add(*k, S::mul_add(S::splat(factor), h, zero));
                    }
                }
            }
            for (i, line) in of_phase.iter().enumerate().take(taps) {
                for (j, &k) in line.iter().enumerate().take(taps) {
                    if let Some(tap) = c.scheme.tap(phase, [i, j]) {
                        S::store(kernel.as_mut_ptr().add(tap * S::LANES), k);
                    }
                }
            }
        }
        let taps = c.scheme.kernel_taps();
        transpose::<S>((kernel.as_ptr(), S::LANES), (to.as_mut_ptr(), taps), taps, to.len() / taps);
    }
}
