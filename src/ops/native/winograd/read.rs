//! Inputs at the points of the tiles: Bᵀ x B of inputs, A gy Aᵀ of gradients, for blocks of images.

use std::ops::Range;

use super::coming::Images;
use super::pixels::{Image, Pixels};
use super::scheme::Scheme;
use super::tiling::{Band, Counts, Frame, Segment, Tiling};
use super::transform::{Grid, Rule, Target, tile};
use crate::kernel::Layout;
use crate::ops::native::bias;
use crate::ops::native::blocks::{prefetch, transpose};
use crate::ops::native::lanes::Simd;
use crate::ops::native::workers::line_aligned;

/// Reads images, phase by phase where there are several.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) tiling: Tiling,
    pub(super) channels: usize,
    layout: Layout,
    /// Where images lie under the outputs.
    frame: Frame,
    /// The phases that are read; of stride 1 for gradients.
    phases: Option<Scheme>,
    /// Rows and columns of a phase that tiles read past their outputs.
    reach: usize,
    lanes: usize,
    /// Of images in blocks.
    pixels: Option<Pixels>,
}

/// Points of a tile: they lie apart, each in a line of its own, next to that of the next tile.
struct Points {
    at: *mut f32,
    grid: Grid,
    /// Words to the next tile.
    next: usize,
}

impl<S: Simd> Target<S> for Points {
    #[inline(always)]
    unsafe fn store(&self, i: usize, j: usize, v: S::Vector) {
        // SAFETY: the caller's duty.
        unsafe {
            let to = self.at.add(self.grid.at(i, j));
            S::prefetch(to.wrapping_add(self.next));
            S::store(to, v);
        }
    }
}

impl Reader {
    /// Of what a convolution with this padding reads; with `phases` it is one of stride 2.
    pub(super) fn inputs(
        tiling: Tiling,
        (channels, layout): (usize, Layout),
        frame: Frame,
        phases: Option<Scheme>,
        lanes: usize,
    ) -> Reader {
        let reach = tiling.sizes.taps - 1;
        Reader::new(tiling, (channels, layout), frame, phases, reach, lanes)
    }

    /// Of gradients of outputs.
    pub(super) fn gradients(
        tiling: Tiling,
        (channels, layout): (usize, Layout),
        image: [usize; 2],
        lanes: usize,
    ) -> Reader {
        let frame = Frame { scale: 1, before: [0; 2], image };
        Reader::new(tiling, (channels, layout), frame, None, 0, lanes)
    }

    fn new(
        tiling: Tiling,
        (channels, layout): (usize, Layout),
        frame: Frame,
        phases: Option<Scheme>,
        reach: usize,
        lanes: usize,
    ) -> Reader {
        let pixels = (layout == Layout::Blocks).then(|| Pixels::new(&tiling, frame, channels, reach, lanes));
        Reader { tiling, channels, layout, frame, phases, reach, lanes, pixels }
    }

    /// Channels, filled up to whole vectors.
    pub(super) fn wide_channels(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }

    /// The images that are read.
    pub(super) fn images(&self) -> Images {
        let Reader { frame, reach, channels, layout, lanes, .. } = *self;
        Images { frame, reach, channels, layout, lanes }
    }

    /// Words at a point of a tile, `[phase][channel]`.
    pub(super) fn wide(&self) -> usize {
        self.phases.map_or(1, |scheme| scheme.phases()) * self.wide_channels()
    }

    /// Columns that a row of tiles reads.
    fn columns(&self) -> usize {
        self.frame.scale * (self.tiling.width() + self.reach)
    }

    /// Words of the buffer for what a unit reads of one vector of channels where that is not read in place.
    pub(super) fn buffer_words(&self) -> usize {
        if self.pixels.is_some() {
            return 0;
        }
        line_aligned(self.frame.scale * (self.tiling.height() + self.reach) * self.columns() * self.lanes)
    }

