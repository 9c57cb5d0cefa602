//! Values that depend on the input, and the network under construction.

use std::rc::Rc;

use super::constant::Constant;
use super::wrong;
use crate::certify::network::diagonal::{Diagonal, LARGEST};
use crate::certify::network::rounded::Rounded;
use crate::certify::network::{Operation, ReluNetwork, Weights};
use crate::error::Result;
use crate::shape::Shape;

/// Elements that a value can have at most.
const MOST_ELEMENTS: usize = 1 << 24;

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Symbol {
    Constant(Rc<Constant>),
    Value(Value),
}

/// A value that depends on the input.
#[derive(Clone)]
pub(super) struct Value {
    /// Extents in the file, batch axis and padding included.
    pub(super) dims: Vec<usize>,
    /// For each element, in the file's order, its place in the base's; `None` where they are the same.
    pub(super) order: Option<Rc<Vec<usize>>>,
    /// Zeros around an image that the next convolution has to add: before and behind along H, before and behind along W.
    pub(super) padding: [usize; 4],
    pub(super) base: Base,
}

/// What a value is made of.
#[derive(Clone)]
pub(super) enum Base {
    /// The input, or a map of each of its elements.
    Input(Option<Diagonal>),
    /// A map with weights of a node, not yet one itself: further maps can be taken in.
    Open { operation: Operation, on: usize },
    /// A node.
    Node(usize),
}

/// Number of elements of a value, within what is sensible.
pub(super) fn checked(dims: &[usize]) -> Result<usize> {
    let elements = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    match elements {
        Some(n) if n > 0 && n <= MOST_ELEMENTS => Ok(n),
        _ => wrong(format!("extents {dims:?}: expected 1 to {MOST_ELEMENTS} elements")),
    }
}

/// Weights of a map from numbers with their own bounds.
pub(super) fn weights(shape: Shape, numbers: impl Iterator<Item = Rounded>, bias: Vec<Rounded>) -> Weights {
    let mut made = Weights {
        weight: Vec::with_capacity(shape.elements()),
        shape,
        weight_error: 0.0,
        bias: bias.iter().map(|b| b.value).collect(),
        bias_error: bias.iter().map(|b| b.error).collect(),
    };
    for number in numbers {
        let relative = number.relative();
        // NaN stays visible, which f64::max would drop.
        if relative.is_nan() || relative > made.weight_error {
            made.weight_error = relative;
        }
        made.weight.push(number.value);
    }
    made
}

/// Refuses a weight that would take more than half a gigabyte.
pub(super) fn checked_weight(dims: &[usize]) -> Result<()> {
    let elements = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    match elements {
        Some(n) if n > 0 && n <= LARGEST => Ok(()),
        _ => wrong(format!("it needs a weight of extents {dims:?}: expected 1 to {LARGEST} elements")),
    }
}

impl Value {
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Refuses what only a convolution can take.
    pub(super) fn without_padding(&self) -> Result<()> {
        if self.padding == [0; 4] {
            return Ok(());
        }
        wrong("a padded operand: expected a Conv or an AveragePool behind a Pad")
    }

    /// Place in the base of element `index` of the file.
    pub(super) fn place(&self, index: usize) -> usize {
        self.order.as_ref().map_or(index, |order| order[index])
    }

    /// Channel, height and width of a batch of one image, without padding.
    pub(super) fn image(&self) -> Result<[usize; 3]> {
        let [1, c, h, w] = self.dims[..] else {
            return wrong(format!("an operand of extents {:?}: expected one image [1,C,H,W]", self.dims));
        };
        let [top, bottom, left, right] = self.padding;
        Ok([c, h - top - bottom, w - left - right])
    }
}

/// The network under construction.
pub(super) struct Builder {
    /// Extents of the input in the file.
    input: Vec<usize>,
    /// Made when the first node takes the input.
    network: Option<ReluNetwork>,
}

impl Builder {
    pub(super) fn new(input: Vec<usize>) -> Builder {
        Builder { input, network: None }
    }

    /// Closes the map of a value that several nodes take: each has to see the same one.
    pub(super) fn share(&mut self, symbol: Option<&mut Symbol>, uses: Option<&usize>) -> Result<()> {
        if let (Some(Symbol::Value(value)), Some(2..)) = (symbol, uses) {
            self.node(value)?;
        }
        Ok(())
    }

    /// The node of a value, whose map is closed.
    pub(super) fn node(&mut self, value: &mut Value) -> Result<usize> {
        let node = match &mut value.base {
            Base::Node(node) => return Ok(*node),
            Base::Open { operation, on } => self.network_mut().push(operation.clone(), &[*on])?,
            Base::Input(diagonal) => {
                let entry = diagonal.as_ref().map(Diagonal::entry);
                // An image where the file has one at its first use; the batch axis is none of a sample's.
                let sample = match &value.dims[..] {
                    [1, image @ ..] if image.len() == 3 && value.padding == [0; 4] && value.order.is_none() => image,
                    _ => match &self.input[..] {
                        [1, sample @ ..] if !sample.is_empty() => sample,
                        all => all,
                    },
                };
                // Neither an image nor a vector: its elements in a row.
                let row = [sample.iter().product()];
                let sample = if matches!(sample.len(), 1 | 3) { sample } else { &row };
                self.network = Some(ReluNetwork::new(sample, entry)?);
                0
            }
        };
        value.base = Base::Node(node);
        Ok(node)
    }

