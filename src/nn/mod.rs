//! Networks: a list of layers with named parameters, run on points or on boxes.

mod architectures;
mod init;
mod layer;
mod norm;
mod split;

pub use architectures::{ARCHITECTURES, architecture, described, scaled_architecture};
pub use init::{initial_values, shi_deviation};
pub use layer::Layer;
pub use norm::{EPSILON as BATCH_NORM_EPSILON, Statistics};

use layer::Operands;
use norm::Norm;

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
    /// What it is to its layer.
    pub role: Role,
}

/// What a parameter is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution or a linear layer.
    Weight,
    /// Bias of one.
    Bias,
    /// γ of a batch norm.
    Scale,
    /// β of a batch norm.
    Shift,
}

/// A tensor that belongs to the network but is not trained: a running statistic of a batch norm, `[C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// As in PyTorch's state dict: `running_mean` or `running_var` after the layer's index.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Value of every element at the beginning.
    pub initial: f32,
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
    buffers: Vec<Buffer>,
}

impl Network {
    /// Checks that the layers fit together, from an input `[C,H,W]` to a last linear layer with `classes` outputs.
    pub fn new(name: &str, input: [usize; 3], classes: usize, layers: Vec<Layer>) -> Result<Network> {
        if !matches!(layers.last(), Some(Layer::Linear { outputs }) if *outputs == classes) {
            return Err(Error::Config(format!("{name}: the last layer must be linear with {classes} outputs")));
        }
        let (mut parameters, mut buffers) = (Vec::new(), Vec::new());
        let mut shape: Shape = input.into();
        let mut index = 0;
        for (position, layer) in layers.iter().enumerate() {
            let fits = layer.map_shape(&shape);
            let wrong = |e: Error| Error::Config(format!("{name}, layer {position} ({layer:?}): {e}"));
            let (output, weight) = fits.map_err(wrong)?;
            if let Some(weight) = weight {
                let (fan_in, last) = (weight.inner(), position + 1 == layers.len());
                let vector: Shape = [weight[0]].into();
                let norm = matches!(layer, Layer::BatchNorm);
                let roles = if norm { [Role::Scale, Role::Shift] } else { [Role::Weight, Role::Bias] };
                for ((kind, shape), role) in [("weight", weight), ("bias", vector.clone())].into_iter().zip(roles) {
                    parameters.push(Parameter { name: format!("{index}.{kind}"), shape, fan_in, last, role });
                }
                if norm {
                    for (kind, initial) in [("running_mean", 0.0), ("running_var", 1.0)] {
                        buffers.push(Buffer { name: format!("{index}.{kind}"), shape: vector.clone(), initial });
                    }
                }
            }
            if !matches!(layer, Layer::Normalize { .. }) {
                index += 1;
            }
            shape = output;
        }
        Ok(Network { name: name.into(), input, classes, layers, parameters, buffers })
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The parameters in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Running mean and variance of each batch norm, in order.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Names and shapes of all tensors that a trained network consists of: parameters, then buffers.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Shape)> {
        let parameters = self.parameters.iter().map(|p| (p.name.as_str(), &p.shape));
        parameters.chain(self.buffers.iter().map(|b| (b.name.as_str(), &b.shape)))
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

    /// The network in a graph: its parameters and running statistics as states, the latter used by its batch norms.
    pub fn bind(&self, graph: &mut Graph) -> Result<Bound<'_>> {
        let state = |p: &Parameter| graph.state(&state_name(&p.name), TensorType::f32(p.shape.clone()));
        let values = self.parameters.iter().map(state).collect::<Result<Vec<Value>>>()?;
        let running = self.running_statistics(graph)?;
        Bound::new(graph, self, values, &running)
    }

    /// The running statistics of each batch norm, as states.
    pub fn running_statistics(&self, graph: &mut Graph) -> Result<Vec<Statistics>> {
        let mut state = |b: &Buffer| graph.state(&state_name(&b.name), TensorType::f32(b.shape.clone()));
        self.buffers.chunks(2).map(|b| Ok(Statistics { mean: state(&b[0])?, variance: state(&b[1])? })).collect()
    }
}

