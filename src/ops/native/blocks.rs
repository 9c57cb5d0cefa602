//! Moving and rearranging blocks of f32: copies of short rows, transposition, zeros.

use std::ops::Range;

use super::lanes::Simd;
use super::workers::LINE;

/// Asks for the cache lines of `n` f32 from `from` on, which need not be valid memory.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn prefetch<S: Simd>(from: *const f32, n: usize) {
    for i in (0..n).step_by(LINE) {
        // SAFETY: a prefetch never faults.
        unsafe { S::prefetch(from.wrapping_add(i)) };
    }
}

/// Copies `n` f32 from `from` to `to`.
///
/// # Safety
/// Both hold `n` f32 and don't overlap.
#[inline(always)]
pub(crate) unsafe fn copy<S: Simd>(from: *const f32, to: *mut f32, n: usize) {
    // SAFETY: the caller's duty.
    unsafe {
        let full = n / S::LANES * S::LANES;
        for i in (0..full).step_by(S::LANES) {
            S::store(to.add(i), S::load(from.add(i)));
        }
        if full < n {
            S::store_first(to.add(full), S::load_first(from.add(full), n - full), n - full);
        }
    }
}

/// `to[c·to_step + r]` = `from[r·from_step + c]` for r < rows, c < columns.
///
/// # Safety
/// Both hold what is read and written and don't overlap.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(from: (*const f32, usize), to: (*mut f32, usize), rows: usize, columns: usize) {
    // SAFETY: the caller's duty.
    unsafe { transpose_masked::<S>(from, to, None, rows, columns) }
}

/// The same, with 0 where a mask, laid out as `to`, is ≤ 0. A NaN in the mask hides nothing.
///
/// # Safety
/// As [`transpose`].
#[inline(always)]
pub(crate) unsafe fn transpose_masked<S: Simd>(
    (from, from_step): (*const f32, usize),
    to: (*mut f32, usize),
    mask: Option<*const f32>,
    rows: usize,
    columns: usize,
) {
    // SAFETY: the caller's duty.
    unsafe { transpose_rows::<S>(|r, i| from.add(r * from_step).add(i * from_step), to, mask, rows, columns) }
}

/// The same for rows that lie anywhere: `row(r, i)` is where row r + i begins.
///
/// # Safety
/// As [`transpose`].
#[inline(always)]
pub(crate) unsafe fn transpose_rows<S: Simd>(
    row: impl Fn(usize, usize) -> *const f32,
    (to, to_step): (*mut f32, usize),
    mask: Option<*const f32>,
    rows: usize,
    columns: usize,
) {
    if columns < 4 {
        for c in 0..columns {
            for r in 0..rows {
                let at = c * to_step + r;
                // SAFETY: the caller's duty.
                unsafe {
                    let hidden = mask.is_some_and(|mask| *mask.add(at) <= 0.0);
                    *to.add(at) = if hidden { 0.0 } else { *row(r, 0).add(c) };
                }
            }
        }
        return;
    }
    // SAFETY: the caller's duty; the blocks stay below rows and columns.
    unsafe {
        // The last block along each axis ends with it, and repeats what the one before has done.
        for r in (0..rows).step_by(S::LANES) {
            let r = r.min(rows.saturating_sub(S::LANES));
            for c in (0..columns).step_by(4) {
                let c = c.min(columns - 4);
                let at = c * to_step + r;
                if rows >= S::LANES {
                    for (j, v) in S::transpose(|i| row(r, i).add(c)).into_iter().enumerate() {
                        let at = at + j * to_step;
                        let v = mask.map_or(v, |mask| S::zero_unless_positive(v, S::load(mask.add(at))));
                        S::store(to.add(at), v);
                    }
                } else {
                    // Lanes past the last row repeat it, and are not written.
                    for (j, v) in S::transpose(|i| row(r, i.min(rows - 1)).add(c)).into_iter().enumerate() {
                        let at = at + j * to_step;
                        let v = mask.map_or(v, |mask| S::zero_unless_positive(v, S::load_first(mask.add(at), rows)));
                        S::store_first(to.add(at), v, rows);
                    }
                }
            }
        }
    }
}

