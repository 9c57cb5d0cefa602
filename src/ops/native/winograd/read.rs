//! Inputs at the points of the tiles: Bᵀ x B of inputs, A gy Aᵀ of gradients, for blocks of images.

use std::ops::Range;

use super::scheme::Scheme;
use super::tiling::{Band, Counts, Frame, Segment, Tiling, kind};
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
    /// Where images lie under the outputs.
    frame: Frame,
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
        frame: Frame,
        phases: Option<Scheme>,
        lanes: usize,
    ) -> Reader {
        let reach = tiling.taps - 1;
        Reader { tiling, channels, frame, phases, reach, lanes }
    }

    /// Of gradients of outputs.
    pub(super) fn gradients(tiling: Tiling, channels: usize, image: [usize; 2], lanes: usize) -> Reader {
        Reader { tiling, channels, frame: Frame { scale: 1, before: [0; 2], image }, phases: None, reach: 0, lanes }
    }

    /// Channels, filled up to whole vectors.
    pub(super) fn wide_channels(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }

    /// Words at a point of a tile, `[phase][channel]`.
    pub(super) fn wide(&self) -> usize {
        self.phases.map_or(1, |scheme| scheme.phases()) * self.wide_channels()
    }

    /// Columns that a row of tiles reads.
    fn columns(&self) -> usize {
        self.frame.scale * (self.tiling.width() + self.reach)
    }

    /// Words of the buffer for what a unit reads of one vector of channels.
    pub(super) fn buffer_words(&self) -> usize {
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
        let (taps, stride, row_words) = (self.tiling.taps, self.frame.scale, self.columns() * S::LANES);
        let source = Grid { row: stride * row_words, column: stride * S::LANES };
        // The padding is never written again.
        buffer.fill(0.0);
        let places = counts.places(wide);
        let mut done = Counts::none(taps);
        for unit in units {
            let rows = self.tiling.unit(unit);
            let bands = self.tiling.bands(unit, self.frame, self.reach);
            let mut next = done;
            for first in (0..wide_channels).step_by(S::LANES) {
                // SAFETY: the image, the buffer and the points hold what is read and written.
                unsafe {
                    self.fill::<S>(x, first, (rows, &bands), buffer);
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
        let [height, width] = self.frame.image;
        for band in self.tiling.bands(unit, self.frame, 0).iter() {
            for image in band.image..band.image + band.images {
                let y = &y[image * self.channels * height * width..][..self.channels * height * width];
                // SAFETY: the rows lie in the image.
                unsafe {
                    bias::add::<S>(sums, y.as_ptr().add(band.row * width), height * width, band.rows * width);
                }
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
                // The rows of the next channels are far from those of these.
                for channel in S::LANES..S::LANES + S::LANES.min(self.channels.saturating_sub(after)) {
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
