//! Networks: a list of layers with named parameters, run on points or on boxes.

mod architectures;
mod init;
mod layer;

pub use architectures::{ARCHITECTURES, architecture};
pub use init::{initial_parameters, shi_deviation};
pub use layer::Layer;

use crate::error::{Error, Result};
use crate::graph::{Graph, Value};
use crate::interval::Interval;
use crate::ops;
use crate::shape::{Shape, TensorType};

/// One parameter tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in PyTorch's state dict: index in the `nn.Sequential` without the normalisation layer, then `weight` or `bias`.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Inputs of one output, which decides the initial spread.
    pub fan_in: usize,
    /// Belongs to the last linear layer.
    pub last: bool,
    /// A weight, not a bias.
    pub weight: bool,
}

/// A feed-forward classifier: images `[N,C,H,W]` in `[0,1]` → logits `[N,K]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name of the architecture.
    pub name: String,
    /// C, H, W.
    pub input: [usize; 3],
    /// K.
    pub classes: usize,
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
}

impl Network {
    /// Checks that the layers fit together, from an input `[C,H,W]` to a last linear layer with `classes` outputs.
    pub fn new(name: &str, input: [usize; 3], classes: usize, layers: Vec<Layer>) -> Result<Network> {
        if !matches!(layers.last(), Some(Layer::Linear { outputs }) if *outputs == classes) {
            return Err(Error::Config(format!("{name}: the last layer must be linear with {classes} outputs")));
        }
        let mut parameters = Vec::new();
        let mut shape: Shape = input.into();
        let mut index = 0;
        for (position, layer) in layers.iter().enumerate() {
            let fits = layer.map_shape(&shape);
            let wrong = |e: Error| Error::Config(format!("{name}, layer {position} ({layer:?}): {e}"));
            let (output, weight) = fits.map_err(wrong)?;
            if let Some(weight) = weight {
                let (fan_in, last) = (weight.inner(), position + 1 == layers.len());
                let bias: Shape = [weight[0]].into();
                for (kind, shape) in [("weight", weight), ("bias", bias)] {
                    let name = format!("{index}.{kind}");
                    parameters.push(Parameter { name, shape, fan_in, last, weight: kind == "weight" });
                }
            }
            if !matches!(layer, Layer::Normalize { .. }) {
                index += 1;
            }
            shape = output;
        }
        Ok(Network { name: name.into(), input, classes, layers, parameters })
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The parameters in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Number of trainable scalars.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.shape.elements()).sum()
    }

    /// Number of ReLU layers.
    pub fn relu_layers(&self) -> usize {
        self.layers.iter().filter(|l| matches!(l, Layer::Relu)).count()
    }

    /// Shape of a batch of `n` images.
    pub fn batch_shape(&self, n: usize) -> Shape {
        let [c, h, w] = self.input;
        [n, c, h, w].into()
    }

    /// The network in a graph: its parameters as states.
    pub fn bind(&self, graph: &mut Graph) -> Result<Bound<'_>> {
        let state = |p: &Parameter| graph.state(&state_name(&p.name), TensorType::f32(p.shape.clone()));
        let values = self.parameters.iter().map(state).collect::<Result<Vec<Value>>>()?;
        Ok(Bound { network: self, values })
    }
}

/// Name of the state that holds a parameter.
pub fn state_name(parameter: &str) -> String {
    format!("parameters/{parameter}")
}

/// A network whose parameters are values of a graph.
#[derive(Clone, Debug)]
pub struct Bound<'a> {
    network: &'a Network,
    values: Vec<Value>,
}

/// A box after all layers but the last, with the boxes that went into the ReLUs.
#[derive(Clone, Debug)]
pub struct Propagated {
    /// Box before the last linear layer, `[N,F]`.
    pub before_last: Interval,
    /// The input box after normalisation, as it enters the first layer with weights.
    pub normalized: Interval,
    /// Boxes before each ReLU, in order.
    pub before_relu: Vec<Interval>,
}

impl<'a> Bound<'a> {
    /// The network over parameters that are any values of the right shapes, in the order of [`Network::parameters`].
    pub fn with_values(network: &'a Network, values: Vec<Value>) -> Bound<'a> {
        Bound { network, values }
    }

    /// Parameter values, in the order of [`Network::parameters`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Logits `[N,K]` of images x `[N,C,H,W]`.
    pub fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let mut h = x;
        let mut parameters = self.values.chunks(2);
        for layer in &self.network.layers {
            h = layer.forward(graph, h, &mut parameters)?;
        }
        Ok(h)
    }

    /// The box after all layers but the last.
    pub fn propagate(&self, graph: &mut Graph, input: Interval) -> Result<Propagated> {
        let mut h = input;
        let mut normalized = input;
        let mut before_relu = Vec::new();
        let mut parameters = self.values.chunks(2);
        let layers = &self.network.layers;
        for layer in &layers[..layers.len() - 1] {
            if matches!(layer, Layer::Relu) {
                before_relu.push(h);
            }
            h = layer.propagate(graph, h, &mut parameters)?;
            if matches!(layer, Layer::Normalize { .. }) {
                normalized = h;
            }
        }
        Ok(Propagated { before_last: h, normalized, before_relu })
    }

    /// Worst-case logits relative to the label (see [`Interval::margin_logits`]) of a propagated box.
    pub fn margin_logits(&self, graph: &mut Graph, before_last: Interval, labels: Value) -> Result<Value> {
        let [w, b] = self.values[self.values.len() - 2..] else { unreachable!("the last layer has weight and bias") };
        before_last.margin_logits(graph, w, b, labels)
    }

    /// 1 for each sample whose margins over the box are all positive, else 0 → `[N]`.
    pub fn certified(&self, graph: &mut Graph, margin_logits: Value) -> Result<Value> {
        // The label's entry is 0; with it taken out, all others must be strictly negative: their number of
        // non-negative entries is 1 (the label's own).
        let shape = graph.shape(margin_logits).clone();
        let zero = ops::fill(graph, 0.0, [1])?;
        let negative = ops::greater(graph, zero, margin_logits)?;
        let count = ops::reduce_samples(graph, ops::ReduceKind::Sum, negative)?;
        let needed = ops::affine(graph, count, 1.0, 1.5 - shape[1] as f32)?;
        ops::positive(graph, needed)
    }

    /// 1 for each sample whose greatest logit is the label's, else 0 → `[N]`.
    pub fn correct(&self, graph: &mut Graph, logits: Value, labels: Value) -> Result<Value> {
        let predicted = ops::argmax(graph, logits)?;
        ops::compare_labels(graph, predicted, labels)
    }
}
