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

    /// Row `row` of channel `channel` of a whole image, out of its padded rows; 0 where there are none. `line` holds two vectors
    /// more than a row.
    ///
    /// # Safety
    /// As [`Simd`]; `padded` holds a vector more than [`Band::words`].
    #[inline(always)]
    pub(crate) unsafe fn row_of_image<S: Simd>(&self, padded: &[f32], channel: usize, row: usize, line: &mut [f32]) {
        let width = self.input[1];
        let r = row as isize - self.lowest[0];
        assert!(self.lowest[1] <= 0 && line.len() >= width + 2 * S::LANES);
        if !(0..self.rows as isize).contains(&r) {
            return line[..width].fill(0.0);
        }
        let from = &padded[channel * self.plane() + r as usize * self.row()..];
        let left = -self.lowest[1] as usize;
        let shown = width.min(self.columns.saturating_sub(left));
        // SAFETY: the padded row holds the columns, and reading past it stays in `padded`; the line holds two vectors more.
        unsafe {
            match self.phases {
                1 => copy::<S>(from.as_ptr().add(left), line.as_mut_ptr(), shown),
                2 => {
                    // Column `left` lies in phase left mod 2, the next one in the other.
                    let (even, odd) = match left.is_multiple_of(2) {
                        true => (left / 2, self.pitch + left / 2),
                        false => (self.pitch + left / 2, left / 2 + 1),
                    };
                    for i in (0..shown.div_ceil(2)).step_by(S::LANES) {
                        let [even, odd] = [even, odd].map(|at| S::load(from.as_ptr().add(at + i)));
                        S::zip(even, odd, line.as_mut_ptr().add(2 * i));
                    }
                }
                phases => {
                    for (i, x) in line[..shown].iter_mut().enumerate() {
                        let column = left + i;
                        *x = from[column % phases * self.pitch + column / phases];
                    }
                }
            }
        }
        line[shown..width].fill(0.0);
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
