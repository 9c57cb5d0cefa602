//! Inputs at the points of the tiles: Bᵀ x B of inputs, A gy Aᵀ of gradients, for blocks of images.

use std::ops::Range;

use super::scheme::Scheme;
use super::tiling::{Counts, Segment, Tiling, kind};
use super::transform::{Grid, Rule, tile};
use crate::ops::native::bias;
use crate::ops::native::blocks::{prefetch, transpose};
use crate::ops::native::lanes::Simd;
use crate::ops::native::workers::line_aligned;

/// Reads images `[N,C,H,W]`, phase by phase where there are several.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) tiling: Tiling,
    pub(super) channels: usize,
    /// Extents (H, W).
    image: [usize; 2],
    /// Zeros before the first row and column.
    padding: [usize; 2],
    /// The phases that are read; of stride 1 for gradients.
    phases: Option<Scheme>,
    /// Rows and columns of a phase that tiles read past their outputs.
    reach: usize,
    lanes: usize,
}

impl Reader {
    /// Of what a convolution with this padding reads; with `phases` it is one of stride 2.
    pub(super) fn inputs(
        tiling: Tiling,
        channels: usize,
        (image, padding): ([usize; 2], [usize; 2]),
        phases: Option<Scheme>,
        lanes: usize,
    ) -> Reader {
        let reach = tiling.taps - 1;
        Reader { tiling, channels, image, padding, phases, reach, lanes }
    }

    /// Of gradients of outputs.
    pub(super) fn gradients(tiling: Tiling, channels: usize, image: [usize; 2], lanes: usize) -> Reader {
        Reader { tiling, channels, image, padding: [0; 2], phases: None, reach: 0, lanes }
    }

    /// Channels, filled up to whole vectors.
    pub(super) fn wide_channels(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }

    /// Words at a point of a tile, `[phase][channel]`.
    pub(super) fn wide(&self) -> usize {
        self.phases.map_or(1, |scheme| scheme.phases()) * self.wide_channels()
    }

    fn stride(&self) -> usize {
        self.phases.map_or(1, |scheme| scheme.stride)
    }

    /// Columns that a row of tiles reads.
    fn columns(&self) -> usize {
        self.stride() * (self.tiling.width() + self.reach)
    }

    /// Words of the buffer for what a unit reads of one vector of channels.
    pub(super) fn buffer_words(&self) -> usize {
        line_aligned(self.stride() * (self.tiling.height() + self.reach) * self.columns() * self.lanes)
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
        let (wide, wide_channels, words) =
            (self.wide(), self.wide_channels(), self.channels * self.image[0] * self.image[1]);
        let (taps, stride, row_words) = (self.tiling.taps, self.stride(), self.columns() * S::LANES);
        let source = Grid { row: stride * row_words, column: stride * S::LANES };
        // The padding is never written again.
        buffer.fill(0.0);
        let places = counts.places(wide);
        let mut done = Counts::none(taps);
        for unit in units {
            let (image, rows) = self.tiling.unit(unit);
            let x = &x[image * words..][..words];
            let mut next = done;
            for first in (0..wide_channels).step_by(S::LANES) {
                // SAFETY: the image, the buffer and the points hold what is read and written.
                unsafe {
                    self.fill::<S>(x, first, rows, buffer);
                    for phase in 0..stride * stride {
                        let origin = phase / stride * row_words + phase % stride * S::LANES;
                        next = done;
                        for columns in &self.tiling.columns {
                            let outputs = [rows.outputs, columns.outputs];
                            let kind = kind(outputs);
                            let pitch = places.pitch[kind];
                            let lane = phase * wide_channels + first;
                            let at = places.begin[kind] + next.tiles[kind] * wide + lane;
                            let target = Grid { row: (columns.outputs + taps - 1) * pitch, column: pitch };
                            tile::<S, R>(
                                taps,
                                outputs,
                                (buffer.as_ptr().add(origin + columns.first * source.column), source),
                                (points.as_mut_ptr().add(at), target),
                                |x| x,
                            );
                            next.tiles[kind] += 1;
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
        let ([height, width], (image, rows)) = (self.image, self.tiling.unit(unit));
        let y = &y[image * self.channels * height * width..][..self.channels * height * width];
        // The last rows of tiles may reach beyond the image.
        let end = (rows.first + rows.outputs).min(height);
        // SAFETY: the rows lie in the image.
        unsafe { bias::add::<S>(sums, y.as_ptr().add(rows.first * width), height * width, (end - rows.first) * width) }
    }

    /// Rows of an image with their padding, `[row][column][lane]`, from channel `first` on.
    #[inline(always)]
    unsafe fn fill<S: Simd>(&self, x: &[f32], first: usize, rows: Segment, buffer: &mut [f32]) {
        let ([height, width], row_words, stride) = (self.image, self.columns() * S::LANES, self.stride());
        let count = S::LANES.min(self.channels - first);
        // The rows of the next channels are far from those of these.
        let top = (stride * rows.first).saturating_sub(self.padding[0]);
        let span = (stride * (rows.outputs + self.reach)).min(height - top.min(height)) * width;
        for channel in first + S::LANES..(first + 2 * S::LANES).min(self.channels) {
            // SAFETY: a prefetch is harmless anywhere.
            unsafe { prefetch::<S>(x.as_ptr().wrapping_add((channel * height + top) * width), span) };
        }
        if count < S::LANES {
            buffer.fill(0.0);
        }
        // Columns past the last tile are not looked at.
        let width_shown = width.min(self.columns().saturating_sub(self.padding[1]));
        for r in 0..stride * (rows.outputs + self.reach) {
            let row = (stride * rows.first + r).wrapping_sub(self.padding[0]);
            let to = &mut buffer[r * row_words..][..row_words];
            if row >= height {
                to.fill(0.0);
                continue;
            }
            // SAFETY: `count` channels of the image have this row; the padded row holds what is shown of it.
            unsafe {
                let from = x.as_ptr().add((first * height + row) * width);
                let to = to.as_mut_ptr().add(self.padding[1] * S::LANES);
                transpose::<S>((from, height * width), (to, S::LANES), count, width_shown);
            }
        }
    }
}