/// Name of the state that holds a parameter or a buffer.
pub fn state_name(parameter: &str) -> String {
    format!("parameters/{parameter}")
}

/// A network whose parameters are values of a graph.
#[derive(Clone, Debug)]
pub struct Bound<'a> {
    network: &'a Network,
    values: Vec<Value>,
    /// What each batch norm does.
    norms: Vec<Norm>,
}

/// What a batch makes of a network whose batch norms use the batch's own statistics.
#[derive(Clone, Debug)]
pub struct TrainingPass {
    /// Logits `[N,K]`.
    pub logits: Value,
    /// Statistics of each batch norm's input, part of the graph: gradients flow through them.
    pub statistics: Vec<Statistics>,
    /// Values per channel behind each of them.
    positions: Vec<usize>,
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
    /// Boxes before each layer, in order; the last is [`Propagated::before_last`].
    pub before_layer: Vec<Interval>,
}

impl TrainingPass {
    /// The running statistics after this batch.
    pub fn update(&self, graph: &mut Graph, running: &[Statistics]) -> Result<Vec<Statistics>> {
        let batches = running.iter().zip(&self.statistics).zip(&self.positions);
        batches.map(|((&old, &new), &n)| norm::updated(graph, old, new, n)).collect()
    }

    /// The average of the running statistics and this batch's with the weight `share` `[1]`: 1/k for the k-th batch of several.
    pub fn average(&self, graph: &mut Graph, running: &[Statistics], share: Value) -> Result<Vec<Statistics>> {
        let batches = running.iter().zip(&self.statistics).zip(&self.positions);
        batches.map(|((&old, &new), &n)| norm::averaged(graph, old, new, n, share)).collect()
    }
}

