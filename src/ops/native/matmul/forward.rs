//! y = x·wᵀ.

use super::{Matmul, Product, rows};
use crate::ops::linear::Extents;
use crate::ops::native::ahead::{Next, Scalars, far};
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, StridedTile, pieces};
use crate::ops::native::workers::{LINE, Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Features in a block of the reduction of y: 64 lanes of them are 64 KiB.
pub(super) const BLOCK: usize = 256;

/// Most output features of y that a task computes, in tiles of 6: as often is a block of inputs read that was brought close for the first.
const ROWS: usize = 64;

/// Fewer output features don't make up for reading their inputs once more.
const LEAST_ROWS: usize = 24;

/// Most output features of a task that transposes its inputs itself: their sums should stay in the second-level cache.
const MOST_ROWS: usize = 512;

/// Tasks for each thread, if there are features enough: the last ones to finish keep the others waiting.
const TASKS: usize = 4;

/// y = x·wᵀ.
#[derive(Debug)]
pub(crate) struct Forward {
    m: Matmul,
    panel: usize,
    panels: usize,
    row_blocks: usize,
    /// Whether inputs are transposed before all tasks; else each task transposes those of its panel, which no other has.
    shared: bool,
    slots: usize,
}

impl Forward {
    /// Decides the blocking.
    pub(crate) fn new(e: &Extents, streams: usize, level: Level) -> Forward {
        let m = Matmul::new(e, streams, level);
        let panel = m.panel(m.batch);
        let panels = m.batch.div_ceil(panel);
        let tasks = TASKS * rayon::current_num_threads();
        let shared = 2 * panels < tasks || m.outputs > MOST_ROWS;
        let enough = tasks.div_ceil(panels).min(m.outputs.div_ceil(LEAST_ROWS));
        let row_blocks = if shared { m.outputs.div_ceil(ROWS).max(enough) } else { 1 };
        Forward { m, panel, panels, row_blocks, shared, slots: slots(panels * row_blocks) }
    }

    /// Most rows of a task.
    fn rows(&self) -> usize {
        self.m.outputs.div_ceil(self.row_blocks)
    }

    /// Words of the inputs that are transposed before all tasks.
    fn packed_words(&self) -> usize {
        if self.shared { self.m.streams * self.panels * self.panel * self.m.inputs } else { 0 }
    }

    /// Sums of a worker, by stream, and transposed ones; a block of its own of transposed inputs.
    fn slot_words(&self) -> usize {
        let own = if self.shared { 0 } else { BLOCK.min(self.m.inputs) };
        line_aligned(((self.m.streams + 1) * self.rows() + own) * self.panel)
    }

    /// Sizes of the scratch buffers: transposed inputs; work space of the workers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        vec![scratch_words(self.packed_words()), scratch_words(self.slots * self.slot_words())]
    }

    /// Runs the products; `scratch` as declared by [`Forward::scratch`].
    pub(crate) fn run(&self, w: &[f32], products: &[Product<'_>], scratch: [&mut [f32]; 2]) {
        let m = &self.m;
        let [packed, slots] = scratch;
        let packed = aligned(packed, self.packed_words());
        if self.shared {
            self.pack(products, packed);
        }
        let packed = &*packed;
        let slots = aligned(slots, self.slots * self.slot_words());
        for_each_task(self.row_blocks * self.panels, self.slots, slots, |task, slot| {
            let (panel, rows) = (task % self.panels, task / self.panels);
            let rows = rows * m.outputs / self.row_blocks..(rows + 1) * m.outputs / self.row_blocks;
            // SAFETY: tasks write disjoint rows and samples of disjoint outputs.
            unsafe { dispatch(self.m.width.level, ForwardTask { f: self, w, packed, products, panel, rows, slot }) }
        });
    }

    /// Transposes the inputs of all streams.
    fn pack(&self, products: &[Product<'_>], packed: &mut [f32]) {
        let m = &self.m;
        let shared = Shared::new(packed);
        let blocks = m.inputs.div_ceil(BLOCK);
        for_each(m.streams * self.panels * blocks, |task| {
            let (stream, panel, block) = (task / blocks / self.panels, task / blocks % self.panels, task % blocks);
            let features = block * BLOCK..m.inputs.min((block + 1) * BLOCK);
            let at = ((stream * self.panels + panel) * m.inputs + features.start) * self.panel;
            // SAFETY: each task writes its own block of the packed inputs.
            unsafe {
                let to = std::slice::from_raw_parts_mut(shared.at(at), features.len() * self.panel);
                dispatch(m.width.level, PackSamples { f: self, input: products[stream].input, panel, features, to });
            }
        });
    }
}

/// Transposes some features of a panel of samples to `[feature][lane]`, with zeros in the lanes past the last sample.
struct PackSamples<'a> {
    f: &'a Forward,
    input: &'a [f32],
    /// Number of the panel.
    panel: usize,
    features: std::ops::Range<usize>,
    to: &'a mut [f32],
}

impl Work for PackSamples<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, panel) = (&self.f.m, self.f.panel);
        let first = self.panel * panel;
        let samples = panel.min(m.batch - first);
        if samples < panel {
            self.to.fill(0.0);
        }
        let from = &self.input[first * m.inputs + self.features.start..];
        // SAFETY: samples and features are inside the input; `to` is [features][panel].
        unsafe {
            let to = (self.to.as_mut_ptr(), panel);
            transpose::<S>((from.as_ptr(), m.inputs), to, samples, self.features.len());
        }
    }
}