    /// Points of `units`, `[kind][point][tile][phase][channel]`; `counts` are their tiles.
    ///
    /// # Safety
    /// As [`Simd`]; x are whole images, `buffer` and `points` are large enough.
    #[inline(always)]
    pub(super) unsafe fn read<S: Simd, R: Rule>(
        &self,
        x: &[f32],
        units: Range<usize>,
        counts: &Counts,
        buffer: &mut [f32],
        points: &mut [f32],
    ) {
        let (wide, wide_channels) = (self.wide(), self.wide_channels());
        let sizes = self.tiling.sizes;
        let (taps, stride, row_words) = (sizes.taps, self.frame.scale, self.columns() * S::LANES);
        let source = Grid { row: stride * row_words, column: stride * S::LANES };
        let plane = self.frame.image[0] * self.frame.image[1];
        // The padding is never written again.
        buffer.fill(0.0);
        let places = counts.places(wide);
        let mut done = Counts::none(sizes);
        for unit in units {
            let rows = self.tiling.unit(unit);
            let bands = self.tiling.bands(unit, self.frame, self.reach);
            let pixels = self.pixels.as_ref().map(|pixels| (pixels, pixels.rows(&bands, rows.outputs + self.reach)));
            let mut next = done;
            for first in (0..wide_channels).step_by(S::LANES) {
                if pixels.is_none() {
                    // SAFETY: the images and the buffer hold what is read and written.
                    unsafe { self.fill::<S>(x, first, (rows, &bands), buffer) };
                }
                // The last block is followed by the first one some rows below.
                let below = sizes.large * stride * self.frame.image[1] * S::LANES;
                let is_last = first + S::LANES >= wide_channels;
                let next_block = if is_last { below.wrapping_sub(first * plane) } else { plane * S::LANES };
                for phase in 0..stride * stride {
                    next = done;
                    for (segment, columns) in self.tiling.columns.iter().enumerate() {
                        let outputs = [rows.outputs, columns.outputs];
                        let kind = sizes.kind(outputs);
                        let pitch = places.pitch[kind];
                        let lane = phase * wide_channels + first;
                        let at = places.begin[kind] + next.tiles[kind] * wide + lane;
                        let target = Grid { row: (columns.outputs + taps - 1) * pitch, column: pitch };
                        next.tiles[kind] += 1;
                        // SAFETY: the images or the buffer, and the points hold what is read and written.
                        unsafe {
                            let to = Points { at: points.as_mut_ptr().add(at), grid: target, next: wide };
                            let origin = [phase / stride, phase % stride];
                            match &pixels {
                                Some((pixels, rows)) => {
                                    let at = x.as_ptr().add(first * plane);
                                    if pixels.are_whole(rows, segment) {
                                        let places = pixels.places::<true>(rows, origin, columns.first);
                                        tile::<S, R>(taps, outputs, Image { at, places, next: next_block }, to);
                                    } else {
                                        let places = pixels.places::<false>(rows, origin, columns.first);
                                        tile::<S, R>(taps, outputs, Image { at, places, next: next_block }, to);
                                    }
                                }
                                None => {
                                    let at = origin[0] * row_words + origin[1] * S::LANES;
                                    let from = buffer.as_ptr().add(at + columns.first * source.column);
                                    tile::<S, R>(taps, outputs, (from, source), to);
                                }
                            }
                        }
                    }
                }
            }
            done = next;
        }
    }

    /// Adds the pixels that a unit of gradients has to their sums by channel.
    ///
    /// # Safety
    /// As [`Simd`]; `y` are whole images.
    #[inline(always)]
    pub(super) unsafe fn sum<S: Simd>(&self, y: &[f32], unit: usize, sums: &mut [f32]) {
        let [height, width] = self.frame.image;
        for band in self.tiling.bands(unit, self.frame, 0).iter() {
            for image in band.image..band.image + band.images {
                let y = &y[image * self.channels * height * width..][..self.channels * height * width];
                let rows = band.row * width..(band.row + band.rows) * width;
                // SAFETY: the rows lie in the image.
                unsafe { bias::add::<S>(self.layout, sums, y.as_ptr(), height * width, rows) };
            }
        }
    }

    /// Rows of images with their padding, `[row][column][lane]`, from channel `first` on.
    #[inline(always)]
    unsafe fn fill<S: Simd>(&self, x: &[f32], first: usize, (rows, bands): (Segment, &[Band]), buffer: &mut [f32]) {
        let ([height, width], columns) = (self.frame.image, self.columns());
        let (row_words, plane) = (columns * S::LANES, height * width);
        let (count, after) = (S::LANES.min(self.channels - first), first + S::LANES);
        if count < S::LANES {
            buffer.fill(0.0);
        }
        let rows = self.frame.scale * (rows.outputs + self.reach);
        let mut next = 0;
        for band in bands {
            if next < band.at {
                buffer[next * row_words..band.at * row_words].fill(0.0);
            }
            next = band.at + band.rows;
            for i in 0..self.tiling.beside() {
                let column = self.tiling.column(i, self.frame);
                // Columns past the last tile are not looked at.
                let shown = width.min(columns.saturating_sub(column));
                if i >= band.images {
                    for row in band.at..next {
                        buffer[row * row_words + column * S::LANES..][..shown * S::LANES].fill(0.0);
                    }
                    continue;
                }
                let from = &x[((band.image + i) * self.channels + first) * plane + band.row * width..];
                // The rows of the next channels are far from those of these; the last are followed by the first ones of the next image.
                let following = self.channels.saturating_sub(after);
                let (skipped, following) =
                    if following > 0 { (S::LANES, following) } else { (self.channels - first, S::LANES) };
                for channel in skipped..skipped + following.min(S::LANES) {
                    // SAFETY: a prefetch is harmless anywhere.
                    unsafe { prefetch::<S>(from.as_ptr().wrapping_add(channel * plane), band.rows * width) };
                }
                let to = &mut buffer[(band.at * columns + column) * S::LANES..];
                for row in 0..band.rows {
                    // SAFETY: `count` channels of the image have this row; the padded row holds what is shown of it.
                    unsafe {
                        let (from, to) = (from.as_ptr().add(row * width), to.as_mut_ptr().add(row * row_words));
                        transpose::<S>((from, plane), (to, S::LANES), count, shown);
                    }
                }
            }
        }
        if next < rows {
            buffer[next * row_words..rows * row_words].fill(0.0);
        }
    }
}
