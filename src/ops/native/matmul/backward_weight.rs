//! dw = dyᵀ·x.

use super::Matmul;
use super::spans::Spans;
use crate::ops::linear::Extents;
use crate::ops::native::ahead::{Next, far};
use crate::ops::native::correlate::sign;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{ColumnTile, MAX_ROWS, pieces};
use crate::ops::native::workers::{Shared, aligned, for_each, for_each_task, scratch_words, slots};
use crate::ops::simd::Level;

/// Words of the lane operand that a task of dw copies: 256 KiB.
const SPAN_WORDS: usize = 64 * 1024;

/// dw = dyᵀ·x.
#[derive(Debug)]
pub(crate) struct BackwardWeight {
    m: Matmul,
    spans: Spans,
    slots: usize,
}

impl BackwardWeight {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardWeight {
        let m = Matmul::new(e, streams, level);
        // The copy should stay in the second-level cache.
        let spans = Spans::new(m.inputs, m.batch, &m.width, SPAN_WORDS);
        BackwardWeight { m, spans, slots: slots(spans.tasks()) }
    }

    /// Sizes of the scratch buffers: packed output gradients; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.m.streams * self.packed_words()), scratch_words(self.slots * self.slot_words())]
    }

    /// Words of a packed dy: for each piece of its columns `[sample][column]`.
    fn packed_words(&self) -> usize {
        self.m.batch * self.m.outputs
    }

    fn slot_words(&self) -> usize {
        self.spans.slot_words(self.spans.span)
    }

    /// dw from pairs (x, dy): the first pair's product, plus sign(w) times the second's if there are two.
    /// `scratch` is as declared by [`BackwardWeight::scratch`].
    pub(crate) fn run(
        &self,
        pairs: &[(&[f32], &[f32])],
        sign_of: Option<&[f32]>,
        dw: &mut [f32],
        scratch: [&mut [f32]; 2],
    ) {
        let [packed, slots] = scratch;
        let packed = aligned(packed, self.m.streams * self.packed_words());
        for (&(_, dy), packed) in pairs.iter().zip(packed.chunks_exact_mut(self.packed_words())) {
            self.pack(dy, packed);
        }
        let gradients = &*packed;
        let slots = aligned(slots, self.slots * self.slot_words());
        let dw = Shared::new(dw);
        for_each_task(self.spans.tasks(), self.slots, slots, |task, slot| {
            let (packed, tile) = slot.split_at_mut(self.spans.terms * self.spans.span);
            let first = task * self.spans.span;
            // SAFETY: tasks write disjoint columns.
            unsafe {
                dispatch(
                    self.m.width.level,
                    WeightTask { b: self, pairs, gradients, sign_of, dw, first, packed, tile },
                );
            }
        });
    }

    /// Packs dy, so that a tile reads one stream of scalars.
    fn pack(&self, dy: &[f32], packed: &mut [f32]) {
        let (batch, outputs) = (self.m.batch, self.m.outputs);
        let packed = Shared::new(packed);
        for_each(pieces(outputs, MAX_ROWS).count(), |task| {
            let (first, count) = pieces(outputs, MAX_ROWS).nth(task).expect("as many tasks as pieces");
            // SAFETY: each piece has its own words.
            let piece = unsafe { std::slice::from_raw_parts_mut(packed.at(first * batch), count * batch) };
            for (to, row) in piece.chunks_exact_mut(count).zip(dy.chunks_exact(outputs)) {
                to.copy_from_slice(&row[first..first + count]);
            }
        });
    }
}

/// Some columns of dw.
struct WeightTask<'a> {
    b: &'a BackwardWeight,
    pairs: &'a [(&'a [f32], &'a [f32])],
    /// The packed output gradients of all pairs.
    gradients: &'a [f32],
    sign_of: Option<&'a [f32]>,
    dw: Shared,
    first: usize,
    packed: &'a mut [f32],
    tile: &'a mut [f32],
}

impl Work for WeightTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, c) = (&self.b.m, &self.b.spans);
        let ahead = far(m.outputs * m.inputs);
        // SAFETY: `first` begins a span; rows and columns below stay inside the operands.
        unsafe {
            for (stream, &(x, _)) in self.pairs.iter().enumerate() {
                c.pack::<S>(x, self.first, self.packed);
                let gradient = &self.gradients[stream * self.b.packed_words()..][..self.b.packed_words()];
                let sign_of = self.sign_of.filter(|_| stream == 1);
                for (feature, count) in pieces(m.outputs, MAX_ROWS) {
                    for (offset, width) in c.panels(self.first) {
                        let at = feature * m.inputs + self.first + offset;
                        // The rows of dw that the next tile writes are pages apart.
                        let last = offset + c.panel >= c.span;
                        let beyond = if last { count * m.inputs - offset } else { c.panel };
                        let next = Next { at: self.dw.at(at).wrapping_add(beyond), step: m.inputs };
                        let (out, out_step) = match sign_of {
                            None => (self.dw.at(at), m.inputs),
                            Some(_) => (self.tile.as_mut_ptr(), c.panel),
                        };
                        ColumnTile {
                            terms: m.batch,
                            weights: gradient[feature * m.batch..].as_ptr(),
                            columns: self.packed[offset * c.terms..].as_ptr(),
                            pitch: c.panel,
                            out,
                            out_step,
                            pixels: width,
                            next: ahead.then_some(next),
                        }
                        .run::<S>(count, width.div_ceil(S::LANES));
                        if let Some(w) = sign_of {
                            for (i, sums) in self.tile.chunks_exact(c.panel).take(count).enumerate() {
                                let at = at + i * m.inputs;
                                let dw = std::slice::from_raw_parts_mut(self.dw.at(at), width);
                                for ((d, &sum), &w) in dw.iter_mut().zip(sums).zip(&w[at..]) {
                                    *d += sign(w) * sum;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