/// Some rows of yᵀ for one panel of samples, of all streams: they share the weights, block by block.
struct ForwardTask<'a> {
    f: &'a Forward,
    w: &'a [f32],
    /// Transposed inputs of all streams, if they are shared.
    packed: &'a [f32],
    products: &'a [Product<'a>],
    /// Number of the panel.
    panel: usize,
    rows: std::ops::Range<usize>,
    slot: &'a mut [f32],
}

impl Work for ForwardTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (m, panel) = (&self.f.m, self.f.panel);
        let of_stream = self.f.rows() * panel;
        let (sums, rest) = self.slot.split_at_mut(m.streams * of_stream);
        let (transposed, own) = rest.split_at_mut(of_stream);
        let ahead = self.f.shared && far(m.inputs * panel);
        for first in (0..m.inputs).step_by(BLOCK) {
            let terms = BLOCK.min(m.inputs - first);
            for (stream, sums) in sums.chunks_exact_mut(of_stream).enumerate() {
                let scalars_from = if stream == 1 { Scalars::StreamedAbs } else { Scalars::Streamed };
                let vectors = if self.f.shared {
                    &self.packed[((stream * self.f.panels + self.panel) * m.inputs + first) * panel..]
                } else {
                    let (input, to) = (self.products[stream].input, &mut own[..terms * panel]);
                    let block = PackSamples { f: self.f, input, panel: self.panel, features: first..first + terms, to };
                    // SAFETY: as here.
                    unsafe { block.run::<S>() };
                    &own[..terms * panel]
                };
                for (piece, (row, count)) in pieces(self.rows.len(), MAX_ROWS).enumerate() {
                    // The next features of shared inputs follow in memory; each piece asks for some of them.
                    let passed = terms * (panel + piece * LINE);
                    let next = ahead.then(|| Next { at: vectors.as_ptr().wrapping_add(passed), step: panel });
                    let scalars = rows(&self.w[first..], m.inputs, self.rows.start + row, count);
                    // SAFETY: rows, features and lanes are inside w, the packed inputs and the sums.
                    unsafe {
                        StridedTile {
                            rows: 1,
                            columns: terms,
                            scalars: &scalars[..count],
                            row_step: 0,
                            step: 1,
                            vectors: vectors.as_ptr(),
                            vector_step: panel,
                            out: sums[row * panel..].as_mut_ptr(),
                            out_step: panel,
                            accumulate: first > 0,
                            next,
                        }
                        .run::<S>(panel / S::LANES, scalars_from);
                    }
                }
            }
        }
        let (count, first) = (self.rows.len(), self.panel * panel);
        let samples = panel.min(m.batch - first);
        for (product, sums) in self.products.iter().zip(sums.chunks_exact(of_stream)) {
            // SAFETY: samples and rows are inside the output, and this task's own.
            unsafe {
                transpose::<S>((sums.as_ptr(), panel), (transposed.as_mut_ptr(), count), count, samples);
                for (lane, sums) in transposed.chunks_exact(count).take(samples).enumerate() {
                    let at = (first + lane) * m.outputs + self.rows.start;
                    let out = product.output.at(at);
                    product.epilogue.write_features::<S>(self.rows.start, at, sums.as_ptr(), out, count);
                    product.epilogue.finish::<S>(out, at, count);
                }
            }
        }
    }
}