/// `to[channel][pixel]` = `blocks[channel / LANES][pixel][channel % LANES]` for `pixels` of the `plane` that channels have.
///
/// # Safety
/// As [`Simd`]; the channels fill whole blocks.
#[inline(always)]
pub(crate) unsafe fn planes_of_blocks<S: Simd>(blocks: &[f32], plane: usize, pixels: Range<usize>, to: &mut [f32]) {
    let n = pixels.len();
    let to = &mut to[..blocks.len() / plane * n];
    for (block, to) in blocks.chunks_exact(S::LANES * plane).zip(to.chunks_exact_mut(S::LANES * n)) {
        let block = &block[pixels.start * S::LANES..pixels.end * S::LANES];
        // SAFETY: both hold these pixels of a block.
        unsafe { transpose::<S>((block.as_ptr(), S::LANES), (to.as_mut_ptr(), n), n, S::LANES) };
    }
}

/// `to[pixel][channel]` = `blocks[channel / LANES][pixel][channel % LANES]`, as above.
///
/// # Safety
/// As [`planes_of_blocks`].
#[inline(always)]
pub(crate) unsafe fn copy_blocks<S: Simd>(blocks: &[f32], plane: usize, pixels: Range<usize>, to: &mut [f32]) {
    let channels = blocks.len() / plane;
    let to = &mut to[..channels * pixels.len()];
    for (block, of_block) in blocks.chunks_exact(S::LANES * plane).enumerate() {
        let of_block = &of_block[pixels.start * S::LANES..pixels.end * S::LANES];
        let lines = to[block * S::LANES..].chunks_mut(channels);
        for (line, pixel) in lines.zip(of_block.chunks_exact(S::LANES)) {
            // SAFETY: a vector of the block's channels in both.
            unsafe { S::store(line.as_mut_ptr(), S::load(pixel.as_ptr())) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::native::lanes::{Work, dispatch};
    use crate::ops::simd::{Level, level};

    struct Transposed<'a> {
        from: &'a [f32],
        to: &'a mut [f32],
        mask: Option<&'a [f32]>,
        rows: usize,
        columns: usize,
        steps: [usize; 2],
    }

    impl Work for Transposed<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            let (from, to) = ((self.from.as_ptr(), self.steps[0]), (self.to.as_mut_ptr(), self.steps[1]));
            // SAFETY: the test's slices hold what the equation reads and writes, and nothing more.
            unsafe { transpose_masked::<S>(from, to, self.mask.map(<[f32]>::as_ptr), self.rows, self.columns) }
        }
    }

    #[test]
    fn transposition_moves_every_word_hides_what_the_mask_hides_and_writes_nothing_else() {
        const UNTOUCHED: f32 = -7.0;
        let levels = [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= level());
        for level in levels {
            for (rows, columns) in (1..36).flat_map(|rows| (1..19).map(move |columns| (rows, columns))) {
                let steps = [columns + rows % 3, rows + columns % 4];
                // Exactly as long as it must be: what is read past the end is not ours.
                let from: Vec<f32> = (0..(rows - 1) * steps[0] + columns).map(|i| i as f32 + 1.0).collect();
                let length = (columns - 1) * steps[1] + rows;
                let mask: Vec<f32> = (0..length).map(|i| [1.0, 0.0, -1.0, f32::NAN, -0.0, 2.0, 3.0][i % 7]).collect();
                for mask in [None, Some(&mask[..])] {
                    let mut to = vec![UNTOUCHED; length];
                    let work = Transposed { from: &from, to: &mut to, mask, rows, columns, steps };
                    // SAFETY: the machine has the level.
                    unsafe { dispatch(level, work) };
                    for (i, &found) in to.iter().enumerate() {
                        let (c, r) = (i / steps[1], i % steps[1]);
                        let expected = match mask {
                            _ if r >= rows => UNTOUCHED,
                            Some(mask) if mask[i] <= 0.0 => 0.0,
                            _ => from[r * steps[0] + c],
                        };
                        assert_eq!(found, expected, "{level:?}: row {r}, column {c} of {rows} x {columns}");
                    }
                }
            }
        }
    }
}
