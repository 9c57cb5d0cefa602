//! Zero-padded copies of bands of images, so that kernels read them without looking at borders.

use super::axis::Axis;
use super::blocks::copy;
use super::lanes::Simd;

/// Layout of a zero-padded band: `[channels][rows][phases][pitch]`. Columns that a kernel steps over by the stride S are
/// laid apart into S phases, column x at `[x mod S][x / S]`: neighbouring outputs always read neighbouring words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Band {
    channels: usize,
    /// Extents (H, W) of the images.
    input: [usize; 2],
    /// Where the padded image begins, relative to the image.
    lowest: [isize; 2],
    rows: usize,
    columns: usize,
    phases: usize,
    pitch: usize,
}

impl Band {
    /// A band that feeds `outputs` consecutive output rows of each class.
    pub(crate) fn new(channels: usize, input: [usize; 2], rows: &Axis, columns: &Axis, outputs: usize) -> Band {
        let span = columns.span(columns.count());
        Band {
            channels,
            input,
            lowest: [rows.lowest, columns.lowest],
            rows: rows.span(outputs),
            columns: span,
            phases: columns.in_step,
            pitch: span.div_ceil(columns.in_step),
        }
    }

    /// Length in words.
    pub(crate) fn words(&self) -> usize {
        self.channels * self.plane()
    }

    /// Words between channels.
    fn plane(&self) -> usize {
        self.rows * self.row()
    }

    /// Words between rows.
    pub(crate) fn row(&self) -> usize {
        self.phases * self.pitch
    }

    /// Where channel `channel` holds what lies (down, right) of the band's origin.
    pub(crate) fn offset(&self, channel: usize, down: usize, right: usize) -> usize {
        channel * self.plane() + down * self.row() + right % self.phases * self.pitch + right / self.phases
    }

    /// Fills `to` from one image `[C,H,W]`, beginning at padded row `first`.
    ///
    /// # Safety
    /// `image` holds C·H·W words.
    #[inline(always)]
    pub(crate) unsafe fn fill<S: Simd>(&self, image: *const f32, first: usize, to: &mut [f32]) {
        let [height, width] = self.input;
        let to = &mut to[..self.words()];
        to.fill(0.0);
        // Padded row r shows image row r + top; the image's columns begin at padded column `left`, cut off at -left.
        let top = first as isize + self.lowest[0];
        let shown = (-top).max(0) as usize..(height as isize - top).clamp(0, self.rows as isize) as usize;
        let cut = self.lowest[1].max(0) as usize;
        let left = (-self.lowest[1]).max(0) as usize;
        let width_shown = width.saturating_sub(cut).min(self.columns.saturating_sub(left));
        for channel in 0..self.channels {
            for r in shown.clone() {
                let source = (channel * height + (r as isize + top) as usize) * width + cut;
                // SAFETY: the image row is below `height`; the padded row r < rows begins inside `to`, and
                // left + width_shown ≤ columns.
                unsafe {
                    let from = image.add(source);
                    let row = to.as_mut_ptr().add(channel * self.plane() + r * self.row());
                    match self.phases {
                        1 => copy::<S>(from, row.add(left), width_shown),
                        // Column `left` goes to phase left mod 2, the next one to the other phase.
                        2 if left.is_multiple_of(2) => {
                            S::unzip(from, width_shown, row.add(left / 2), row.add(self.pitch + left / 2))
                        }
                        2 => {
                            S::unzip(from, width_shown, row.add(self.pitch + left / 2), row.wrapping_add(left / 2 + 1))
                        }
                        phases => spread(from, row, (left, width_shown), phases, self.pitch),
                    }
                }
            }
        }
    }
}

/// Writes `n` columns, the first being padded column `left`, each to its phase.
///
/// # Safety
/// `from` holds `n` words, `row` holds the padded row.
#[inline(always)]
unsafe fn spread(from: *const f32, row: *mut f32, (left, n): (usize, usize), phases: usize, pitch: usize) {
    for i in 0..n {
        let column = left + i;
        // SAFETY: i < n, and the padded row holds each of the columns.
        unsafe { *row.add(column % phases * pitch + column / phases) = *from.add(i) };
    }
}
