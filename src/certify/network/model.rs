//! A trained model as a [`ReluNetwork`].

use super::diagonal::Diagonal;
use super::rounded::Rounded;
use super::{Operation, ReluNetwork, Weights};
use crate::error::{Error, Result};
use crate::nn::{BATCH_NORM_EPSILON, Layer, Network};
use crate::ops::Conv2dSpec;
use crate::shape::Shape;

impl ReluNetwork {
    /// `network` with its `tensors`, in the order of [`Network::tensors`].
    ///
    /// The real function is that of the numbers as stored: (x − mean) / deviation before the first layer, and batch norms by their
    /// running statistics with the ε of [`BATCH_NORM_EPSILON`] as the f32 it is. Normalisation becomes the
    /// [`Entry`](super::Entry); a batch norm is taken into the convolution or linear layer before it, and one that follows none
    /// becomes a map of its own, or part of the entry at the input. What f64 rounds in that is bounded in the weights' errors.
    ///
    /// # Errors
    /// [`Error::Config`] if `tensors` are not the network's or hold what makes a value that is no number.
    pub fn from_model(network: &Network, tensors: &[(String, Vec<f32>)]) -> Result<ReluNetwork> {
        let mut stored = Stored::new(network, tensors)?;
        let mut layers = network.layers().iter().peekable();
        // What stands before the first map, for each channel.
        let mut entry: Option<Diagonal> = None;
        while let Some(diagonal) = layers.peek().and_then(|layer| stored.diagonal(layer)) {
            layers.next();
            entry = Some(match entry {
                Some(first) => diagonal.after(&first),
                None => diagonal,
            });
        }
        let input: Shape = network.input.into();
        let entry = entry.map(|diagonal| diagonal.spread(input.elements()).entry());
        let mut result = ReluNetwork::new(input, entry)?;
        let (mut at, mut position) = (0, None);
        while let Some(layer) = layers.next() {
            let operation = match *layer {
                Layer::Flatten => {
                    position = Some(at);
                    continue;
                }
                Layer::Relu => Operation::Relu,
                Layer::Conv2d { stride, padding, .. } => {
                    let weights = stored.followed(&mut layers);
                    Operation::Conv2d(weights.into(), Conv2dSpec::square(stride, padding))
                }
                Layer::Linear { .. } => Operation::Linear(stored.followed(&mut layers).into()),
                Layer::BatchNorm | Layer::Normalize { .. } => {
                    let diagonal = stored.diagonal(layer).expect("a map of each channel");
                    // Behind a flattening every element is a channel, whatever extents the value has here.
                    let flat = position == Some(at);
                    let shape = &result.nodes()[at].shape;
                    let shape = if flat { [shape.elements()].into() } else { shape.clone() };
                    diagonal.operation(&shape)?
                }
            };
            at = result.push(operation, &[at])?;
        }
        Ok(result)
    }
}

/// The tensors of a network, taken layer by layer.
struct Stored<'a> {
    shapes: std::vec::IntoIter<Shape>,
    pairs: std::slice::Chunks<'a, (String, Vec<f32>)>,
    statistics: std::slice::Chunks<'a, (String, Vec<f32>)>,
}

impl<'a> Stored<'a> {
    fn new(network: &Network, tensors: &'a [(String, Vec<f32>)]) -> Result<Stored<'a>> {
        let known: Vec<(&str, &Shape)> = network.tensors().collect();
        let same = |((name, shape), (other, values)): (&(&str, &Shape), &(String, Vec<f32>))| {
            *name == other && shape.elements() == values.len()
        };
        if known.len() != tensors.len() || !known.iter().zip(tensors).all(same) {
            return Err(Error::Config(format!("tensors of another network: expected those of {}", network.name)));
        }
        let (parameters, buffers) = tensors.split_at(network.parameters().len());
        let shapes: Vec<Shape> = network.parameters().iter().step_by(2).map(|p| p.shape.clone()).collect();
        Ok(Stored { shapes: shapes.into_iter(), pairs: parameters.chunks(2), statistics: buffers.chunks(2) })
    }

    /// Extents and values of the next two parameters.
    fn pair(&mut self) -> (Shape, &'a [f32], &'a [f32]) {
        let shape = self.shapes.next().expect("extents of every layer with parameters");
        let pair = self.pairs.next().expect("two parameters for every layer that has some");
        (shape, &pair[0].1, &pair[1].1)
    }

    /// What a layer does to each channel, if it does nothing else.
    fn diagonal(&mut self, layer: &Layer) -> Option<Diagonal> {
        match layer {
            Layer::Normalize { mean, deviation } => Some(Diagonal::normalize(mean, deviation)),
            Layer::BatchNorm => {
                let (_, gamma, beta) = self.pair();
                let running = self.statistics.next().expect("statistics of every batch norm");
                let channel = |c: usize| [gamma[c], beta[c], running[0].1[c], running[1].1[c]].map(Rounded::exact);
                Some(Diagonal::batch_norm((0..gamma.len()).map(channel), BATCH_NORM_EPSILON))
            }
            _ => None,
        }
    }

    /// Weights of the next layer, with the maps of each channel taken in that come next in `layers`.
    fn followed(&mut self, layers: &mut std::iter::Peekable<std::slice::Iter<'_, Layer>>) -> Weights {
        let (shape, weight, bias) = self.pair();
        let mut weights = Weights::exact(shape, weight, bias);
        while let Some(diagonal) = layers.peek().and_then(|layer| self.diagonal(layer)) {
            layers.next();
            weights = diagonal.fold(&weights);
        }
        weights
    }
}
