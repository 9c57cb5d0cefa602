//! A network in the layout of the passes: images pixel by pixel, weights in blocks of input channels.

use crate::certify::network::{Operation, ReluNetwork, Weights};
use crate::error::{Error, Result};
use crate::ops::Conv2dSpec;
use crate::shape::Shape;

/// Most elements that a network may have in all its nodes together, and most terms of one sum: the error terms of
/// [`super::rounding`] rest on it.
pub(super) const MOST: usize = 1 << 28;

/// A network made ready for proofs. Make it once, use it for all boxes.
#[derive(Debug)]
pub struct Prover {
    pub(super) nodes: Vec<Node>,
    /// Node of each ReLU layer.
    pub(super) relus: Vec<usize>,
    pub(super) entry: Option<crate::certify::network::Entry>,
    /// γ for a sum over all elements of all nodes.
    pub(super) gamma_all: f64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) inputs: Vec<usize>,
    /// Channels; the features of a vector.
    pub(super) channels: usize,
    /// Height and width; 1 and 1 of a vector.
    pub(super) extent: [usize; 2],
}

#[derive(Debug)]
pub(super) enum Step {
    Input,
    Affine(Box<Affine>),
    /// The k-th ReLU layer.
    Relu(usize),
    Add,
}

/// A convolution; a matrix is one of a kernel of 1×1 on an image of 1×1 with all elements as channels.
#[derive(Debug)]
pub(super) struct Affine {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) kernel: [usize; 2],
    pub(super) spec: Conv2dSpec,
    pub(super) from: [usize; 2],
    pub(super) to: [usize; 2],
    /// Input channels of one block: 1, 2, 4 or 8.
    pub(super) block: usize,
    /// `[KH·KW, blocks, O, block]`, zero past the last channel.
    pub(super) weight: Vec<f64>,
    pub(super) weight_error: f64,
    pub(super) bias: Vec<f64>,
    pub(super) bias_error: Vec<f64>,
}

impl Affine {
    pub(super) fn blocks(&self) -> usize {
        self.inputs.div_ceil(self.block)
    }

    /// `order[i]` is the place of the i-th stored input channel among the weight's.
    fn new(weights: &Weights, kernel: [usize; 2], spec: Conv2dSpec, ends: [[usize; 2]; 2], order: &[usize]) -> Affine {
        let (outputs, inputs) = (weights.bias.len(), order.len());
        let block = [1, 2, 4, 8].into_iter().find(|&b| b >= inputs.min(8)).expect("8 is in the list");
        let (blocks, taps) = (inputs.div_ceil(block), kernel[0] * kernel[1]);
        let mut weight = vec![0.0; taps * blocks * outputs * block];
        for o in 0..outputs {
            let row = &weights.weight[o * inputs * taps..][..inputs * taps];
            for (i, &place) in order.iter().enumerate() {
                for tap in 0..taps {
                    weight[((tap * blocks + i / block) * outputs + o) * block + i % block] = row[place * taps + tap];
                }
            }
        }
        let [from, to] = ends;
        let (bias, bias_error) = (weights.bias.clone(), weights.bias_error.clone());
        let weight_error = weights.weight_error;
        Affine { outputs, inputs, kernel, spec, from, to, block, weight, weight_error, bias, bias_error }
    }
}

fn image(shape: &Shape) -> Result<(usize, [usize; 2])> {
    match *shape.dims() {
        [channels, height, width] => Ok((channels, [height, width])),
        [features] => Ok((features, [1, 1])),
        _ => Err(Error::Config(format!("a value of extents {shape}: expected [C,H,W] or [F]"))),
    }
}

impl Node {
    pub(super) fn elements(&self) -> usize {
        self.channels * self.extent[0] * self.extent[1]
    }

    pub(super) fn is_affine(&self) -> bool {
        matches!(self.step, Step::Affine(_))
    }

    /// Where the neuron that is `neuron`-th in row-major order `[C,H,W]` is stored, `[H,W,C]`.
    pub(super) fn element(&self, neuron: usize) -> usize {
        let pixels = self.extent[0] * self.extent[1];
        (neuron % pixels) * self.channels + neuron / pixels
    }

