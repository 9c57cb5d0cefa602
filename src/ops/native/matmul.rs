//! The three products of a linear layer, y = x·wᵀ, dx = dy·w and dw = dyᵀ·x, for x `[N,F]`, w `[G,F]`.
//!
//! Only the operand that lies along the lanes is copied, into blocks that stay in the second-level cache; the other is
//! read where it is, one scalar at a time. For y the lanes are samples, so that the weights, by far the largest
//! operand when N is a mini-batch, are read once and never copied; for dx and dw they are input features. The weights that dx
//! reads are packed once for all calls between two updates.

use std::sync::Arc;

use super::blocks::{copy, prefetch, transpose};
use super::correlate::sign;
use super::epilogue::Epilogue;
use super::lanes::{Simd, Width, Work, dispatch};
use super::tile::{ColumnTile, MAX_ROWS, Scalars, StridedTile, max_vectors, pieces};
use super::workers::{LINE, Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::kernel::Prepare;
use crate::ops::linear::Extents;
use crate::ops::simd::Level;

/// Features in a block of the reduction of y: 64 lanes of them are 64 KiB.
const BLOCK: usize = 256;

/// Output features of y that a task computes, in tiles of 6.
const ROWS: usize = 24;

/// Words of the lane operand that a task of dw copies: 256 KiB.
const SPAN_WORDS: usize = 64 * 1024;

/// Tasks of dx or dw that there should be if there are columns enough.
const TASKS: usize = 32;

/// How many rows ahead the columns of a span are asked for.
const ROWS_AHEAD: usize = 8;

/// One product of a call; an interval layer has two, the second by |w|.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    input: &'a [f32],
    output: Shared,
    epilogue: Epilogue<'a>,
}

impl<'a> Product<'a> {
    /// Reads `input`, writes `output`.
    pub(crate) fn new(input: &'a [f32], output: &'a mut [f32], epilogue: Epilogue<'a>) -> Self {
        Product { input, output: Shared::new(output), epilogue }
    }
}

/// Extents and lanes of the products of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matmul {
    batch: usize,
    inputs: usize,
    outputs: usize,
    streams: usize,
    width: Width,
}

impl Matmul {
    /// `streams` products of these extents.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> Matmul {
        Matmul { batch: e.batch, inputs: e.inputs, outputs: e.outputs, streams, width: Width::of(level) }
    }

    /// Lanes of a panel over `extent`.
    fn panel(&self, extent: usize) -> usize {
        let vectors = extent.div_ceil(self.width.lanes).min(max_vectors(self.width.registers));
        vectors * self.width.lanes
    }
}

/// y = x·wᵀ.
#[derive(Debug)]
pub(crate) struct Forward {
    m: Matmul,
    panel: usize,
    panels: usize,
    row_blocks: usize,
    slots: usize,
}

impl Forward {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> Forward {
        let m = Matmul::new(e, streams, level);
        let panel = m.panel(m.batch);
        let (panels, row_blocks) = (m.batch.div_ceil(panel), m.outputs.div_ceil(ROWS));
        Forward { m, panel, panels, row_blocks, slots: slots(streams * panels * row_blocks) }
    }

    /// Sizes of the scratch buffers: transposed inputs; sums of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![
            scratch_words(self.m.streams * self.panels * self.panel * self.m.inputs),
            scratch_words(self.slots * line_aligned(2 * ROWS * self.panel)),
        ]
    }

    /// Runs the products; `scratch` as declared by [`Forward::scratch`].
    pub(crate) fn run(&self, w: &[f32], products: &[Product<'_>], scratch: [&mut [f32]; 2]) {
        let m = &self.m;
        let [packed, slots] = scratch;
        let packed = aligned(packed, m.streams * self.panels * self.panel * m.inputs);
        let shared = Shared::new(packed);
        let blocks = m.inputs.div_ceil(BLOCK);
        for_each(m.streams * self.panels * blocks, |task| {
            let (stream, panel, block) = (task / blocks / self.panels, task / blocks % self.panels, task % blocks);
            let features = block * BLOCK..m.inputs.min((block + 1) * BLOCK);
            let at = ((stream * self.panels + panel) * m.inputs + features.start) * self.panel;
            // SAFETY: each task writes its own block of the packed inputs.
            unsafe {
                let to = std::slice::from_raw_parts_mut(shared.at(at), features.len() * self.panel);
                dispatch(
                    self.m.width.level,
                    PackSamples {
                        m,
                        input: products[stream].input,
                        first: panel * self.panel,
                        features,
                        to,
                        panel: self.panel,
                    },
                );
            }
        });
        let packed = &*packed;
        let slots = aligned(slots, self.slots * line_aligned(2 * ROWS * self.panel));
        // The streams of a block of rows run one after the other, while its weights are in the cache.
        for_each_task(self.row_blocks * self.panels * m.streams, self.slots, slots, |task, slot| {
            let (rest, stream) = (task / m.streams, task % m.streams);
            let (panel, rows) = (rest % self.panels, rest / self.panels);
            let first = rows * m.outputs / self.row_blocks;
            let work = ForwardTask {
                f: self,
                w,
                packed: &packed[(stream * self.panels + panel) * m.inputs * self.panel..][..m.inputs * self.panel],
                product: products[stream],
                abs: stream == 1,
                samples: panel * self.panel,
                rows: first..(rows + 1) * m.outputs / self.row_blocks,
                sums: slot,
            };
            // SAFETY: tasks write disjoint rows and samples of disjoint outputs.
            unsafe { dispatch(self.m.width.level, work) }
        });
    }
}

