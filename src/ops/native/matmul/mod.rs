//! The three products of a linear layer, y = x·wᵀ, dx = dy·w and dw = dyᵀ·x, for x `[N,F]`, w `[G,F]`.
//!
//! The operand that lies along the lanes is copied, into blocks that stay in the second-level cache; of the other a tile reads one
//! scalar at a time. For y ([`forward`]) the lanes are samples, so that the weights, by far the largest operand when N is a mini-batch,
//! are read once and never copied; for dx ([`backward_input`]) and dw ([`backward_weight`]) they are input features, cut into [`spans`]. The
//! weights that dx reads are packed once for all calls between two updates, or span by span as a single call needs them; dw reads its scalars, which lie far apart in dy, from a copy, too.
//!
//! Where several calls read the same weights, as in an attack, y and dx leave out products with zeros if there are many ([`sparse`]): about half of what a ReLU
//! lets through, or back, is 0 when training begins, and most of it later.

mod backward_input;
mod backward_weight;
mod forward;
mod spans;
mod sparse;
mod sparse_forward;

pub(crate) use backward_input::{BackwardInput, Weights};
pub(crate) use backward_weight::BackwardWeight;
pub(crate) use forward::Forward;
pub(crate) use sparse_forward::SparseForward;

use super::box_relu::BoxRelu;
use super::epilogue::Epilogue;
use super::lanes::Width;
use super::tile::{MAX_ROWS, max_vectors};
use super::workers::Shared;
use crate::ops::linear::Extents;
use crate::ops::simd::Level;

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

    /// What the radii that belong to these centers may end with, see [`BoxRelu::new`]: of each place, products are written in their order.
    pub(crate) fn joined(&self, behind: Option<[&'a [f32]; 2]>) -> BoxRelu<'a> {
        BoxRelu::new(self.output, behind)
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

/// Addresses of `count` ≤ [`MAX_ROWS`] rows of `step` words, from row `first`.
#[inline(always)]
fn rows(matrix: &[f32], step: usize, first: usize, count: usize) -> [*const f32; MAX_ROWS] {
    let mut rows = [std::ptr::null(); MAX_ROWS];
    for (i, row) in rows[..count].iter_mut().enumerate() {
        *row = &raw const matrix[(first + i) * step];
    }
    rows
}
