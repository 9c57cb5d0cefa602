//! The gradient with respect to an image of 4×4 taps and stride 2, where grad_y lies in blocks: each pixel of grad_y makes a patch of
//! 4×4 pixels, whose terms are the lanes, and each 2×2 cell of the image is the sum of a quarter of four patches.

use super::ColumnLayout;
use crate::ops::conv2d::Geometry;
use crate::ops::native::channel_tile::{BlockTile, max_pixels};
use crate::ops::native::gather::Stream;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::pieces;
use crate::ops::native::workers::{aligned, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Pixels of a patch along an axis, and of a cell.
const EDGE: usize = 4;
const CELL: usize = 2;
/// Words of a patch: quarter by quarter, each `[row][column]`.
const PATCH: usize = EDGE * EDGE;
const QUARTER: usize = CELL * CELL;

/// Whether the gradient of `g` is made of such patches.
pub(in crate::ops::native) fn suits(g: &Geometry) -> bool {
    g.kernel == [EDGE; 2] && g.spec.stride == [CELL; 2] && g.spec.dilation == [1, 1]
}

/// An input gradient with everything decided that depends on shapes only.
#[derive(Debug)]
pub(crate) struct PatchesBackward {
    layout: ColumnLayout,
    padding: [usize; 2],
    batch: usize,
    slots: usize,
}

impl PatchesBackward {
    /// The gradient grad_y, in blocks, → grad_x in planes, for what [`suits`].
    pub(crate) fn new(g: &Geometry, level: Level) -> PatchesBackward {
        let layout = ColumnLayout::new(g, true, level);
        PatchesBackward { layout, padding: g.spec.padding, batch: g.batch, slots: slots(g.batch) }
    }

    /// Words of the packed weights, `[channel][feature][word of the patch]`.
    pub(crate) fn packed_words(&self) -> usize {
        line_aligned(self.layout.channels * self.layout.features * PATCH)
    }

    /// The same for kernels that read packed weights of the same layout.
    pub(crate) fn packed_key(&self) -> String {
        format!("patches {} {}", self.layout.features, self.layout.channels)
    }

    /// Packs w, or |w|.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        let (features, channels) = (self.layout.features, self.layout.channels);
        for (i, w) in packed[..features * channels * PATCH].iter_mut().enumerate() {
            let (channel, feature, word) = (i / PATCH / features, i / PATCH % features, i % PATCH);
            let (quarter, pixel) = (word / QUARTER, word % QUARTER);
            let row = quarter / CELL * CELL + pixel / CELL;
            let column = quarter % CELL * CELL + pixel % CELL;
            let value = weights[(feature * channels + channel) * PATCH + row * EDGE + column];
            *w = if absolute { value.abs() } else { value };
        }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    /// Rows and columns of cells that the image has a part of, from the padding on.
    fn cells(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.layout.input[axis] + self.padding[axis]).div_ceil(CELL))
    }

    /// Words of a row of patches: one of zeros, those of grad_y, and zeros up to the last cell.
    fn patches_words(&self) -> usize {
        (1 + self.cells()[1].max(self.layout.output[1])) * PATCH
    }

    /// Words of a row of pixels made of cells, and of what vectors read past it.
    fn line_words(&self) -> usize {
        line_aligned(self.cells()[1] * CELL + self.layout.width.lanes)
    }

    fn slot_words(&self) -> usize {
        CELL * (self.patches_words() + self.line_words())
    }

    /// Runs the streams, each with its packed weights; `scratch` is as declared by [`PatchesBackward::scratch`].
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.batch, self.slots, slots, |image, slot| {
            let (patches, lines) = slot.split_at_mut(CELL * self.patches_words());
            for (&stream, &packed) in streams.iter().zip(packed) {
                let work = ImageTask { backward: self, stream, packed, image, patches, lines };
                // SAFETY: tasks write disjoint images.
                unsafe { dispatch(self.layout.width.level, work) }
            }
        });
    }
}

/// One image.
struct ImageTask<'a> {
    backward: &'a PatchesBackward,
    stream: Stream<'a>,
    packed: &'a [f32],
    image: usize,
    /// Two rows of patches: of the cells' own row, and of the one before.
    patches: &'a mut [f32],
    /// The two rows of pixels of a row of cells.
    lines: &'a mut [f32],
}

