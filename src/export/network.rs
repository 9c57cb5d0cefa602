//! A network as ONNX operators.

use super::fold::Affine;
use crate::error::{Error, Result};
use crate::formats::onnx::{Constant, Graph, Node, Operator, Port};
use crate::nn::{Layer, Network, Parameter};

/// Name of the input in the file.
const INPUT: &str = "input";
/// Name of the output in the file.
const OUTPUT: &str = "logits";

/// `network` with its `tensors` (in the order of [`Network::tensors`]) for batches of exactly `batch` images: raw pixels
/// `input` `[N,C,H,W]` in `[0,1]` → `logits` `[N,K]`.
///
/// A batch norm is taken into the convolution or linear layer before it, with the running statistics, in f64 and rounded once. One
/// that follows no such layer becomes a product and a sum. Normalisation stays in front as a difference and a quotient: taken
/// into a first convolution with zero padding it would change the border, where the padding stands for normalised zeros and
/// would become the mean.
///
/// # Errors
/// [`Error::Config`] if a folded value is not finite.
///
/// # Panics
/// If `tensors` are not the network's, or `batch` is 0.
pub fn onnx_graph(network: &Network, tensors: &[(String, Vec<f32>)], batch: usize) -> Result<Graph> {
    assert!(batch > 0, "at least one image");
    assert!(network.tensors().map(|(name, _)| name).eq(tensors.iter().map(|(name, _)| name.as_str())), "other tensors");
    let mut stored = Stored::new(network, tensors);
    let mut chain = Chain { nodes: Vec::new(), constants: Vec::new(), value: INPUT.into() };
    // Axes after the channel or feature.
    let mut spatial = 2;
    let mut layers = network.layers().iter().peekable();
    while let Some(layer) = layers.next() {
        match layer {
            Layer::Normalize { mean, deviation } => {
                chain.per_channel(Operator::Sub, "mean", mean.clone(), spatial);
                chain.per_channel(Operator::Div, "deviation", deviation.clone(), spatial);
            }
            &Layer::Conv2d { kernel, stride, padding, .. } => {
                let followed = layers.next_if(|next| matches!(next, Layer::BatchNorm)).is_some();
                chain.weighted(Operator::Conv { kernel, stride, padding }, stored.folded(followed)?);
            }
            Layer::Linear { .. } => {
                let followed = layers.next_if(|next| matches!(next, Layer::BatchNorm)).is_some();
                chain.weighted(Operator::Gemm, stored.folded(followed)?);
            }
            Layer::BatchNorm => {
                let [scale, shift] = stored.unfolded()?;
                chain.per_channel(Operator::Mul, &scale.name, scale.data, spatial);
                chain.per_channel(Operator::Add, &shift.name, shift.data, spatial);
            }
            Layer::Relu => chain.push(Operator::Relu, &[]),
            Layer::Flatten => {
                spatial = 0;
                chain.push(Operator::Flatten, &[]);
            }
        }
    }
    let last = chain.nodes.last_mut().expect("a network has a last layer");
    last.output = OUTPUT.into();

    let [channels, height, width] = network.input;
    Ok(Graph {
        name: network.name.clone(),
        description: format!("{}: pixels in [0, 1] to logits", network.name),
        input: Port { name: INPUT.into(), dims: vec![batch, channels, height, width] },
        output: Port { name: OUTPUT.into(), dims: vec![batch, network.classes] },
        nodes: chain.nodes,
        constants: chain.constants,
    })
}

/// The tensors of a network, taken layer by layer.
struct Stored<'a> {
    parameters: std::slice::Chunks<'a, Parameter>,
    values: std::slice::Chunks<'a, (String, Vec<f32>)>,
    statistics: std::slice::Chunks<'a, (String, Vec<f32>)>,
}

impl<'a> Stored<'a> {
    fn new(network: &'a Network, tensors: &'a [(String, Vec<f32>)]) -> Stored<'a> {
        let (values, statistics) = tensors.split_at(network.parameters().len());
        let parameters = network.parameters().chunks(2);
        Stored { parameters, values: values.chunks(2), statistics: statistics.chunks(2) }
    }

    /// The next two parameters: weight and bias, or γ and β.
    fn pair(&mut self) -> [Constant; 2] {
        let described = self.parameters.next().expect("two parameters for every layer that has some");
        let values = self.values.next().expect("values of all parameters");
        [0, 1].map(|i| Constant {
            name: described[i].name.clone(),
            dims: described[i].shape.dims().to_vec(),
            data: values[i].1.clone(),
        })
    }

    /// The map of the next batch norm, with the names of its γ and β.
    fn norm(&mut self) -> (Affine, [Constant; 2]) {
        let pair = self.pair();
        let running = self.statistics.next().expect("statistics of every batch norm");
        (Affine::of(&pair[0].data, &pair[1].data, &running[0].1, &running[1].1), pair)
    }

    /// Weight and bias of the next layer, with the batch norm taken in that follows it if `followed`.
    fn folded(&mut self, followed: bool) -> Result<[Constant; 2]> {
        let [mut weight, mut bias] = self.pair();
        if followed {
            (weight.data, bias.data) = self.norm().0.fold(&weight.data, &bias.data);
        }
        checked([weight, bias])
    }

    /// Scale and shift of the next batch norm, under the names of its γ and β.
    fn unfolded(&mut self) -> Result<[Constant; 2]> {
        let (affine, [mut scale, mut shift]) = self.norm();
        (scale.data, shift.data) = affine.rounded();
        checked([scale, shift])
    }
}

/// Refuses what a negative variance or an overflow leaves.
fn checked(constants: [Constant; 2]) -> Result<[Constant; 2]> {
    for Constant { name, data, .. } in &constants {
        if let Some(value) = data.iter().find(|v| !v.is_finite()) {
            let message =
                format!("'{name}' with its batch norm holds {value}: expected running variances of at least 0");
            return Err(Error::Config(message));
        }
    }
    Ok(constants)
}

/// Operators that each take the result of the one before.
struct Chain {
    nodes: Vec<Node>,
    constants: Vec<Constant>,
    /// Name of the latest result.
    value: String,
}

impl Chain {
    /// An operator on the latest result and the constants `operands`.
    fn push(&mut self, operator: Operator, operands: &[&str]) {
        let inputs = std::iter::once(self.value.clone()).chain(operands.iter().map(|name| name.to_string())).collect();
        self.value = format!("value{}", self.nodes.len());
        self.nodes.push(Node { operator, inputs, output: self.value.clone() });
    }

    /// A layer with weight and bias.
    fn weighted(&mut self, operator: Operator, [weight, bias]: [Constant; 2]) {
        self.push(operator, &[&weight.name, &bias.name]);
        self.constants.extend([weight, bias]);
    }

    /// An elementwise operator with one value per channel, which `spatial` axes follow.
    fn per_channel(&mut self, operator: Operator, name: &str, data: Vec<f32>, spatial: usize) {
        let dims = [1, data.len()].into_iter().chain(std::iter::repeat_n(1, spatial)).collect();
        self.push(operator, &[name]);
        self.constants.push(Constant { name: name.into(), dims, data });
    }
}