impl<'a> Bound<'a> {
    /// The network over parameters that are any values of the right shapes, in the order of [`Network::parameters`], with the
    /// given statistics in its batch norms.
    pub fn new(
        graph: &mut Graph,
        network: &'a Network,
        values: Vec<Value>,
        statistics: &[Statistics],
    ) -> Result<Bound<'a>> {
        let bare = Bound { network, values, norms: Vec::new() };
        bare.with_statistics(graph, statistics)
    }

    /// [`Bound::new`] for a network without batch norms.
    pub fn with_values(network: &'a Network, values: Vec<Value>) -> Bound<'a> {
        assert!(network.buffers.is_empty(), "a batch norm needs statistics");
        Bound { network, values, norms: Vec::new() }
    }

    /// The same parameters with other statistics in the batch norms.
    pub fn with_statistics(&self, graph: &mut Graph, statistics: &[Statistics]) -> Result<Bound<'a>> {
        let pairs = self.network.parameters.chunks(2).zip(self.values.chunks(2));
        let affine = pairs.filter(|(p, _)| p[0].role == Role::Scale).map(|(_, v)| (v[0], v[1]));
        let norms = affine.zip(statistics).map(|(pair, &s)| Norm::new(graph, pair, s)).collect::<Result<Vec<_>>>()?;
        assert_eq!(norms.len() * 2, self.network.buffers.len(), "statistics for every batch norm");
        Ok(Bound { network: self.network, values: self.values.clone(), norms })
    }

    /// The same function with each batch norm taken into the convolution or linear layer before it: for many passes over
    /// one set of weights. Its [`Bound::values`] are not the parameters any more.
    pub fn folded(&self, graph: &mut Graph) -> Result<Bound<'a>> {
        let mut folded = self.clone();
        let (mut pair, mut norm) = (0, 0);
        let mut foldable = None;
        for layer in &self.network.layers {
            if let (Layer::BatchNorm, Some(at), &Norm::Affine { scale, shift }) =
                (layer, foldable, self.norms.get(norm).unwrap_or(&Norm::Folded))
            {
                let (w, b) = (folded.values[at], folded.values[at + 1]);
                let mut dims = vec![1; graph.shape(w).rank()];
                dims[0] = graph.shape(w)[0];
                let rows = graph.reshape(scale, dims)?;
                folded.values[at] = ops::mul(graph, w, rows)?;
                let scaled = ops::mul(graph, b, scale)?;
                folded.values[at + 1] = ops::add(graph, scaled, shift)?;
                folded.norms[norm] = Norm::Folded;
            }
            foldable = matches!(layer, Layer::Conv2d { .. } | Layer::Linear { .. }).then_some(2 * pair);
            norm += usize::from(matches!(layer, Layer::BatchNorm));
            pair += usize::from(matches!(layer, Layer::Conv2d { .. } | Layer::Linear { .. } | Layer::BatchNorm));
        }
        Ok(folded)
    }

    /// Parameter values, in the order of [`Network::parameters`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The network itself.
    pub fn network(&self) -> &'a Network {
        self.network
    }

    /// What the layers from `start` on take.
    fn operands_from(&self, start: usize) -> Operands<'_> {
        let before = &self.network.layers[..start];
        let norms = before.iter().filter(|l| matches!(l, Layer::BatchNorm)).count();
        let weighted = before.iter().filter(|l| matches!(l, Layer::Conv2d { .. } | Layer::Linear { .. })).count();
        Operands { parameters: self.values[2 * (norms + weighted)..].chunks(2), norms: self.norms[norms..].iter() }
    }

    fn operands(&self) -> Operands<'_> {
        self.operands_from(0)
    }

    /// Logits `[N,K]` of images x `[N,C,H,W]`.
    pub fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        self.forward_from(graph, 0, x)
    }

    /// Logits `[N,K]` of what enters layer `start`, `[N,…]`.
    pub fn forward_from(&self, graph: &mut Graph, start: usize, x: Value) -> Result<Value> {
        let mut h = x;
        let mut operands = self.operands_from(start);
        for layer in &self.network.layers[start..] {
            h = layer.forward(graph, h, &mut operands)?;
        }
        Ok(h)
    }

    /// Logits of images x `[N,C,H,W]` where each batch norm uses the statistics of what reaches it.
    pub fn training_pass(&self, graph: &mut Graph, x: Value) -> Result<TrainingPass> {
        let mut h = x;
        let (mut statistics, mut positions) = (Vec::new(), Vec::new());
        let mut operands = self.operands();
        for layer in &self.network.layers {
            h = if matches!(layer, Layer::BatchNorm) {
                let of_batch = norm::of_batch(graph, h)?;
                statistics.push(of_batch);
                positions.push(norm::positions(graph, h));
                Norm::new(graph, operands.pair(), of_batch)?.forward(graph, h)?
            } else {
                layer.forward(graph, h, &mut operands)?
            };
        }
        Ok(TrainingPass { logits: h, statistics, positions })
    }

    /// The box behind layer `index` alone, for the box that enters it.
    pub fn propagate_layer(&self, graph: &mut Graph, index: usize, input: Interval) -> Result<Interval> {
        self.network.layers[index].propagate(graph, input, &mut self.operands_from(index))
    }

    /// The box after all layers but the last.
    pub fn propagate(&self, graph: &mut Graph, input: Interval) -> Result<Propagated> {
        self.propagate_shrunk(graph, input, 1.0)
    }

    /// [`Bound::propagate`] with the output boxes of unstable ReLUs scaled by `factor` (see [`Interval::shrink_unstable`]): no
    /// bound of the network any more for a factor below 1.
    pub fn propagate_shrunk(&self, graph: &mut Graph, input: Interval, factor: f32) -> Result<Propagated> {
        let mut h = input;
        let mut normalized = input;
        let (mut before_relu, mut before_layer) = (Vec::new(), Vec::new());
        let mut operands = self.operands();
        let layers = &self.network.layers;
        for layer in &layers[..layers.len() - 1] {
            before_layer.push(h);
            if matches!(layer, Layer::Relu) {
                before_relu.push(h);
            }
            let before = h;
            h = layer.propagate(graph, h, &mut operands)?;
            if matches!(layer, Layer::Relu) && factor != 1.0 {
                h = h.shrink_unstable(graph, before, factor)?;
            }
            if matches!(layer, Layer::Normalize { .. }) {
                normalized = h;
            }
        }
        before_layer.push(h);
        Ok(Propagated { before_last: h, normalized, before_relu, before_layer })
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