    fn network_mut(&mut self) -> &mut ReluNetwork {
        self.network.as_mut().expect("every node comes from the input")
    }

    /// Extents of a node.
    pub(super) fn shape(&self, node: usize) -> &Shape {
        &self.network.as_ref().expect("every node comes from the input").nodes()[node].shape
    }

    pub(super) fn relu(&mut self, mut value: Value) -> Result<Value> {
        let node = self.node(&mut value)?;
        let relu = self.network_mut().push(Operation::Relu, &[node])?;
        Ok(Value { base: Base::Node(relu), ..value })
    }

    /// Sum of two values of as many elements, in the extents `dims`.
    pub(super) fn add(&mut self, mut a: Value, mut b: Value, dims: Vec<usize>) -> Result<Value> {
        let nodes = [self.node(&mut a)?, self.node(&mut b)?];
        let elements: usize = dims.iter().product();
        if a.elements() != elements || b.elements() != elements {
            return wrong(format!("a sum of extents {:?} and {:?}: expected as many elements", a.dims, b.dims));
        }
        if !(0..elements).all(|i| a.place(i) == b.place(i)) {
            return wrong("a sum of a transposed and another value: expected both in one order");
        }
        let node = self.network_mut().push(Operation::Add, &nodes)?;
        Ok(Value { dims, base: Base::Node(node), ..a })
    }

    /// scale · x + shift, one of each for each element in the file's order, for the value in the extents `dims`.
    pub(super) fn diagonal(&mut self, mut value: Value, map: Diagonal, dims: Vec<usize>) -> Result<Value> {
        let mut placed = map.clone();
        if value.order.is_some() {
            for i in 0..map.scale.len() {
                (placed.scale[value.place(i)], placed.shift[value.place(i)]) = (map.scale[i], map.shift[i]);
            }
        }
        if let Base::Input(before) = &value.base {
            let all = before.as_ref().map_or_else(|| placed.clone(), |before| placed.after(before));
            return Ok(Value { dims, base: Base::Input(Some(all)), ..value });
        }
        if let Base::Open { operation, on } = &value.base {
            let folded = match operation {
                Operation::Linear(weights) => Some(Operation::Linear(placed.fold(weights).into())),
                Operation::Conv2d(weights, spec) => {
                    let channels = placed.per_channel(weights.shape[0]);
                    channels.map(|map| Operation::Conv2d(map.fold(weights).into(), *spec))
                }
                _ => None,
            };
            if let Some(operation) = folded {
                return Ok(Value { dims, base: Base::Open { operation, on: *on }, ..value });
            }
        }
        let on = self.node(&mut value)?;
        let shape = self.shape(on).clone();
        let channels = if shape.rank() == 3 { placed.per_channel(shape[0]) } else { None };
        let operation = channels.unwrap_or(placed).operation(&shape)?;
        Ok(Value { dims, base: Base::Open { operation, on }, ..value })
    }

    /// The whole network with `value` as its output, in the file's order.
    pub(super) fn finish(mut self, mut value: Value) -> Result<ReluNetwork> {
        value.without_padding()?;
        let on = self.node(&mut value)?;
        let n = value.elements();
        if let Some(order) = &value.order {
            checked_weight(&[n, n])?;
            let at = |i: usize| Rounded::exact(if order[i / n] == i % n { 1.0 } else { 0.0 });
            let weights = weights([n, n].into(), (0..n * n).map(at), vec![Rounded::exact(0.0); n]);
            self.network_mut().push(Operation::Linear(weights.into()), &[on])?;
        }
        let network = self.network.expect("every node comes from the input");
        // An output that is not the last node would be another one's input.
        if network.output() != on && value.order.is_none() {
            return wrong("the output is made before other nodes that it does not depend on");
        }
        Ok(network)
    }
}

impl Diagonal {
    /// The map with one scale and shift for each of `channels` equal parts, if it is the same within each.
    fn per_channel(&self, channels: usize) -> Option<Diagonal> {
        let plane = self.scale.len() / channels;
        let uniform = |all: &[Rounded]| all.chunks(plane).all(|part| part.iter().all(|v| *v == part[0]));
        let firsts = |all: &[Rounded]| all.iter().step_by(plane).copied().collect();
        (uniform(&self.scale) && uniform(&self.shift))
            .then(|| Diagonal { scale: firsts(&self.scale), shift: firsts(&self.shift) })
    }
}
