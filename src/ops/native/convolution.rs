//! Which kernel a convolution takes: the plain one, one for shapes that this serves badly, or, where the graph allows another rounding
//! and the shapes suit it, Winograd's.

use std::sync::Arc;

use super::bias::BiasGradient;
use super::columns::{
    self,
    across::{self, AcrossBackward},
    backward::ColumnsBackward,
    correlate::ColumnsCorrelate,
    forward::ColumnsForward,
    patches::{self, PatchesBackward},
};
use super::correlate::Correlate;
use super::gather::{Gather, Stream};
use super::winograd::{self, correlate::WinogradCorrelate, gather::WinogradGather};
use super::workers::scratch_words;
use crate::kernel::{Layout, Prepare};
use crate::ops::conv2d::Geometry;
use crate::ops::simd::{Level, level};

/// The kernels of a convolution and of its input gradient.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Columns,
    Winograd,
}

fn kind(g: &Geometry, fast: bool, level: Level) -> Kind {
    if columns::suits(g) {
        Kind::Columns
    } else if fast && winograd::pays(g, level) {
        Kind::Winograd
    } else {
        Kind::Plain
    }
}

/// Which sides of a convolution, x and y, can lie in blocks, also as gradients, and whether it gains by that.
pub(crate) fn sides(g: &Geometry, fast: bool) -> ([bool; 2], bool) {
    match kind(g, fast, level()) {
        Kind::Plain => ([false; 2], false),
        // What has so few channels is an image.
        Kind::Columns => ([false, true], false),
        Kind::Winograd => ([true; 2], true),
    }
}

/// The same of the gradient with respect to its weights, for x and the gradient of y.
pub(crate) fn weight_sides(g: &Geometry, fast: bool) -> ([bool; 2], bool) {
    ([!columns::suits(g), true], kind(g, fast, level()) == Kind::Winograd)
}

/// A convolution, or the gradient with respect to its input.
#[derive(Debug)]
pub(crate) enum Convolution {
    Plain(Gather),
    Columns(ColumnsForward),
    ColumnsBackward(ColumnsBackward),
    PatchesBackward(PatchesBackward),
    AcrossBackward(AcrossBackward),
    Winograd(Box<WinogradGather>),
}

impl Convolution {
    /// The convolution x → y; `fast` allows another rounding. `layouts` are those of x and y, which [`sides`] allows.
    pub(crate) fn forward(g: &Geometry, fast: bool, layouts: [Layout; 2]) -> Convolution {
        Convolution::forward_at(g, fast, layouts, level())
    }

    /// The gradient grad_y → grad_x; `layouts` are those of grad_x and grad_y.
    pub(crate) fn backward(g: &Geometry, fast: bool, layouts: [Layout; 2]) -> Convolution {
        Convolution::backward_at(g, fast, layouts, level())
    }

    /// [`Convolution::forward`] on one instruction set.
    pub(super) fn forward_at(g: &Geometry, fast: bool, layouts: [Layout; 2], level: Level) -> Convolution {
        match kind(g, fast, level) {
            Kind::Columns => Convolution::Columns(ColumnsForward::new(g, layouts[1], level)),
            Kind::Winograd => Convolution::Winograd(Box::new(WinogradGather::forward(g, layouts, level))),
            Kind::Plain => Convolution::Plain(Gather::forward(g, level)),
        }
    }

    /// [`Convolution::backward`] on one instruction set.
    pub(super) fn backward_at(g: &Geometry, fast: bool, layouts: [Layout; 2], level: Level) -> Convolution {
        let [written, read] = layouts;
        match kind(g, fast, level) {
            Kind::Columns if read == Layout::Blocks && patches::suits(g) => {
                Convolution::PatchesBackward(PatchesBackward::new(g, level))
            }
            Kind::Columns if read == Layout::Blocks && across::suits(g) => {
                Convolution::AcrossBackward(AcrossBackward::new(g, level))
            }
            Kind::Columns => Convolution::ColumnsBackward(ColumnsBackward::new(g, read, level)),
            Kind::Winograd => Convolution::Winograd(Box::new(WinogradGather::backward(g, [read, written], level))),
            Kind::Plain => Convolution::Plain(Gather::backward(g, level)),
        }
    }

    /// The packed weights of the streams, of the call's input `weights`: those of w, and of |w| if there are two.
    pub(crate) fn prepared(self: &Arc<Self>, weights: usize, streams: usize) -> Vec<Prepare> {
        let prepare = |stream: usize| {
            let convolution = self.clone();
            let absolute = stream == 1;
            Prepare {
                name: "conv2d_pack_weight",
                input: weights,
                key: format!("{} {absolute}", self.packed_key()),
                words: self.packed_words(),
                run: Box::new(move |weights, packed| convolution.pack(weights, absolute, packed)),
            }
        };
        (0..streams).map(prepare).collect()
    }

    fn packed_key(&self) -> String {
        match self {
            Convolution::Plain(gather) => gather.packed_key(),
            Convolution::Columns(columns) => columns.packed_key(),
            Convolution::ColumnsBackward(columns) => columns.packed_key(),
            Convolution::PatchesBackward(patches) => patches.packed_key(),
            Convolution::AcrossBackward(across) => across.packed_key(),
            Convolution::Winograd(gather) => gather.packed_key(),
        }
    }

