//! Sizes of weights.

use serde::Serialize;

use crate::nn::{BATCH_NORM_EPSILON, Layer, Network};

/// Sizes of one weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNorm {
    /// Its layer: `conv 1`, `linear 3`, or `batch norm 1` for one that follows neither.
    pub layer: String,
    /// Σ|w|, of the weight as it is stored.
    pub l1: f64,
    /// √Σw².
    pub l2: f64,
    /// Greatest Σ|w| of an output, with the batch norm behind it, if there is one, taken in: the operator norm for the largest
    /// change of any input, paddings left out of account.
    pub row_l1: f64,
}

/// Sizes of all weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Norms {
    /// One for each weight.
    pub layers: Vec<LayerNorm>,
    /// Σ|w| over all.
    pub l1: f64,
    /// √Σw² over all.
    pub l2: f64,
    /// Product of [`LayerNorm::row_l1`] and of the normalisation's largest factor: no output moves by more than as much times the largest
    /// change of a pixel.
    pub lipschitz: f64,
}

/// Sizes of the weights of `network` whose `tensors` come in their order.
///
/// # Panics
/// If `tensors` are not the network's.
pub fn norms(network: &Network, tensors: &[(String, Vec<f32>)]) -> Norms {
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (parameters, buffers) = tensors.split_at(network.parameters().len());
    let (mut pairs, mut statistics) = (parameters.chunks(2), buffers.chunks(2));
    let (mut block, mut first) = (0, 1.0f64);
    let mut layers: Vec<LayerNorm> = Vec::new();
    // Σ|w| of each output of the layer before, if a batch norm can be taken into it.
    let mut rows: Option<Vec<f64>> = None;
    for layer in network.layers() {
        match layer {
            Layer::Normalize { deviation, .. } => {
                first *= deviation.iter().map(|&d| 1.0 / f64::from(d)).fold(0.0, f64::max);
            }
            Layer::Relu | Layer::Flatten => rows = None,
            Layer::Conv2d { .. } | Layer::Linear { .. } => {
                block += 1;
                let pair = pairs.next().expect("a weight and a bias");
                let (weight, outputs) = (wide(&pair[0].1), pair[1].1.len());
                let sums: Vec<f64> = weight.chunks(weight.len() / outputs).map(|row| sum(row, f64::abs)).collect();
                let kind = if matches!(layer, Layer::Linear { .. }) { "linear" } else { "conv" };
                layers.push(LayerNorm::new(format!("{kind} {block}"), &weight, &sums));
                rows = Some(sums);
            }
            Layer::BatchNorm => {
                let gamma = wide(&pairs.next().expect("γ and β")[0].1);
                let variance = wide(&statistics.next().expect("a mean and a variance")[1].1);
                let scale =
                    gamma.iter().zip(&variance).map(|(g, v)| g.abs() / (v + f64::from(BATCH_NORM_EPSILON)).sqrt());
                let scale: Vec<f64> = scale.collect();
                match (rows.take(), layers.last_mut()) {
                    (Some(sums), Some(before)) => {
                        before.row_l1 = greatest(&sums.iter().zip(&scale).map(|(a, b)| a * b).collect::<Vec<f64>>());
                    }
                    _ => layers.push(LayerNorm::new(format!("batch norm {block}"), &gamma, &scale)),
                }
            }
        }
    }
    Norms {
        l1: layers.iter().map(|layer| layer.l1).sum(),
        l2: layers.iter().map(|layer| layer.l2 * layer.l2).sum::<f64>().sqrt(),
        lipschitz: layers.iter().map(|layer| layer.row_l1).product::<f64>() * first,
        layers,
    }
}

fn sum(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|&v| of(v)).sum()
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

impl LayerNorm {
    fn new(layer: String, weight: &[f64], rows: &[f64]) -> LayerNorm {
        LayerNorm { layer, l1: sum(weight, f64::abs), l2: sum(weight, |w| w * w).sqrt(), row_l1: greatest(rows) }
    }
}
