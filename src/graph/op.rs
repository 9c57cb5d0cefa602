//! What an operation has to say about itself: its shapes, its gradient, its cost, and its work on either device.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Graph, Value};
use crate::error::{Error, Result};
use crate::kernel::{GpuCall, GpuLimits, Layout, Layouts, NativeCall};
use crate::shape::TensorType;

/// Types of an op's operands at one node.
#[derive(Clone, Debug)]
pub struct Signature {
    /// In order.
    pub inputs: Vec<TensorType>,
    /// In order.
    pub outputs: Vec<TensorType>,
}

/// Arithmetic and memory traffic of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations, a multiply-add counted as two.
    pub flops: u64,
    /// Bytes read and written if every operand crosses memory once.
    pub bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// A node as its gradient rule sees it.
pub struct Backward<'a> {
    /// Inputs of the node.
    pub inputs: &'a [Value],
    /// Outputs of the node.
    pub outputs: &'a [Value],
    /// Gradient with respect to each output; `None` where nothing flows back.
    pub grads: &'a [Option<Value>],
    /// Which inputs a gradient is asked for.
    pub needs: &'a [bool],
}

/// An operation over dense tensors.
///
/// A new op touches its own folder, its shaders, one line in `ops/mod.rs` and its tests: graph and devices meet it only
/// through this trait.
pub trait Op: Debug + Send + Sync + Any {
    /// Name, as in the docs and in the plan.
    fn name(&self) -> &'static str;

    /// The shape rule: types of the outputs for these inputs, or what does not fit.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>>;

    /// The gradient rule: one entry per input, `None` where no gradient flows or none is needed.
    /// Written in terms of other ops, so that gradients can be differentiated again.
    fn gradient(&self, graph: &mut Graph, at: &Backward<'_>) -> Result<Vec<Option<Value>>> {
        let _ = graph;
        match at.needs.iter().position(|&needed| needed) {
            Some(input) => Err(Error::NoGradient { op: self.name(), input }),
            None => Ok(vec![None; at.inputs.len()]),
        }
    }

    /// Pairs (output, input) that share their buffer: the op updates that input, which must be a state, in place.
    fn in_place(&self) -> &[(usize, usize)] {
        &[]
    }

    /// How this op takes part in a pass that several share, where it treats every element by itself (or reduces them).
    fn elementwise(&self, signature: &Signature) -> Option<Elementwise> {
        let _ = signature;
        None
    }

    /// Arithmetic and traffic. By default one operation per output element.
    fn cost(&self, signature: &Signature) -> Cost {
        Cost { flops: signature.outputs.iter().map(|t| t.elements() as u64).sum(), bytes: traffic(signature) }
    }

    /// The words of the op's only output where all of its inputs are constants of these words: for ops whose result every device would
    /// compute to the bit.
    fn constant(&self, inputs: &[&[u32]], output: &TensorType) -> Option<Vec<u32>> {
        let _ = (inputs, output);
        None
    }

    /// An op that does this op's work and then `consumer`'s, whose first inputs are this op's outputs and which makes as many.
    /// The new op's inputs are this op's, followed by the consumer's others.
    fn fuse(&self, consumer: &dyn Op) -> Option<Arc<dyn Op>> {
        let _ = consumer;
        None
    }

    /// An op that does the same faster, with sums rounded differently, where there is one; for [`Graph::fast`].
    fn fast(&self) -> Option<Arc<dyn Op>> {
        None
    }

    /// The dispatches that do the work on an adapter with these limits.
    fn gpu(&self, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall>;

    /// The native call that does the work, all operands in planes.
    fn cpu(&self, signature: &Signature) -> Result<NativeCall>;

    /// Which operands the native call can have in blocks of channels. An op with an [`Elementwise`] need not say it: it becomes a pass of its
    /// own where others gain by blocks.
    fn layouts(&self, signature: &Signature) -> Layouts {
        Layouts::planes(signature.inputs.len() + signature.outputs.len())
    }

    /// The native call with its operands, inputs before outputs, in layouts that [`Op::layouts`] allows.
    fn cpu_in(&self, signature: &Signature, layouts: &[Layout]) -> Result<NativeCall> {
        assert!(layouts.iter().all(|&layout| layout == Layout::Planes), "{} takes planes only", self.name());
        self.cpu(signature)
    }
}

/// What the graph needs to know of an op that treats every element by itself, so that several such ops do their work in one pass over
/// memory.
#[derive(Clone, Debug)]
pub struct Elementwise {
    /// Elements that the pass goes over.
    pub elements: usize,
    /// Which inputs are read one to one with the elements; the others are spread over them.
    pub one_to_one: Vec<bool>,
    /// The view `[outer, keep, inner]` of the elements that a reduction's output is reduced by. All other ops write their outputs one to
    /// one.
    pub reduces: Option<[usize; 3]>,
    /// Whether doing the work again costs less than writing and reading its result.
    pub light: bool,
    /// Makes the op that does the work of all `parts`; its inputs are of the given types.
    pub join: fn(parts: Vec<Part>, inputs: Vec<TensorType>) -> Arc<dyn Op>,
}

impl Elementwise {
    /// The pass that does the work of the op alone that this describes.
    pub fn alone(&self, op: Arc<dyn Op>, signature: &Signature) -> Arc<dyn Op> {
        let inputs = (0..signature.inputs.len()).map(Link::Input).collect();
        let outputs = (0..signature.outputs.len()).map(Some).collect();
        (self.join)(vec![Part { op, signature: signature.clone(), inputs, outputs }], signature.inputs.clone())
    }
}

/// One of the ops that another does the work of, in an order in which each finds its operands.
#[derive(Clone, Debug)]
pub struct Part {
    /// The op.
    pub op: Arc<dyn Op>,
    /// Types of its operands.
    pub signature: Signature,
    /// Where each of its inputs comes from.
    pub inputs: Vec<Link>,
    /// Which output of the whole each of its outputs is, if anyone else reads it.
    pub outputs: Vec<Option<usize>>,
}

/// Where an input of a [`Part`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An input of the whole.
    Input(usize),
    /// An output of an earlier part.
    Part {
        /// Which part.
        part: usize,
        /// Which output of it.
        output: usize,
    },
}

/// Bytes that cross memory when every operand is read or written once.
pub(crate) fn traffic(signature: &Signature) -> u64 {
    signature.inputs.iter().chain(&signature.outputs).map(|t| t.bytes() as u64).sum()
}