    /// Words of the packed weights.
    pub(crate) fn packed_words(&self) -> usize {
        match self {
            Convolution::Plain(gather) => gather.packed_words(),
            Convolution::Columns(columns) => columns.packed_words(),
            Convolution::ColumnsBackward(columns) => columns.packed_words(),
            Convolution::PatchesBackward(patches) => patches.packed_words(),
            Convolution::AcrossBackward(across) => across.packed_words(),
            Convolution::Winograd(gather) => gather.packed_words(),
        }
    }

    /// Packs w, or |w|, to a whole number of cache lines.
    pub(crate) fn pack(&self, weights: &[f32], absolute: bool, packed: &mut [f32]) {
        match self {
            Convolution::Plain(gather) => gather.pack(weights, absolute, packed),
            Convolution::Columns(columns) => columns.pack(weights, absolute, packed),
            Convolution::ColumnsBackward(columns) => columns.pack(weights, absolute, packed),
            Convolution::PatchesBackward(patches) => patches.pack(weights, absolute, packed),
            Convolution::AcrossBackward(across) => across.pack(weights, absolute, packed),
            Convolution::Winograd(gather) => gather.pack(weights, absolute, packed),
        }
    }

    /// Size of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        match self {
            Convolution::Plain(gather) => gather.scratch(),
            Convolution::Columns(columns) => columns.scratch(),
            Convolution::ColumnsBackward(columns) => columns.scratch(),
            Convolution::PatchesBackward(patches) => patches.scratch(),
            Convolution::AcrossBackward(across) => across.scratch(),
            Convolution::Winograd(gather) => gather.scratch(),
        }
    }

    /// Runs the streams, each with its packed weights.
    pub(crate) fn run(&self, packed: &[&[f32]], streams: &[Stream<'_>], scratch: &mut [f32]) {
        match self {
            Convolution::Plain(gather) => gather.run(packed, streams, scratch),
            Convolution::Columns(columns) => columns.run(packed, streams, scratch),
            Convolution::ColumnsBackward(columns) => columns.run(packed, streams, scratch),
            Convolution::PatchesBackward(patches) => patches.run(packed, streams, scratch),
            Convolution::AcrossBackward(across) => across.run(packed, streams, scratch),
            Convolution::Winograd(gather) => gather.run(packed, streams, scratch),
        }
    }
}

/// The gradient of a convolution with respect to its weights.
#[derive(Debug)]
pub(crate) enum WeightGradient {
    Plain(Correlate),
    Columns(ColumnsCorrelate),
    Winograd(Box<WinogradCorrelate>),
}

impl WeightGradient {
    /// For one correlation, or for two at once (`streams` = 2) that an interval convolution combines; `fast` allows another
    /// rounding. `layouts` are those of x, in planes where it is an image, and of grad_y.
    pub(crate) fn new(g: &Geometry, streams: usize, fast: bool, layouts: [Layout; 2]) -> WeightGradient {
        WeightGradient::new_at(g, streams, fast, layouts, level())
    }

    /// [`WeightGradient::new`] on one instruction set.
    pub(super) fn new_at(
        g: &Geometry,
        streams: usize,
        fast: bool,
        layouts: [Layout; 2],
        level: Level,
    ) -> WeightGradient {
        if columns::suits(g) {
            WeightGradient::Columns(ColumnsCorrelate::new(g, streams, layouts[1], level))
        } else if fast && winograd::pays_for_weights(g, level) {
            WeightGradient::Winograd(Box::new(WinogradCorrelate::new(g, streams, layouts, level)))
        } else {
            WeightGradient::Plain(Correlate::new(g, streams, layouts, level))
        }
    }

    /// Sizes of the two scratch buffers.
    pub(crate) fn scratch(&self) -> Vec<usize> {
        match self {
            WeightGradient::Plain(correlate) => correlate.scratch(),
            WeightGradient::Columns(correlate) => correlate.scratch(),
            WeightGradient::Winograd(correlate) => correlate.scratch(),
        }
    }

    /// Words of scratch for the gradient of a bias.
    pub(crate) fn bias_scratch(&self) -> usize {
        scratch_words(match self {
            WeightGradient::Plain(correlate) => correlate.bias_words(),
            WeightGradient::Columns(correlate) => correlate.bias_words(),
            WeightGradient::Winograd(correlate) => correlate.bias_words(),
        })
    }

    /// dw from pairs (x, grad_y): the first pair's correlation, plus sign(w) times the second's if there are two. The bias's gradient is
    /// that of the first pair.
    pub(crate) fn run(
        &self,
        pairs: &[(&[f32], &[f32])],
        sign_of: Option<&[f32]>,
        dw: &mut [f32],
        bias: Option<BiasGradient<'_>>,
        scratch: [&mut [f32]; 2],
    ) {
        match self {
            WeightGradient::Plain(correlate) => correlate.run(pairs, sign_of, dw, bias, scratch),
            WeightGradient::Columns(correlate) => correlate.run(pairs, sign_of, dw, bias, scratch),
            WeightGradient::Winograd(correlate) => correlate.run(pairs, sign_of, dw, bias, scratch),
        }
    }
}
