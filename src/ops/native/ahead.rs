//! What a tile asks for while its sums run: memory that is needed next and that a core's own cache does not keep.

use super::lanes::Simd;
use super::workers::LINE;

/// Most words that a core's own cache can be expected to keep beside what it works on.
const NEAR_WORDS: usize = 256 * 1024;

/// Whether so many words that are read again and again are asked for ahead.
pub(crate) fn far(words: usize) -> bool {
    words > NEAR_WORDS
}

/// Most words of all images of a call that are left to come by themselves when they are read or written: 12 MiB, which the last-level cache
/// is likely to have.
const CACHED_WORDS: usize = 3 << 20;

/// Whether so many words, each read or written once, are asked for ahead.
pub(crate) fn in_memory(words: usize) -> bool {
    words > CACHED_WORDS
}

/// Memory that is read or written after a product: while that is computed, memory has little else to do. Pieces of the product ask for
/// equal parts of it, which come as far as the second-level cache.
pub(crate) struct Coming<I> {
    /// Places and words.
    areas: I,
    /// The lines of one that are not asked for yet.
    at: *const f32,
    lines: usize,
    /// Lines for each piece.
    share: usize,
}

impl<I: Iterator<Item = (*const f32, usize)> + Clone> Coming<I> {
    /// These areas, asked for by so many pieces.
    pub(crate) fn new(areas: I, pieces: usize) -> Coming<I> {
        let lines: usize = areas.clone().map(lines).sum();
        Coming { areas, at: std::ptr::null(), lines: 0, share: lines.div_ceil(pieces.max(1)) }
    }

    /// The part of a piece.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(crate) unsafe fn ask<S: Simd>(&mut self) {
        // SAFETY: a prefetch never faults.
        self.each(|line| unsafe { S::prefetch_second_level(line) });
    }

    #[inline(always)]
    fn each(&mut self, mut ask: impl FnMut(*const f32)) {
        let mut left = self.share;
        while left > 0 {
            if self.lines == 0 {
                let Some(area) = self.areas.next() else { return };
                (self.at, self.lines) = (area.0, lines(area));
            }
            let now = left.min(self.lines);
            (0..now).for_each(|i| ask(self.at.wrapping_add(i * LINE)));
            self.at = self.at.wrapping_add(now * LINE);
            (self.lines, left) = (self.lines - now, left - now);
        }
    }
}

/// Lines that so many words from `at` on reach into.
fn lines((at, words): (*const f32, usize)) -> usize {
    (at.addr() / 4 % LINE + words).div_ceil(LINE)
}

/// Rows as wide as a tile, `step` words apart, that are asked for while a tile's sums run: a line with each term.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    pub(crate) at: *const f32,
    pub(crate) step: usize,
}

impl Next {
    /// The line asked for with a term, of rows of `lanes` words.
    #[inline(always)]
    pub(super) fn line(self, term: usize, lanes: usize) -> *const f32 {
        let lines = lanes.div_ceil(LINE);
        self.at.wrapping_add(term / lines * self.step + term % lines * LINE)
    }
}

/// How a [`StridedTile`](super::tile::StridedTile) reads its scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalars {
    /// From the cache.
    Near,
    /// From memory, in order: they are asked for [`AHEAD`] words before they are needed.
    Streamed,
    /// The same, and their absolute values are taken.
    StreamedAbs,
}

/// How far ahead streamed scalars are asked for.
pub(super) const AHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_ask_for_all_lines_once_in_equal_parts() {
        let memory = [0.0_f32; 40 * LINE];
        let first = memory.as_ptr().wrapping_add(memory.as_ptr().align_offset(4 * LINE));
        let areas = [(3, 1), (LINE - 1, 2), (5 * LINE, 7 * LINE), (20 * LINE + 4, LINE)];
        let areas = areas.map(|(at, words)| (first.wrapping_add(at), words));
        for (pieces, share) in [(1, 12), (5, 3), (12, 1), (100, 1)] {
            let mut coming = Coming::new(areas.into_iter(), pieces);
            let mut asked = Vec::new();
            for _ in 0..pieces {
                let before = asked.len();
                coming.each(|line| asked.push((line.addr() - first.addr()) / (4 * LINE)));
                assert_eq!(asked.len() - before, share.min(12 - before), "{pieces} pieces");
            }
            assert_eq!(asked, [0, 0, 1, 5, 6, 7, 8, 9, 10, 11, 20, 21], "{pieces} pieces");
        }
    }
}
