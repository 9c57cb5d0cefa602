//! The price of violated signs that makes a program exact.

use std::collections::HashMap;
use std::sync::Arc;

use crate::certify::network::{Operation, ReluNetwork, Weights};
use crate::certify::proof::{Region, Split};
use crate::certify::property::Constraint;
use crate::error::Result;

/// A network's maps with the absolute values of their weights and no biases: how far differences reach.
pub(super) struct Magnitudes(ReluNetwork);

impl Magnitudes {
    /// Of `network`.
    ///
    /// # Errors
    /// None for a network that was built.
    pub(super) fn of(network: &ReluNetwork) -> Result<Magnitudes> {
        let mut magnitudes = ReluNetwork::new(network.input().clone(), None)?;
        for node in &network.nodes()[1..] {
            let operation = match &node.operation {
                Operation::Linear(weights) => Operation::Linear(absolute(weights)),
                Operation::Conv2d(weights, spec) => Operation::Conv2d(absolute(weights), *spec),
                other => other.clone(),
            };
            magnitudes.push(operation, &node.inputs)?;
        }
        Ok(Magnitudes(magnitudes))
    }

    /// For each constraint the most by which coefficients · y of the real network and of the affine map of a domain may differ where
    /// the input of the j-th split neuron has the wrong sign by at most `sizes[j]`.
    ///
    /// A ReLU hands a difference of its inputs on, at most; a split one adds its violation: |relu(z) − relu(z')| ≤ |z − z'|, and
    /// relu(z') differs from what the sign makes of z' by no more than z' violates it. Inactive neurons that are not split are 0
    /// in both.
    pub(super) fn differences(
        &self,
        region: &Region,
        constraints: &[Constraint],
        splits: &[Split],
        sizes: &[f64],
    ) -> Vec<f64> {
        let mut added: HashMap<(usize, usize), f64> = HashMap::new();
        for (split, &size) in splits.iter().zip(sizes) {
            added.insert((split.layer, split.neuron), size);
        }
        let relu = |layer: usize, differences: &[f64]| -> Vec<f64> {
            let upper = region.bounds(layer).1;
            let of = |(neuron, (&difference, &upper)): (usize, (&f64, &f64))| match added.get(&(layer, neuron)) {
                Some(size) => difference + size,
                None if upper <= 0.0 => 0.0,
                None => difference,
            };
            differences.iter().zip(&upper).enumerate().map(of).collect()
        };
        let values = self.0.propagate(vec![0.0; self.0.input().elements()], false, relu);
        let y = values.last().expect("a network has its input");
        let of = |constraint: &Constraint| constraint.coefficients.iter().zip(y).map(|(c, e)| c.abs() * e).sum();
        constraints.iter().map(of).collect()
    }
}

fn absolute(weights: &Weights) -> Arc<Weights> {
    let weight = weights.weight.iter().map(|w| w.abs()).collect();
    Arc::new(Weights { weight, ..weights.clone() })
}