/// Transposes some features of a panel of samples to `[feature][lane]`, with zeros in the lanes past the last sample.
struct PackSamples<'a> {
    m: &'a Matmul,
    input: &'a [f32],
    first: usize,
    features: std::ops::Range<usize>,
    to: &'a mut [f32],
    panel: usize,
}

impl Work for PackSamples<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let samples = self.panel.min(self.m.batch - self.first);
        if samples < self.panel {
            self.to.fill(0.0);
        }
        let from = &self.input[self.first * self.m.inputs + self.features.start..];
        // SAFETY: samples and features are inside the input; `to` is [features][panel].
        unsafe {
            transpose::<S>(
                (from.as_ptr(), self.m.inputs),
                (self.to.as_mut_ptr(), self.panel),
                samples,
                self.features.len(),
            );
        }
    }
}

/// Some rows of yᵀ for one panel of samples.
struct ForwardTask<'a> {
    f: &'a Forward,
    w: &'a [f32],
    packed: &'a [f32],
    product: Product<'a>,
    abs: bool,
    samples: usize,
    rows: std::ops::Range<usize>,
    sums: &'a mut [f32],
}

impl Work for ForwardTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, panel) = (&self.f.m, self.f.panel);
        let scalars_from = if self.abs { Scalars::StreamedAbs } else { Scalars::Streamed };
        for first in (0..m.inputs).step_by(BLOCK) {
            let terms = BLOCK.min(m.inputs - first);
            for (row, count) in pieces(self.rows.len(), MAX_ROWS) {
                let scalars = rows(&self.w[first..], m.inputs, self.rows.start + row, count);
                // SAFETY: rows, features and lanes are inside w, the packed inputs and the sums.
                unsafe {
                    StridedTile {
                        rows: 1,
                        columns: terms,
                        scalars: &scalars[..count],
                        row_step: 0,
                        step: 1,
                        vectors: self.packed.as_ptr().add(first * panel),
                        vector_step: panel,
                        out: self.sums.as_mut_ptr().add(row * panel),
                        out_step: panel,
                        accumulate: first > 0,
                    }
                    .run::<S>(panel / S::LANES, scalars_from);
                }
            }
        }
        let samples = panel.min(m.batch - self.samples);
        let (sums, transposed) = self.sums.split_at_mut(ROWS * panel);
        // SAFETY: samples and rows are inside the output, and this task's own.
        unsafe {
            let to = (transposed.as_mut_ptr(), ROWS);
            transpose::<S>((sums.as_ptr(), panel), to, self.rows.len(), samples);
            for (lane, sums) in transposed.chunks_exact(ROWS).take(samples).enumerate() {
                let at = (self.samples + lane) * m.outputs + self.rows.start;
                let out = self.product.output.at(at);
                self.product.epilogue.write_features::<S>(self.rows.start, at, sums.as_ptr(), out, self.rows.len());
            }
        }
    }
}

/// How the columns of dx or dw are cut into tasks, and those into panels.
#[derive(Clone, Copy, Debug)]
struct Columns {
    /// Extent.
    columns: usize,
    /// Lanes of a tile.
    panel: usize,
    /// Columns of a task, a multiple of `panel`.
    span: usize,
    /// Extent of the reduction.
    terms: usize,
}

