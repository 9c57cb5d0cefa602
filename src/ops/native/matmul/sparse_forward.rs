//! y = x·wᵀ for an x that may be mostly zeros, by weights that several calls read: packed `[panel of outputs][input][lane]`.

use std::sync::Arc;

use super::forward::{BLOCK, Forward};
use super::sparse::Sparse;
use super::{Matmul, Product};
use crate::kernel::Prepare;
use crate::ops::linear::Extents;
use crate::ops::native::blocks::transpose;
use crate::ops::native::lanes::{Simd, Work, dispatch};
use crate::ops::native::workers::{Shared, for_each};
use crate::ops::simd::Level;

/// y = x·wᵀ without the products that are 0, if they are many, else with all: the same bits.
#[derive(Debug)]
pub(crate) struct SparseForward {
    m: Matmul,
    dense: Forward,
    sparse: Sparse,
}

impl SparseForward {
    /// Decides the blocking; none where zeros can't be made use of.
    pub(crate) fn new(e: &Extents, level: Level) -> Option<SparseForward> {
        let sparse = Sparse::new([e.batch, e.inputs, e.outputs], Some(BLOCK), level)?;
        Some(SparseForward { m: Matmul::new(e, 1, level), dense: Forward::new(e, 1, level), sparse })
    }

    /// Sizes of the scratch buffers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        let mut sizes = self.dense.scratch();
        sizes[0] = sizes[0].max(self.sparse.scratch());
        sizes
    }

    /// The packed weights, of the call's input `weights`.
    pub(crate) fn prepared(self: &Arc<Self>, weights: usize) -> Vec<Prepare> {
        let product = self.clone();
        vec![Prepare {
            name: "linear_pack_transposed",
            input: weights,
            key: format!("linear transposed {} {}", self.m.inputs, self.m.outputs),
            words: self.packed_words(),
            run: Box::new(move |weights, packed| product.pack(weights, packed)),
        }]
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        self.m.outputs.next_multiple_of(self.sparse.panel()) * self.m.inputs
    }

    /// Packs wᵀ, with zeros in the lanes past the last output.
    pub(crate) fn pack(&self, w: &[f32], packed: &mut [f32]) {
        let panel = self.sparse.panel();
        let pieces = self.m.inputs.div_ceil(BLOCK);
        let packed = Shared::new(packed);
        for_each(self.m.outputs.div_ceil(panel) * pieces, |task| {
            let (output, input) = (task / pieces * panel, task % pieces * BLOCK);
            let (outputs, inputs) = (panel.min(self.m.outputs - output), BLOCK.min(self.m.inputs - input));
            // SAFETY: each task packs some inputs of a panel.
            unsafe {
                let to = packed.at(output * self.m.inputs + input * panel);
                let to = std::slice::from_raw_parts_mut(to, inputs * panel);
                let from = &w[output * self.m.inputs + input..];
                dispatch(self.m.width.level, PackTask { from, step: self.m.inputs, to, panel, outputs, inputs });
            }
        });
    }

    /// Runs the product by w and by w as [`SparseForward::pack`] leaves it; `scratch` as declared by [`SparseForward::scratch`].
    pub(crate) fn run(&self, w: &[f32], packed: &[f32], product: Product<'_>, scratch: [&mut [f32]; 2]) {
        let [first, second] = scratch;
        if !self.sparse.run(packed, &product, first) {
            self.dense.run(w, &[product], [first, second]);
        }
    }
}

/// Some inputs of a panel to pack.
struct PackTask<'a> {
    from: &'a [f32],
    step: usize,
    to: &'a mut [f32],
    panel: usize,
    outputs: usize,
    inputs: usize,
}

impl Work for PackTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        if self.outputs < self.panel {
            self.to.fill(0.0);
        }
        // SAFETY: w holds these outputs and inputs, `to` is [inputs][panel].
        unsafe {
            let to = (self.to.as_mut_ptr(), self.panel);
            transpose::<S>((self.from.as_ptr(), self.step), to, self.outputs, self.inputs);
        }
    }
}