    /// `[C,H,W]` → `[H,W,C]`.
    pub(super) fn stored(&self, values: &[f64]) -> Vec<f64> {
        let mut stored = vec![0.0; values.len()];
        values.iter().enumerate().for_each(|(neuron, &v)| stored[self.element(neuron)] = v);
        stored
    }

    /// `[H,W,C]` → `[C,H,W]`.
    pub(super) fn row_major(&self, stored: &[f64]) -> Vec<f64> {
        (0..stored.len()).map(|neuron| stored[self.element(neuron)]).collect()
    }
}

impl Prover {
    /// Lays out `network`.
    ///
    /// # Errors
    /// [`Error::Config`] for a network of 2²⁸ elements or more, or with a negative bound of an error.
    pub fn new(network: &ReluNetwork) -> Result<Prover> {
        let mut nodes: Vec<Node> = Vec::new();
        let (mut relus, mut total) = (Vec::new(), 0usize);
        for (index, node) in network.nodes().iter().enumerate() {
            let (channels, extent) = image(&node.shape)?;
            let step = match &node.operation {
                Operation::Input => Step::Input,
                Operation::Add => Step::Add,
                Operation::Relu => {
                    relus.push(index);
                    Step::Relu(relus.len() - 1)
                }
                Operation::Conv2d(weights, spec) => {
                    not_negative(index, weights)?;
                    let below = &nodes[node.inputs[0]];
                    let kernel = [weights.shape[2], weights.shape[3]];
                    let order: Vec<usize> = (0..below.channels).collect();
                    Step::Affine(Box::new(Affine::new(weights, kernel, *spec, [below.extent, extent], &order)))
                }
                Operation::Linear(weights) => {
                    not_negative(index, weights)?;
                    let below = &nodes[node.inputs[0]];
                    let mut order = vec![0; below.elements()];
                    (0..order.len()).for_each(|neuron| order[below.element(neuron)] = neuron);
                    let spec = Conv2dSpec::square(1, 0);
                    Step::Affine(Box::new(Affine::new(weights, [1, 1], spec, [[1, 1]; 2], &order)))
                }
            };
            if let Step::Affine(affine) = &step {
                let taps = affine.kernel[0] * affine.kernel[1];
                total = total.max(taps.saturating_mul(affine.inputs.max(affine.outputs)));
            }
            let node = Node { step, inputs: node.inputs.clone(), channels, extent };
            total = total.saturating_add(node.elements());
            nodes.push(node);
        }
        if total >= MOST {
            return Err(Error::Config(format!("a network of {total} elements: expected fewer than {MOST}")));
        }
        let entry = network.entry().cloned();
        if let Some(entry) = &entry
            && (entry.scale_error < 0.0 || entry.shift_error.iter().any(|&e| e < 0.0))
        {
            return Err(Error::Config("scaling of the input: a negative bound of an error".into()));
        }
        Ok(Prover { nodes, relus, entry, gamma_all: super::rounding::gamma(total) })
    }

    /// Number of ReLU layers.
    pub fn layers(&self) -> usize {
        self.relus.len()
    }

    /// Neurons of ReLU layer `layer`.
    pub fn neurons(&self, layer: usize) -> usize {
        self.nodes[self.relus[layer]].elements()
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.nodes[0].elements()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.last().elements()
    }

    pub(super) fn last(&self) -> &Node {
        self.nodes.last().expect("a network has its input")
    }

    /// Node that ReLU layer `layer` is the ReLU of.
    pub(super) fn before(&self, layer: usize) -> usize {
        self.nodes[self.relus[layer]].inputs[0]
    }
}

fn not_negative(index: usize, weights: &Weights) -> Result<()> {
    if weights.weight_error < 0.0 || weights.bias_error.iter().any(|&e| e < 0.0) {
        return Err(Error::Config(format!("node {index}: a negative bound of an error")));
    }
    Ok(())
}
