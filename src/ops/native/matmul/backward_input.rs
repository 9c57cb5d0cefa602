//! dx = dy·w.

use std::ops::Range;
use std::sync::Arc;

use super::spans::Spans;
use super::sparse::Sparse;
use super::{Matmul, Product};
use crate::kernel::Prepare;
use crate::ops::linear::Extents;
use crate::ops::native::ahead::{Next, far};
use crate::ops::native::blocks::prefetch;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, pieces};
use crate::ops::native::workers::{LINE, Shared, aligned, for_each, for_each_task, scratch_words, slots};
use crate::ops::simd::Level;

/// Words of the weights that a task packs for itself: 256 KiB, which should stay in the second-level cache.
const SPAN_WORDS: usize = 64 * 1024;

/// Fewest samples of a task, unless there are no more: it packs its columns of w for them.
const LEAST_SAMPLES: usize = 64;

/// dx = dy·w.
#[derive(Debug)]
pub(crate) struct BackwardInput {
    m: Matmul,
    spans: Spans,
    /// Blocks of samples, one for each worker where it reads all of w from its own cache: what comes before and after has the same samples
    /// in the same cache.
    blocks: usize,
    slots: usize,
    /// Whether each task packs its columns of w for itself.
    alone: bool,
    /// For gradients that are mostly zeros.
    sparse: Option<Sparse>,
}

/// The weights as a product finds them.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    /// w `[G,F]`, for a product that packs them itself.
    Plain(&'a [f32]),
    /// As [`BackwardInput::pack`] leaves them.
    Packed(&'a [f32]),
}

impl BackwardInput {
    /// Decides the blocking, for weights that are packed before.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardInput {
        let single = if streams == 1 { Sparse::new([e.batch, e.outputs, e.inputs], None, level) } else { None };
        BackwardInput { sparse: single, ..BackwardInput::limited(e, streams, level, usize::MAX) }
    }

    /// The same, to the bit, for weights as they are: where nobody else reads packed ones, they need not go through memory for it.
    pub(crate) fn alone(e: &Extents, streams: usize, level: Level) -> BackwardInput {
        BackwardInput { alone: true, ..BackwardInput::limited(e, streams, level, SPAN_WORDS) }
    }

    fn limited(e: &Extents, streams: usize, level: Level, span_words: usize) -> BackwardInput {
        let m = Matmul::new(e, streams, level);
        let spans = Spans::new(m.inputs, m.outputs, &m.width, span_words);
        let blocks = if far(m.inputs * m.outputs) { 1 } else { slots(m.batch / LEAST_SAMPLES) };
        BackwardInput { m, spans, blocks, slots: slots(blocks * spans.tasks()), alone: false, sparse: None }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words()).max(self.sparse.map_or(0, |sparse| sparse.scratch()))
    }

    /// A tile, a panel of |w| if there is a second stream, and a task's packed columns unless all are packed before.
    fn slot_words(&self) -> usize {
        let absolute = if self.m.streams == 2 { self.spans.panel } else { 0 };
        self.spans.slot_words(absolute + if self.alone { self.spans.span } else { 0 })
    }

    /// The packed weights, of the call's input `weights`.
    pub(crate) fn prepared(self: &Arc<Self>, weights: usize) -> Vec<Prepare> {
        let product = self.clone();
        vec![Prepare {
            name: "linear_pack_weight",
            input: weights,
            key: format!("linear {:?}", self.spans),
            words: self.packed_words(),
            run: Box::new(move |weights, packed| product.pack(weights, packed)),
        }]
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        self.spans.packed_words(0, self.m.inputs)
    }

    /// Packs w, `[panel][term][lane]`.
    pub(crate) fn pack(&self, w: &[f32], packed: &mut [f32]) {
        let c = &self.spans;
        let packed = Shared::new(packed);
        for_each(c.tasks(), |task| {
            let first = task * c.span;
            let words = c.packed_words(first, self.m.inputs.min(first + c.span));
            // SAFETY: each task packs its own columns.
            unsafe {
                let to = std::slice::from_raw_parts_mut(packed.at(first * c.terms), words);
                dispatch(self.m.width.level, PackTask { spans: c, w, first, to });
            }
        });
    }

    /// Runs the products by weights that are packed unless this is one [`BackwardInput::alone`]; `scratch` as declared by
    /// [`BackwardInput::scratch`].
    pub(crate) fn run(&self, weights: Weights<'_>, products: &[Product<'_>], scratch: &mut [f32]) {
        assert_eq!(self.alone, matches!(weights, Weights::Plain(_)), "weights of the other kind");
        if let (Some(sparse), Weights::Packed(w)) = (self.sparse, weights)
            && sparse.run(w, &products[0], scratch)
        {
            return;
        }
        let slots = aligned(scratch, self.slots * self.slot_words());
        let spans = self.spans.tasks();
        for_each_task(self.blocks * spans, self.slots, slots, |task, slot| {
            let (block, first) = (task / spans, task % spans * self.spans.span);
            let [begin, end] = [block, block + 1].map(|block| block * self.m.batch / self.blocks);
            let work = InputTask { b: self, weights, products, samples: begin..end, first, slot };
            // SAFETY: tasks write disjoint columns of disjoint samples.
            unsafe { dispatch(self.m.width.level, work) }
        });
    }
}

