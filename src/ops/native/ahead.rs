//! What a tile asks for while its sums run: memory that is needed next and that a core's own cache does not keep.

use super::workers::LINE;

/// Most words that a core's own cache can be expected to keep beside what it works on.
const NEAR_WORDS: usize = 256 * 1024;

/// Whether so many words that are read again and again are asked for ahead.
pub(crate) fn far(words: usize) -> bool {
    words > NEAR_WORDS
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