impl Columns {
    /// A span takes at most `limit` words.
    fn new(columns: usize, terms: usize, width: &Width, limit: usize) -> Columns {
        let vectors = columns.div_ceil(width.lanes).min(max_vectors(width.registers));
        let panel = vectors * width.lanes;
        // Wide spans read and write long pieces of rows; but there should be enough of them for all cores.
        let panels = columns.div_ceil(panel);
        let wide = (limit / (terms * panel)).min(panels / TASKS).max(1);
        Columns { columns, panel, span: wide * panel, terms }
    }

    fn tasks(&self) -> usize {
        self.columns.div_ceil(self.span)
    }

    /// Words of the copied columns from `first` on, up to `end`.
    fn packed_words(&self, first: usize, end: usize) -> usize {
        (end - first).next_multiple_of(self.panel) * self.terms
    }

    /// Words of a worker: `columns` copied columns, and a tile.
    fn slot_words(&self, columns: usize) -> usize {
        line_aligned(self.terms * columns + MAX_ROWS * self.panel)
    }

    /// The panels of the span that begins at column `first`: (offset in the span, columns that exist).
    fn panels(&self, first: usize) -> impl Iterator<Item = (usize, usize)> {
        let (panel, end) = (self.panel, self.span.min(self.columns - first));
        (0..end).step_by(panel).map(move |offset| (offset, panel.min(end - offset)))
    }

    /// Copies the span of columns from `first` of `[terms][columns]`, panel by panel: `[term][lane]`, zeros past the end.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn pack<S: Simd>(&self, from: &[f32], first: usize, to: &mut [f32]) {
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

    /// One tile: `out[p][lane]` = Σ over the terms of `scalars[p][term]` · `panel[term][lane]`. `out`: address, distance of its rows.
    ///
    /// # Safety
    /// The scalars hold what is read, `out` what is written.
    #[inline(always)]
    unsafe fn tile<S: Simd>(&self, scalars: &[*const f32], panel: &[f32], out: (*mut f32, usize)) {
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
            }
            .run::<S>(self.panel / S::LANES, Scalars::Near);
        }
    }
}

/// dx = dy·w.
#[derive(Debug)]
pub(crate) struct BackwardInput {
    m: Matmul,
    columns: Columns,
    slots: usize,
}

impl BackwardInput {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardInput {
        let m = Matmul::new(e, streams, level);
        let columns = Columns::new(m.inputs, m.outputs, &m.width, usize::MAX);
        BackwardInput { m, columns, slots: slots(columns.tasks()) }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        scratch_words(self.slots * self.slot_words())
    }

    /// A tile, and a panel of |w| if there is a second stream.
    fn slot_words(&self) -> usize {
        self.columns.slot_words(if self.m.streams == 2 { self.columns.panel } else { 0 })
    }

    /// The packed weights, of the call's input `weights`.
    pub(crate) fn prepared(self: &Arc<Self>, weights: usize) -> Vec<Prepare> {
        let product = self.clone();
        vec![Prepare {
            name: "linear_pack_weight",
            input: weights,
            key: format!("linear {:?}", self.columns),
            words: self.packed_words(),
            run: Box::new(move |weights, packed| product.pack(weights, packed)),
        }]
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        self.columns.packed_words(0, self.m.inputs)
    }

    /// Packs w, `[panel][term][lane]`.
    pub(crate) fn pack(&self, w: &[f32], packed: &mut [f32]) {
        let c = &self.columns;
        let packed = Shared::new(packed);
        for_each(c.tasks(), |task| {
            let first = task * c.span;
            let words = c.packed_words(first, self.m.inputs.min(first + c.span));
            // SAFETY: each task packs its own columns.
            unsafe {
                let to = std::slice::from_raw_parts_mut(packed.at(first * c.terms), words);
                dispatch(self.m.width.level, PackTask { columns: c, w, first, to });
            }
        });
    }

    /// Runs the products by packed weights; `scratch` as declared by [`BackwardInput::scratch`].
    pub(crate) fn run(&self, packed: &[f32], products: &[Product<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * self.slot_words());
        for_each_task(self.columns.tasks(), self.slots, slots, |task, slot| {
            let first = task * self.columns.span;
            // SAFETY: tasks write disjoint columns.
            unsafe { dispatch(self.m.width.level, InputTask { b: self, packed, products, first, slot }) }
        });
    }
}

/// Some columns of w to pack.
struct PackTask<'a> {
    columns: &'a Columns,
    w: &'a [f32],
    first: usize,
    to: &'a mut [f32],
}

impl Work for PackTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: `first` begins a span.
        unsafe { self.columns.pack::<S>(self.w, self.first, self.to) }
    }
}

