//! Domains, and how a batch of them is laid out for the device.

use crate::certify::bounds::{Bounds, Parameters};
use crate::certify::network::{Operation, ReluNetwork};
use crate::certify::proof::Split;

/// The unstable neurons of one sample, in ascending order: slopes are given for these and no others, and splits are made at them.
#[derive(Clone, Debug, PartialEq)]
pub struct Neurons {
    /// (ReLU layer, neuron in row-major order).
    pub table: Vec<(usize, usize)>,
    /// Least and greatest input of each.
    pub(super) ends: Vec<(f32, f32)>,
    /// Bias of the map that makes each one's input, 0 for a sum.
    pub(super) bias: Vec<f32>,
    /// Neurons of each ReLU layer.
    features: Vec<usize>,
}

/// A bound at the root of a tree: where a search starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// Clause of the property.
    pub clause: usize,
    /// Constraint of the clause.
    pub constraint: usize,
    /// Lower bound of coefficients · y − bound.
    pub lower: f32,
    /// Slopes of [`Neurons::table`].
    pub slopes: Vec<f32>,
}

/// A part of the box under search.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) clause: usize,
    pub(super) constraint: usize,
    /// From the root on, with the place of each neuron in the table.
    pub(super) splits: Vec<(Split, usize)>,
    pub(super) multipliers: Vec<f32>,
    pub(super) slopes: Vec<f32>,
    pub(super) lower: f32,
    /// Where to cut next, best first: places in the table. Empty when every neuron is split.
    pub(super) candidates: Vec<usize>,
    /// Node of the clause's tree.
    pub(super) node: usize,
}

impl Neurons {
    /// Of `sample` of a batch with these bounds.
    pub fn of(network: &ReluNetwork, bounds: &Bounds, sample: usize) -> Neurons {
        let relus = network.relus();
        let mut neurons = Neurons { table: Vec::new(), ends: Vec::new(), bias: Vec::new(), features: Vec::new() };
        for (number, layer) in bounds.layers.iter().enumerate() {
            let features = layer.lower.len() / bounds.batch;
            neurons.features.push(features);
            let node = &network.nodes()[network.nodes()[relus[number]].inputs[0]];
            for neuron in 0..features {
                let i = sample * features + neuron;
                if !layer.is_unstable(i) {
                    continue;
                }
                neurons.table.push((number, neuron));
                neurons.ends.push((layer.lower[i], layer.upper[i]));
                neurons.bias.push(match &node.operation {
                    Operation::Conv2d(w, _) | Operation::Linear(w) => w.bias[neuron / (features / w.bias.len())] as f32,
                    Operation::Input | Operation::Relu | Operation::Add => 0.0,
                });
            }
        }
        neurons
    }

    /// Slopes as CROWN chooses them.
    pub fn default_slopes(&self) -> Vec<f32> {
        self.ends.iter().map(|&(l, u)| f32::from(u8::from(u > -l))).collect()
    }

    /// Slopes of one row of a device's parameters.
    pub fn slopes(&self, parameters: &Parameters, row: usize) -> Vec<f32> {
        let slope = |&(layer, neuron): &(usize, usize)| parameters.slopes[layer][row * self.features[layer] + neuron];
        self.table.iter().map(slope).collect()
    }

    /// Parameters of a batch of domains.
    pub(super) fn parameters(&self, domains: &[Domain]) -> Parameters {
        let zeros = || self.features.iter().map(|n| vec![0.0; n * domains.len()]).collect::<Vec<Vec<f32>>>();
        let mut parameters = Parameters { slopes: zeros(), splits: zeros(), multipliers: zeros() };
        for (row, domain) in domains.iter().enumerate() {
            for (&(layer, neuron), &slope) in self.table.iter().zip(&domain.slopes) {
                parameters.slopes[layer][row * self.features[layer] + neuron] = slope;
            }
            for ((split, _), &multiplier) in domain.splits.iter().zip(&domain.multipliers) {
                let at = row * self.features[split.layer] + split.neuron;
                parameters.splits[split.layer][at] = if split.active { 1.0 } else { -1.0 };
                parameters.multipliers[split.layer][at] = multiplier;
            }
        }
        parameters
    }

    /// Takes over what an ascent found.
    pub(super) fn take(&self, parameters: &Parameters, domains: &mut [Domain]) {
        for (row, domain) in domains.iter_mut().enumerate() {
            domain.slopes = self.slopes(parameters, row);
            for ((split, _), multiplier) in domain.splits.iter().zip(&mut domain.multipliers) {
                *multiplier = parameters.multipliers[split.layer][row * self.features[split.layer] + split.neuron];
            }
        }
    }

    /// Coefficient at the output of the neuron at place `place` in row `row`.
    pub(super) fn coefficient(&self, coefficients: &[Vec<f32>], row: usize, place: usize) -> f32 {
        let (layer, neuron) = self.table[place];
        coefficients[layer].get(row * self.features[layer] + neuron).copied().unwrap_or(0.0)
    }
}

impl Domain {
    /// One of the two parts at the neuron at place `place`.
    pub(super) fn part(&self, neurons: &Neurons, place: usize, active: bool, node: usize) -> Domain {
        let (layer, neuron) = neurons.table[place];
        let mut part = self.clone();
        part.splits.push((Split { layer, neuron, active }, place));
        part.multipliers.push(0.0);
        part.candidates.clear();
        part.node = node;
        part
    }
}
