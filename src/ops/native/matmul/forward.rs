//! y = x·wᵀ.

use super::{Matmul, Product, rows};
use crate::ops::linear::Extents;
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::tile::{MAX_ROWS, Scalars, StridedTile, pieces};
use crate::ops::native::workers::{Shared, aligned, for_each, for_each_task, line_aligned, scratch_words, slots};
use crate::ops::simd::Level;

/// Features in a block of the reduction of y: 64 lanes of them are 64 KiB.
const BLOCK: usize = 256;

/// Output features of y that a task computes, in tiles of 6.
const ROWS: usize = 24;

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