/// Some columns of dx for all samples.
struct InputTask<'a> {
    b: &'a BackwardInput,
    packed: &'a [f32],
    products: &'a [Product<'a>],
    first: usize,
    slot: &'a mut [f32],
}

impl Work for InputTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, c) = (&self.b.m, &self.b.columns);
        let (tile, absolute) = self.slot.split_at_mut(MAX_ROWS * c.panel);
        let words = c.terms * c.panel;
        let count = m.batch.div_ceil(MAX_ROWS);
        for (offset, width) in c.panels(self.first) {
            let column = self.first + offset;
            let panel = &self.packed[column * c.terms..][..words];
            // The weights come from memory: while this panel is worked on, the next one of this worker is asked for.
            let next = if offset + c.panel < c.span { column + c.panel } else { self.first + self.b.slots * c.span };
            let next = self.packed.as_ptr().wrapping_add(next * c.terms);
            for (stream, product) in self.products.iter().enumerate() {
                let vectors = if stream == 1 {
                    absolute.iter_mut().zip(panel).for_each(|(a, w)| *a = w.abs());
                    &absolute[..words]
                } else {
                    panel
                };
                for (i, (sample, rows)) in pieces(m.batch, MAX_ROWS).enumerate() {
                    let scalars = self::rows(product.input, m.outputs, sample, rows);
                    // SAFETY: rows and columns are inside the operands, the columns this task's own.
                    unsafe {
                        if stream == 0 {
                            let part = i * words / count..(i + 1) * words / count;
                            prefetch::<S>(next.wrapping_add(part.start), part.len());
                        }
                        let at = sample * m.inputs + column;
                        let output = product.output.at(at);
                        if width == c.panel {
                            c.tile::<S>(&scalars[..rows], vectors, (output, m.inputs));
                        } else {
                            c.tile::<S>(&scalars[..rows], vectors, (tile.as_mut_ptr(), c.panel));
                        }
                        if width < c.panel || !product.epilogue.is_identity() {
                            for row in 0..rows {
                                let to = output.add(row * m.inputs);
                                let sums = if width < c.panel { tile.as_ptr().add(row * c.panel) } else { to };
                                product.epilogue.write::<S>(0, at + row * m.inputs, sums, to, width);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Addresses of `count` ≤ [`MAX_ROWS`] rows of `step` words, from row `first`.
#[inline(always)]
fn rows(matrix: &[f32], step: usize, first: usize, count: usize) -> [*const f32; MAX_ROWS] {
    let mut rows = [std::ptr::null(); MAX_ROWS];
    for (i, row) in rows[..count].iter_mut().enumerate() {
        *row = &raw const matrix[(first + i) * step];
    }
    rows
}

/// dw = dyᵀ·x.
#[derive(Debug)]
pub(crate) struct BackwardWeight {
    m: Matmul,
    columns: Columns,
    slots: usize,
}

impl BackwardWeight {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardWeight {
        let m = Matmul::new(e, streams, level);
        // The copy should stay in the second-level cache.
        let columns = Columns::new(m.inputs, m.batch, &m.width, SPAN_WORDS);
        BackwardWeight { m, columns, slots: slots(columns.tasks()) }
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
        self.columns.slot_words(self.columns.span)
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
        for_each_task(self.columns.tasks(), self.slots, slots, |task, slot| {
            let (packed, tile) = slot.split_at_mut(self.columns.terms * self.columns.span);
            let first = task * self.columns.span;
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
        let (m, c) = (&self.b.m, &self.b.columns);
        // SAFETY: `first` begins a span; rows and columns below stay inside the operands.
        unsafe {
            for (stream, &(x, _)) in self.pairs.iter().enumerate() {
                c.pack::<S>(x, self.first, self.packed);
                let gradient = &self.gradients[stream * self.b.packed_words()..][..self.b.packed_words()];
                let sign_of = self.sign_of.filter(|_| stream == 1);
                for (feature, count) in pieces(m.outputs, MAX_ROWS) {
                    for (offset, width) in c.panels(self.first) {
                        let at = feature * m.inputs + self.first + offset;
                        let (out, out_step) = match sign_of {
                            None => (self.dw.at(at), m.inputs),
                            Some(_) => (self.tile.as_mut_ptr(), c.panel),
                        };
                        ColumnTile {
                            terms: m.batch,
                            weights: gradient[feature * m.batch..].as_ptr(),
                            columns: self.packed[offset * c.terms..].as_ptr(),
                            pitch: c.panel,
                            epilogue: Epilogue::default(),
                            at: 0,
                            out,
                            out_step,
                            pixels: width,
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
