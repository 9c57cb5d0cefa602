//! The three products of a linear layer, y = x·wᵀ, dx = dy·w and dw = dyᵀ·x, for x [N,F], w [G,F].
//!
//! Only the operand that lies along the lanes is copied, into blocks that stay in the second-level cache; the other is
//! read where it is, one scalar at a time. For y the lanes are samples, so that the weights, by far the largest
//! operand when N is a mini-batch, are read once and never copied; for dx and dw they are input features.

use super::blocks::{copy, transpose};
use super::correlate::sign;
use super::epilogue::Epilogue;
use super::lanes::{Simd, Width, Work, dispatch};
use super::tile::{StridedTile, max_rows, max_vectors, pieces};
use super::workers::{Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::linear::Extents;
use crate::ops::simd::Level;

/// Features in a block of the reduction of y: 64 lanes of them are 64 KiB.
const BLOCK: usize = 256;

/// Output features of y that a task computes, in tiles of 7 or 6.
const ROWS: usize = 28;

/// Most scalars in a tile.
const MAX_ROWS: usize = 7;

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
            scratch_words(self.slots * line_aligned(ROWS * self.panel)),
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
        let slots = aligned(slots, self.slots * line_aligned(ROWS * self.panel));
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

/// Transposes some features of a panel of samples to [feature][lane], with zeros in the lanes past the last sample.
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
        for first in (0..m.inputs).step_by(BLOCK) {
            let terms = BLOCK.min(m.inputs - first);
            for (row, count) in pieces(self.rows.len(), max_rows(S::REGISTERS)) {
                let mut scalars = [std::ptr::null(); MAX_ROWS];
                for (i, scalar) in scalars[..count].iter_mut().enumerate() {
                    *scalar = &raw const self.w[(self.rows.start + row + i) * m.inputs + first];
                }
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
                    .run::<S>(panel / S::LANES, self.abs);
                }
            }
        }
        let epilogue = &self.product.epilogue;
        for lane in 0..panel.min(m.batch - self.samples) {
            for (i, row) in self.rows.clone().enumerate() {
                let mut y = self.sums[i * panel + lane];
                epilogue.apply(row, 0, std::slice::from_mut(&mut y));
                // SAFETY: sample and row are inside the output, and this task's own.
                unsafe { *self.product.output.at((self.samples + lane) * m.outputs + row) = y };
            }
        }
    }
}

/// dx = dy·w.
#[derive(Debug)]
pub(crate) struct BackwardInput {
    m: Matmul,
    panel: usize,
    panels: usize,
    slots: usize,
}

/// dw = dyᵀ·x.
#[derive(Debug)]
pub(crate) struct BackwardWeight {
    m: Matmul,
    panel: usize,
    panels: usize,
    slots: usize,
}

impl BackwardInput {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardInput {
        let m = Matmul::new(e, streams, level);
        let panel = m.panel(m.inputs);
        let panels = m.inputs.div_ceil(panel);
        BackwardInput { m, panel, panels, slots: slots(panels) }
    }

    fn slot_words(&self) -> usize {
        (self.m.outputs + MAX_ROWS) * self.panel
    }

    /// Size of the scratch buffer: panels of the weights, and a tile.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.slots * line_aligned(self.slot_words()))]
    }

    /// Runs the products; `scratch` as declared by [`BackwardInput::scratch`].
    pub(crate) fn run(&self, w: &[f32], products: &[Product<'_>], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * line_aligned(self.slot_words()));
        for_each_task(self.panels, self.slots, slots, |task, slot| {
            let (packed, tile) = slot.split_at_mut(self.m.outputs * self.panel);
            // SAFETY: tasks write disjoint columns.
            unsafe {
                dispatch(self.m.width.level, InputTask { b: self, w, products, first: task * self.panel, packed, tile })
            }
        });
    }
}

/// Copies columns `first..first + width` of a matrix of rows of `step` into [row][panel], zeros past `width`.
///
/// # Safety
/// As [`Simd`]; the columns exist.
#[inline(always)]
unsafe fn pack_columns<S: Simd>(
    from: &[f32],
    step: usize,
    (first, width): (usize, usize),
    to: &mut [f32],
    panel: usize,
) {
    for (from, to) in from.chunks_exact(step).zip(to.chunks_exact_mut(panel)) {
        to[width..].fill(0.0);
        // SAFETY: the caller's duty.
        unsafe { copy::<S>(from.as_ptr().add(first), to.as_mut_ptr(), width) };
    }
}

/// Some columns of dx for all samples.
struct InputTask<'a> {
    b: &'a BackwardInput,
    w: &'a [f32],
    products: &'a [Product<'a>],
    first: usize,
    packed: &'a mut [f32],
    tile: &'a mut [f32],
}