impl Work for ImageTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let b = self.backward;
        let l = &b.layout;
        for channel in 0..l.channels {
            self.patches.fill(0.0);
            let (mut own, mut before) = self.patches.split_at_mut(b.patches_words());
            for row in 0..b.cells()[0] {
                // SAFETY: the buffers are those of `slot_words`; the image is this task's.
                unsafe {
                    if row < l.output[0] {
                        make::<S>(b, self.stream.input, self.packed, (self.image, channel, row), own);
                    } else {
                        own.fill(0.0);
                    }
                    // In the order of a matrix of columns, which is added band by band.
                    let (upper, lower) = self.lines.split_at_mut(b.line_words());
                    match row % l.band_rows {
                        0 => join::<true>(own, before, upper, lower),
                        _ => join::<false>(own, before, upper, lower),
                    }
                    write::<S>(b, &self.stream, (self.image, channel, row), self.lines);
                }
                (own, before) = (before, own);
            }
        }
        let (at, n) = (self.image * l.image(), l.image());
        // SAFETY: the image is this task's.
        unsafe { self.stream.epilogue.finish::<S>(self.stream.output.at(at), at, n) }
    }
}

/// The patches that a row of an image's grad_y makes of a channel, behind the first one of `patches`.
///
/// # Safety
/// As [`Simd`]; grad_y is whole.
#[inline(always)]
unsafe fn make<S: Simd>(
    b: &PatchesBackward,
    grad_y: &[f32],
    packed: &[f32],
    (image, channel, row): (usize, usize, usize),
    patches: &mut [f32],
) {
    let (l, width) = (&b.layout, b.layout.output[1]);
    let gradient = &grad_y[image * l.image_out()..][..l.image_out()];
    let weights = &packed[channel * l.features * PATCH..][..l.features * PATCH];
    // As many vectors of a patch as a tile takes.
    let together = (PATCH / S::LANES).min(2);
    for first in (0..PATCH).step_by(together * S::LANES) {
        for (pixel, pixels) in pieces(width, max_pixels(S::REGISTERS, together)) {
            // SAFETY: features are whole blocks; the row of patches holds one for each pixel.
            unsafe {
                BlockTile {
                    blocks: l.features / S::LANES,
                    pixels: gradient.as_ptr().add((row * width + pixel) * S::LANES),
                    plane: l.plane() * S::LANES,
                    weights: weights.as_ptr().add(first),
                    weight_step: PATCH,
                    out: patches.as_mut_ptr().add((1 + pixel) * PATCH + first),
                    out_step: PATCH,
                }
                .run::<S>(pixels, together);
            }
        }
    }
}

/// The sums of a row of cells, of its own row of patches and the one before, which comes first where that `BEGINS` a band.
// By itself, the compiler knows that its slices are apart, and adds quarter by quarter.
#[inline(never)]
fn join<const BEGINS: bool>(own: &[f32], before: &[f32], upper: &mut [f32], lower: &mut [f32]) {
    let [own, before] = [own, before].map(|row| row.as_chunks::<PATCH>().0);
    let lines = upper.as_chunks_mut::<CELL>().0.iter_mut().zip(lower.as_chunks_mut::<CELL>().0);
    for ((upper, lower), (own, before)) in lines.zip(own.windows(2).zip(before.windows(2))) {
        let [a, b] = [quarter::<0>(&own[1]), quarter::<1>(&own[0])];
        let [c, d] = [quarter::<2>(&before[1]), quarter::<3>(&before[0])];
        let order = if BEGINS { [c, d, a, b] } else { [a, b, c, d] };
        let cell = order.into_iter().fold([0.0; QUARTER], |sum, x| std::array::from_fn(|i| sum[i] + x[i]));
        *upper = [cell[0], cell[1]];
        *lower = [cell[2], cell[3]];
    }
}

/// A quarter of a patch.
#[inline(always)]
fn quarter<const Q: usize>(patch: &[f32; PATCH]) -> [f32; QUARTER] {
    std::array::from_fn(|i| patch[Q * QUARTER + i])
}

/// Writes what the image has of a row of cells.
///
/// # Safety
/// As [`Simd`]; the image is the caller's.
#[inline(always)]
unsafe fn write<S: Simd>(
    b: &PatchesBackward,
    stream: &Stream<'_>,
    (image, channel, row): (usize, usize, usize),
    lines: &[f32],
) {
    let (l, [height, width]) = (&b.layout, b.layout.input);
    for (line, pixels) in lines.chunks_exact(b.line_words()).enumerate() {
        let row = (row * CELL + line).wrapping_sub(b.padding[0]);
        if row < height {
            let at = ((image * l.channels + channel) * height + row) * width;
            // SAFETY: the row is the caller's; the line holds it behind the padding.
            unsafe {
                let from = pixels.as_ptr().add(b.padding[1]);
                stream.epilogue.write::<S>(channel, at, from, stream.output.at(at), width);
            }
        }
    }
}
