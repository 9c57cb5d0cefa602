//! How the columns of dx and dw are cut: into spans, one for a task, and those into panels, one for a tile.

use crate::ops::native::ahead::{Next, Scalars};
use crate::ops::native::blocks::copy;
use crate::ops::native::lanes::{Simd, Width};
use crate::ops::native::tile::{MAX_ROWS, StridedTile, max_vectors};
use crate::ops::native::workers::{LINE, line_aligned};

/// Tasks of dx or dw that there should be if there are columns enough.
const TASKS: usize = 32;

/// How many rows ahead the columns of a span are asked for.
const ROWS_AHEAD: usize = 8;

/// How the columns of dx or dw are cut into tasks, and those into panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    /// Extent.
    columns: usize,
    /// Lanes of a tile.
    pub(super) panel: usize,
    /// Columns of a task, a multiple of `panel`.
    pub(super) span: usize,
    /// Extent of the reduction.
    pub(super) terms: usize,
}

impl Spans {
    /// A span takes at most `limit` words.
    pub(super) fn new(columns: usize, terms: usize, width: &Width, limit: usize) -> Spans {
        let vectors = columns.div_ceil(width.lanes).min(max_vectors(width.registers));
        let panel = vectors * width.lanes;
        // Wide spans read and write long pieces of rows; but there should be enough of them for all cores.
        let panels = columns.div_ceil(panel);
        let wide = (limit / (terms * panel)).min(panels / TASKS).max(1);
        Spans { columns, panel, span: wide * panel, terms }
    }

    pub(super) fn tasks(&self) -> usize {
        self.columns.div_ceil(self.span)
    }

    /// Words of the copied columns from `first` on, up to `end`.
    pub(super) fn packed_words(&self, first: usize, end: usize) -> usize {
        (end - first).next_multiple_of(self.panel) * self.terms
    }

    /// Words of a worker: `columns` copied columns, and a tile.
    pub(super) fn slot_words(&self, columns: usize) -> usize {
        line_aligned(self.terms * columns + MAX_ROWS * self.panel)
    }

    /// The panels of the span that begins at column `first`: (offset in the span, columns that exist).
    pub(super) fn panels(&self, first: usize) -> impl Iterator<Item = (usize, usize)> {
        let (panel, end) = (self.panel, self.span.min(self.columns - first));
        (0..end).step_by(panel).map(move |offset| (offset, panel.min(end - offset)))
    }

    /// Copies the span of columns from `first` of `[terms][columns]`, panel by panel: `[term][lane]`, zeros past the end.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn pack<S: Simd>(&self, from: &[f32], first: usize, to: &mut [f32]) {
        for (term, row) in from.chunks_exact(self.columns).take(self.terms).enumerate() {
            // Rows are pages apart: only we know where the next ones begin.
            for (offset, _) in self.panels(first) {
                for line in (0..self.panel).step_by(LINE) {
                    let ahead = term * self.columns + first + offset + line + ROWS_AHEAD * self.columns;
                    // SAFETY: a prefetch is harmless anywhere.
                    unsafe { S::prefetch(from.as_ptr().wrapping_add(ahead)) };
                }
            }
            for (offset, width) in self.panels(first) {
                let to = &mut to[offset * self.terms + term * self.panel..][..self.panel];
                to[width..].fill(0.0);
                // SAFETY: both hold `width` words.
                unsafe { copy::<S>(row[first + offset..][..width].as_ptr(), to.as_mut_ptr(), width) };
            }
        }
    }

    /// One tile: `out[p][lane]` = Σ over the terms of `scalars[p][term]` · `panel[term][lane]`, for vectors that hold the first `width` lanes.
    /// `out`: address, distance of its rows.
    ///
    /// # Safety
    /// The scalars hold what is read, `out` what is written.
    #[inline(always)]
    pub(super) unsafe fn tile<S: Simd>(
        &self,
        scalars: &[*const f32],
        (panel, width): (&[f32], usize),
        out: (*mut f32, usize),
        next: Option<Next>,
    ) {
        debug_assert!(panel.len() >= self.terms * self.panel);
        // SAFETY: the length above; the rest is the caller's duty.
        unsafe {
            StridedTile {
                rows: 1,
                columns: self.terms,
                scalars,
                row_step: 0,
                step: 1,
                vectors: panel.as_ptr(),
                vector_step: self.panel,
                out: out.0,
                out_step: out.1,
                accumulate: false,
                next,
            }
            .run::<S>(width.div_ceil(S::LANES), Scalars::Near);
        }
    }
}