impl Work for InputTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, panel, first) = (&self.b.m, self.b.panel, self.first);
        let width = panel.min(m.inputs - first);
        // SAFETY: `first` begins a panel; rows and columns below stay inside the operands.
        unsafe {
            pack_columns::<S>(self.w, m.inputs, (first, width), self.packed, panel);
            for (stream, product) in self.products.iter().enumerate() {
                if stream == 1 {
                    self.packed.iter_mut().for_each(|w| *w = w.abs());
                }
                for (sample, count) in pieces(m.batch, max_rows(S::REGISTERS)) {
                    let mut scalars = [std::ptr::null(); MAX_ROWS];
                    for (i, scalar) in scalars[..count].iter_mut().enumerate() {
                        *scalar = &raw const product.input[(sample + i) * m.outputs];
                    }
                    StridedTile {
                        rows: 1,
                        columns: m.outputs,
                        scalars: &scalars[..count],
                        row_step: 0,
                        step: 1,
                        vectors: self.packed.as_ptr(),
                        vector_step: panel,
                        out: self.tile.as_mut_ptr(),
                        out_step: panel,
                        accumulate: false,
                    }
                    .run::<S>(panel / S::LANES, false);
                    for (i, row) in self.tile.chunks_exact(panel).take(count).enumerate() {
                        let at = (sample + i) * m.inputs + first;
                        let out = std::slice::from_raw_parts_mut(product.output.at(at), width);
                        match product.epilogue.mask {
                            None => copy::<S>(row.as_ptr(), out.as_mut_ptr(), width),
                            Some(mask) => {
                                for ((y, &sum), &mask) in out.iter_mut().zip(row).zip(&mask[at..]) {
                                    *y = if mask <= 0.0 { 0.0 } else { sum };
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl BackwardWeight {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> BackwardWeight {
        let m = Matmul::new(e, streams, level);
        let panel = m.panel(m.inputs);
        let panels = m.inputs.div_ceil(panel);
        BackwardWeight { m, panel, panels, slots: slots(panels) }
    }

    fn slot_words(&self) -> usize {
        (self.m.batch + MAX_ROWS) * self.panel
    }

    /// Size of the scratch buffer: panels of the input, and a tile.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.slots * line_aligned(self.slot_words()))]
    }

    /// dw from pairs (x, dy): the first pair's product, plus sign(w) times the second's if there are two.
    /// `scratch` is as declared by [`BackwardWeight::scratch`].
    pub(crate) fn run(&self, pairs: &[(&[f32], &[f32])], sign_of: Option<&[f32]>, dw: &mut [f32], scratch: &mut [f32]) {
        let slots = aligned(scratch, self.slots * line_aligned(self.slot_words()));
        let dw = Shared::new(dw);
        for_each_task(self.panels, self.slots, slots, |task, slot| {
            let (packed, tile) = slot.split_at_mut(self.m.batch * self.panel);
            // SAFETY: tasks write disjoint columns.
            unsafe {
                dispatch(
                    self.m.width.level,
                    WeightTask { b: self, pairs, sign_of, dw, first: task * self.panel, packed, tile },
                )
            }
        });
    }
}

/// Some columns of dw.
struct WeightTask<'a> {
    b: &'a BackwardWeight,
    pairs: &'a [(&'a [f32], &'a [f32])],
    sign_of: Option<&'a [f32]>,
    dw: Shared,
    first: usize,
    packed: &'a mut [f32],
    tile: &'a mut [f32],
}

impl Work for WeightTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, panel, first) = (&self.b.m, self.b.panel, self.first);
        let width = panel.min(m.inputs - first);
        // SAFETY: `first` begins a panel; rows and columns below stay inside the operands.
        unsafe {
            for (stream, &(x, dy)) in self.pairs.iter().enumerate() {
                pack_columns::<S>(x, m.inputs, (first, width), self.packed, panel);
                for (feature, count) in pieces(m.outputs, max_rows(S::REGISTERS)) {
                    let mut scalars = [std::ptr::null(); MAX_ROWS];
                    for (i, scalar) in scalars[..count].iter_mut().enumerate() {
                        *scalar = &raw const dy[feature + i];
                    }
                    StridedTile {
                        rows: 1,
                        columns: m.batch,
                        scalars: &scalars[..count],
                        row_step: 0,
                        step: m.outputs,
                        vectors: self.packed.as_ptr(),
                        vector_step: panel,
                        out: self.tile.as_mut_ptr(),
                        out_step: panel,
                        accumulate: false,
                    }
                    .run::<S>(panel / S::LANES, false);
                    for (i, row) in self.tile.chunks_exact(panel).take(count).enumerate() {
                        let at = (feature + i) * m.inputs + first;
                        let out = std::slice::from_raw_parts_mut(self.dw.at(at), width);
                        match self.sign_of.filter(|_| stream == 1) {
                            None => copy::<S>(row.as_ptr(), out.as_mut_ptr(), width),
                            Some(w) => {
                                for ((d, &sum), &w) in out.iter_mut().zip(row).zip(&w[at..]) {
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
