//! Networks as verifiers see them: affine maps, ReLUs and sums over the real numbers.
//!
//! Nodes are in an order in which they can be computed; node 0 is the input, the last one the output. A value is a vector of
//! reals with the extents of an image `[C,H,W]` or a vector `[F]`, row-major; flattening changes nothing and is no node.
//! Batch norms are taken into the maps before them, and whatever scales the input is kept apart as [`Entry`], so that bounds meet
//! nothing but convolutions, matrices, ReLUs and sums.

mod diagonal;
mod evaluate;
mod forward;
pub mod hash;
mod model;
mod onnx;
mod rounded;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ops::Conv2dSpec;
use crate::shape::Shape;

/// A piecewise linear network.
#[derive(Clone, Debug)]
pub struct ReluNetwork {
    /// Extents of what a user feeds: pixels, as the file has them.
    input: Shape,
    entry: Option<Entry>,
    nodes: Vec<Node>,
}

/// What stands before the first map, element by element: x ↦ scale · x + shift (a normalisation of pixels). Increasing or
/// decreasing per element, it maps boxes to boxes exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// One factor for each input.
    pub scale: Vec<f64>,
    /// Bound of |real factor − factor| / |factor|.
    pub scale_error: f64,
    /// One summand for each input.
    pub shift: Vec<f64>,
    /// Bound of |real summand − summand|, for each input.
    pub shift_error: Vec<f64>,
}

/// One value and how it is made.
#[derive(Clone, Debug)]
pub struct Node {
    /// What makes it.
    pub operation: Operation,
    /// Indices of the nodes that it is made of, all smaller than its own.
    pub inputs: Vec<usize>,
    /// Extents.
    pub shape: Shape,
}

/// How a node's value is made of others.
#[derive(Clone, Debug)]
pub enum Operation {
    /// The network's input, behind the [`Entry`] if there is one.
    Input,
    /// Convolution of an image `[C,H,W]` by a weight `[O,C,KH,KW]` → `[O,OH,OW]`, as `ops::conv2d` defines it.
    Conv2d(Arc<Weights>, Conv2dSpec),
    /// Product of a weight `[G,F]` and a value of F elements, whatever its extents → `[G]`.
    Linear(Arc<Weights>),
    /// max(x, 0).
    Relu,
    /// Sum of two values of equal extents.
    Add,
}

/// Weight and bias of a map, in f64, with bounds of what separates them from the real ones: 0 where the network's file holds
/// these very numbers, a few ulps where a batch norm was taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Extents of the weight: `[O,C,KH,KW]` or `[G,F]`.
    pub shape: Shape,
    /// Elements.
    pub weight: Vec<f64>,
    /// Bound of |real − weight| / |weight| for all elements.
    pub weight_error: f64,
    /// One summand for each output channel or feature.
    pub bias: Vec<f64>,
    /// Bound of |real − bias|, for each.
    pub bias_error: Vec<f64>,
}

impl Weights {
    /// Weights that are the numbers of the file.
    pub fn exact(shape: impl Into<Shape>, weight: &[f32], bias: &[f32]) -> Weights {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let bias_error = vec![0.0; bias.len()];
        Weights { shape: shape.into(), weight: wide(weight), weight_error: 0.0, bias: wide(bias), bias_error }
    }
}

impl ReluNetwork {
    /// A network without nodes but its input.
    ///
    /// # Errors
    /// [`Error::Config`] for an input without elements or an entry of another size, or one that is not finite.
    pub fn new(input: impl Into<Shape>, entry: Option<Entry>) -> Result<ReluNetwork> {
        let input = input.into();
        let n = input.elements();
        if n == 0 {
            return Err(Error::Config(format!("a network with an input of extents {input}: expected some elements")));
        }
        if let Some(entry) = &entry {
            let vectors = [&entry.scale, &entry.shift, &entry.shift_error];
            if vectors.iter().any(|v| v.len() != n || v.iter().any(|x| !x.is_finite()))
                || !entry.scale_error.is_finite()
            {
                return Err(Error::Config(format!("scaling of the input: expected {n} finite factors and summands")));
            }
        }
        let first = Node { operation: Operation::Input, inputs: Vec::new(), shape: input.clone() };
        Ok(ReluNetwork { input, entry, nodes: vec![first] })
    }

    /// Adds a node made of `inputs`; returns its index. The last node added is the output.
    ///
    /// # Errors
    /// [`Error::Config`] naming the node whose operands do not fit.
    pub fn push(&mut self, operation: Operation, inputs: &[usize]) -> Result<usize> {
        let index = self.nodes.len();
        let shape = self.shape_of(&operation, inputs).map_err(|e| Error::Config(format!("node {index}: {e}")))?;
        self.nodes.push(Node { operation, inputs: inputs.to_vec(), shape });
        Ok(index)
    }

    fn shape_of(&self, operation: &Operation, inputs: &[usize]) -> Result<Shape> {
        let wanted = match operation {
            Operation::Input => return Err(Error::Config("a second input".into())),
            Operation::Add => 2,
            _ => 1,
        };
        if inputs.len() != wanted || inputs.iter().any(|&i| i >= self.nodes.len()) {
            return Err(Error::Config(format!("expected {wanted} earlier nodes as operands, got {inputs:?}")));
        }
        let x = &self.nodes[inputs[0]].shape;
        match operation {
            Operation::Input => unreachable!("refused above"),
            Operation::Relu => Ok(x.clone()),
            Operation::Add => {
                let y = &self.nodes[inputs[1]].shape;
                if x != y {
                    return Err(Error::Config(format!("a sum of extents {x} and {y}: expected equal ones")));
                }
                Ok(x.clone())
            }
            Operation::Linear(weights) => {
                let features = x.elements();
                if weights.shape.rank() != 2 || weights.shape[1] != features {
                    let got = &weights.shape;
                    return Err(Error::Config(format!("a weight of extents {got}: expected [G,{features}]")));
                }
                checked(weights, weights.shape[0])?;
                Ok([weights.shape[0]].into())
            }
            Operation::Conv2d(weights, spec) => {
                if x.rank() != 3 {
                    return Err(Error::Config(format!("a convolution of extents {x}: expected [C,H,W]")));
                }
                let geometry = crate::ops::conv2d_shape(x, &weights.shape, *spec)?;
                checked(weights, weights.shape[0])?;
                Ok(geometry)
            }
        }
    }

    /// Extents of what a user feeds.
    pub fn input(&self) -> &Shape {
        &self.input
    }

    /// What stands before the first map.
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Index of the output.
    pub fn output(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.nodes[self.output()].shape.elements()
    }

    /// Indices of the ReLU nodes, in order. "ReLU layer k" means the k-th of them wherever layers are numbered.
    pub fn relus(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| matches!(self.nodes[n].operation, Operation::Relu)).collect()
    }
}

/// Refuses weights whose vectors do not fit each other or hold what is no number.
fn checked(weights: &Weights, outputs: usize) -> Result<()> {
    let elements = weights.shape.elements();
    if weights.weight.len() != elements || weights.bias.len() != outputs || weights.bias_error.len() != outputs {
        let (w, b) = (weights.weight.len(), weights.bias.len());
        return Err(Error::Config(format!("{w} weights and {b} biases: expected {elements} and {outputs}")));
    }
    let all = weights.weight.iter().chain(&weights.bias).chain(&weights.bias_error).chain([&weights.weight_error]);
    match all.copied().find(|v| !v.is_finite()) {
        Some(value) => Err(Error::Config(format!("a weight is {value}: expected finite numbers"))),
        None => Ok(()),
    }
}