/// Some columns of w to pack.
struct PackTask<'a> {
    spans: &'a Spans,
    w: &'a [f32],
    first: usize,
    to: &'a mut [f32],
}

impl Work for PackTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: `first` begins a span.
        unsafe { self.spans.pack::<S>(self.w, self.first, self.to) }
    }
}

/// Some columns of dx for some samples.
struct InputTask<'a> {
    b: &'a BackwardInput,
    weights: Weights<'a>,
    products: &'a [Product<'a>],
    samples: Range<usize>,
    first: usize,
    slot: &'a mut [f32],
}

impl Work for InputTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, c) = (&self.b.m, &self.b.spans);
        let (tile, rest) = self.slot.split_at_mut(MAX_ROWS * c.panel);
        let words = c.terms * c.panel;
        let (absolute, own) = rest.split_at_mut(if m.streams == 2 { words } else { 0 });
        let packed = match self.weights {
            Weights::Packed(all) => &all[self.first * c.terms..],
            Weights::Plain(w) => {
                // SAFETY: `first` begins a span.
                unsafe { c.pack::<S>(w, self.first, own) };
                own
            }
        };
        for (offset, width) in c.panels(self.first) {
            let column = self.first + offset;
            let panel = &packed[offset * c.terms..][..words];
            // While this panel is worked on, the next one is asked for, unless a copy of it and its magnitudes leave too
            // little room in the cache.
            let ahead = !self.b.alone || m.streams == 1;
            let (next, step) = match self.weights {
                Weights::Packed(all) => (all.as_ptr().wrapping_add((column + c.panel) * c.terms), c.panel),
                Weights::Plain(w) => (w.as_ptr().wrapping_add(column + c.span), m.inputs),
            };
            let lines = c.panel.div_ceil(LINE);
            for (stream, product) in self.products.iter().enumerate() {
                let vectors = if stream == 1 {
                    absolute.iter_mut().zip(panel).for_each(|(a, w)| *a = w.abs());
                    &absolute[..words]
                } else {
                    panel
                };
                for (i, (sample, rows)) in pieces(self.samples.len(), MAX_ROWS).enumerate() {
                    let sample = self.samples.start + sample;
                    let scalars = super::rows(product.input, m.outputs, sample, rows);
                    // SAFETY: rows and columns are inside the operands, the columns this task's own.
                    unsafe {
                        // Each piece of samples asks for some of its rows.
                        let row = i * c.terms / lines;
                        let wanted = ahead && stream == 0 && row < c.terms;
                        let next = wanted.then(|| Next { at: next.wrapping_add(row * step), step });
                        let at = sample * m.inputs + column;
                        let output = product.output.at(at);
                        // Rows lie pages apart: only we know which ones the next tile writes, and where their mask is.
                        for row in rows..2 * rows {
                            prefetch::<S>(output.wrapping_add(row * m.inputs), width);
                            if let Some(mask) = product.epilogue.mask {
                                prefetch::<S>(mask.as_ptr().wrapping_add(at + row * m.inputs), width);
                            }
                        }
                        if width == c.panel {
                            c.tile::<S>(&scalars[..rows], (vectors, width), (output, m.inputs), next);
                        } else {
                            c.tile::<S>(&scalars[..rows], (vectors, width), (tile.as_mut_ptr(), c.panel), next);
                        }
                        if width < c.panel || !product.epilogue.is_identity() {
                            for row in 0..rows {
                                let to = output.add(row * m.inputs);
                                let sums = if width < c.panel { tile.as_ptr().add(row * c.panel) } else { to };
                                product.epilogue.write::<S>(0, at + row * m.inputs, sums, to, width);
                            }
                        }
                        for row in 0..if product.epilogue.joined.is_some() { rows } else { 0 } {
                            product.epilogue.finish::<S>(output.add(row * m.inputs), at + row * m.inputs, width);
                        }
                    }
                }
            }
        }
    }
}
