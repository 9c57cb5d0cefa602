//! Moving and rearranging blocks of f32: copies of short rows, transposition, zeros.

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
    (to, to_step): (*mut f32, usize),
    mask: Option<*const f32>,
    rows: usize,
    columns: usize,
) {
    // SAFETY: the caller's duty; the blocks stay below rows and columns.
    unsafe {
        if rows < S::BLOCK || columns < S::BLOCK {
            for c in 0..columns {
                for r in 0..rows {
                    let at = c * to_step + r;
                    let hidden = mask.is_some_and(|mask| *mask.add(at) <= 0.0);
                    *to.add(at) = if hidden { 0.0 } else { *from.add(r * from_step + c) };
                }
            }
            return;
        }
        // The last block along each axis ends with it, and repeats what the one before has done.
        for c in (0..columns).step_by(S::BLOCK) {
            let c = c.min(columns - S::BLOCK);
            for r in (0..rows).step_by(S::BLOCK) {
                let r = r.min(rows - S::BLOCK);
                let at = c * to_step + r;
                let mask = mask.map(|mask| mask.add(at));
                S::transpose((from.add(r * from_step + c), from_step), (to.add(at), to_step), mask);
            }
        }
    }
}
