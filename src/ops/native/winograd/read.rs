//! Inputs at the points of the tiles: Bᵀ x B of inputs, A gy Aᵀ of gradients, for blocks of images.

use std::ops::Range;

use super::tiling::{Counts, Kind, Segment, Tiling};
use super::transform::{Grid, Rule, tile};
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::Simd;
use crate::ops::native::workers::line_aligned;

/// Reads images `[N,C,H,W]`.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) tiling: Tiling,
    pub(super) channels: usize,
    /// Extents (H, W).
    image: [usize; 2],
    /// Zeros before the first row and column.
    padding: [usize; 2],
    /// Rows and columns that tiles read past their outputs.
    reach: usize,
    lanes: usize,
}

impl Reader {
    /// Of what a convolution with this padding reads.
    pub(super) fn inputs(
        tiling: Tiling,
        channels: usize,
        image: [usize; 2],
        padding: [usize; 2],
        lanes: usize,
    ) -> Reader {
        Reader { tiling, channels, image, padding, reach: 2, lanes }
    }

    /// Of gradients of outputs.
    pub(super) fn gradients(tiling: Tiling, channels: usize, image: [usize; 2], lanes: usize) -> Reader {
        Reader { tiling, channels, image, padding: [0; 2], reach: 0, lanes }
    }

    /// Channels, filled up to whole vectors: words at a point of a tile.
    pub(super) fn wide(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }

    /// Columns that a row of tiles reads.
    fn columns(&self) -> usize {
        self.tiling.width() + self.reach
    }

    /// Words of the buffer for what a unit reads of one vector of channels.
    pub(super) fn buffer_words(&self) -> usize {
        let rows = self.tiling.rows.iter().map(|rows| rows.outputs).max().unwrap_or(0) + self.reach;
        line_aligned(rows * self.columns() * self.lanes)
    }

    /// Points of `units`, `[kind][point][tile][channel]`; `counts` are their tiles.
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
        let (wide, words) = (self.wide(), self.channels * self.image[0] * self.image[1]);
        let source = Grid { row: self.columns() * S::LANES, column: S::LANES };
        // The padding is never written again.
        buffer.fill(0.0);
        let mut done = Counts::default();
        for unit in units {
            let (image, rows) = self.tiling.unit(unit);
            let x = &x[image * words..][..words];
            let mut next = done;
            for first in (0..wide).step_by(S::LANES) {
                next = done;
                // SAFETY: the image, the buffer and the points hold what is read and written.
                unsafe {
                    self.fill::<S>(x, first, rows, buffer);
                    for columns in &self.tiling.columns {
                        let kind = Kind::index(rows.outputs, columns.outputs);
                        let tiles = counts.tiles[kind];
                        let at = (counts.points_before(kind) + next.tiles[kind]) * wide + first;
                        let target = Grid { row: (columns.outputs + 2) * tiles * wide, column: tiles * wide };
                        tile::<S, R>(
                            [rows.outputs, columns.outputs],
                            (buffer.as_ptr().add(columns.first * S::LANES), source),
                            (points.as_mut_ptr().add(at), target),
                        );
                        next.tiles[kind] += 1;
                    }
                }
            }
            done = next;
        }
    }

    /// Rows of an image with their padding, `[row][column][lane]`, from channel `first` on.
    #[inline(always)]
    unsafe fn fill<S: Simd>(&self, x: &[f32], first: usize, rows: Segment, buffer: &mut [f32]) {
        let ([height, width], row_words) = (self.image, self.columns() * S::LANES);
        let count = S::LANES.min(self.channels - first);
        if count < S::LANES {
            buffer.fill(0.0);
        }
        for r in 0..rows.outputs + self.reach {
            let row = (rows.first + r).wrapping_sub(self.padding[0]);
            let to = &mut buffer[r * row_words..][..row_words];
            if row >= height {
                to.fill(0.0);
                continue;
            }
            // SAFETY: `count` channels of the image have this row; the padded row holds the image's.
            unsafe {
                let from = x.as_ptr().add((first * height + row) * width);
                let to = to.as_mut_ptr().add(self.padding[1] * S::LANES);
                transpose::<S>((from, height * width), (to, S::LANES), count, width);
            }
        }
    }
}
