//! The affine map that a network is where its neurons have given signs.

use rayon::prelude::*;

use crate::certify::network::ReluNetwork;
use crate::certify::proof::{Region, Split};
use crate::certify::property::{Constraint, Property};

/// constant + slopes · v.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) constant: f64,
    pub(super) slopes: Vec<f64>,
}

impl Row {
    /// Greatest absolute value for v in [−1, 1]ⁿ, or more.
    pub(super) fn size(&self) -> f64 {
        self.constant.abs() + self.range()
    }

    /// Σ |slopes|: how far the value goes from the constant.
    pub(super) fn range(&self) -> f64 {
        self.slopes.iter().map(|slope| slope.abs()).sum()
    }
}

/// A domain's affine map over x = center + radius · v.
pub(super) struct Pattern {
    center: Vec<f64>,
    radius: Vec<f64>,
    /// Inputs of positive radius: the elements of v.
    free: Vec<usize>,
    /// s_j z_j of each split: ≥ 0 in the domain.
    pub(super) splits: Vec<Row>,
    /// coefficients · y − bound of each constraint.
    pub(super) constraints: Vec<Row>,
}

/// Inputs that are not fixed.
pub(super) fn free(property: &Property) -> Vec<usize> {
    (0..property.lower.len()).filter(|&i| property.upper[i] > property.lower[i]).collect()
}

impl Pattern {
    /// Neurons that are not split have the sign that the region's bounds give, or the one that is more of their interval.
    pub(super) fn new(
        network: &ReluNetwork,
        region: &Region,
        property: &Property,
        constraints: &[Constraint],
        splits: &[Split],
    ) -> Pattern {
        let active = signs(region, splits);
        let relu = |layer: usize, z: &[f64]| -> Vec<f64> {
            z.iter().zip(&active[layer]).map(|(&z, &active)| if active { z } else { 0.0 }).collect()
        };
        let relus = network.relus();
        let before = |split: &Split| network.nodes()[relus[split.layer]].inputs[0];
        // What is kept of all nodes' values: signed inputs of split neurons, then the constraints without their bounds.
        let read = |values: &[Vec<f64>]| -> Vec<f64> {
            let signed = |split: &Split| {
                let z = values[before(split)][split.neuron];
                if split.active { z } else { -z }
            };
            let y = values.last().expect("a network has its input");
            let objective = |constraint: &Constraint| constraint.coefficients.iter().zip(y).map(|(c, y)| c * y).sum();
            splits.iter().map(signed).chain(constraints.iter().map(objective)).collect()
        };

        let ends = || property.lower.iter().zip(&property.upper);
        let center: Vec<f64> = ends().map(|(l, u)| 0.5 * l + 0.5 * u).collect();
        let radius: Vec<f64> = ends().map(|(l, u)| 0.5 * u - 0.5 * l).collect();
        let enter = |i: usize, x: f64| network.entry().map_or(x, |entry| entry.scale[i] * x + entry.shift[i]);
        let entered = center.iter().enumerate().map(|(i, &x)| enter(i, x)).collect();
        let constants = read(&network.propagate(entered, true, relu));
        let free = free(property);
        let along = |&i: &usize| {
            let mut direction = vec![0.0; center.len()];
            direction[i] = network.entry().map_or(1.0, |entry| entry.scale[i]) * radius[i];
            read(&network.propagate(direction, false, relu))
        };
        let columns: Vec<Vec<f64>> = free.par_iter().map(along).collect();
        let mut rows: Vec<Row> = constants
            .iter()
            .enumerate()
            .map(|(row, &constant)| Row { constant, slopes: columns.iter().map(|column| column[row]).collect() })
            .collect();
        let mut objectives = rows.split_off(splits.len());
        for (row, constraint) in objectives.iter_mut().zip(constraints) {
            row.constant -= constraint.bound;
        }
        Pattern { center, radius, free, splits: rows, constraints: objectives }
    }

    /// x of v.
    pub(super) fn point(&self, v: &[f64], property: &Property) -> Vec<f64> {
        let mut x = self.center.clone();
        for (&i, &v) in self.free.iter().zip(v) {
            let (lower, upper) = (property.lower[i], property.upper[i]);
            x[i] = (self.center[i] + self.radius[i] * v).clamp(lower, upper);
            // A solver that works from the inside ends right before a corner.
            if v.abs() > 1.0 - NEAR {
                x[i] = if v > 0.0 { upper } else { lower };
            }
        }
        x
    }
}

/// Values of v closer to ±1 are taken for ±1.
const NEAR: f64 = 1e-6;

/// Whether each neuron's input is taken for positive.
fn signs(region: &Region, splits: &[Split]) -> Vec<Vec<bool>> {
    let layers = region.prover().layers();
    let of_bounds = |layer: usize| -> Vec<bool> {
        let (lower, upper) = region.bounds(layer);
        lower.iter().zip(&upper).map(|(l, u)| *l >= 0.0 || *u > -l).collect()
    };
    let mut active: Vec<Vec<bool>> = (0..layers).map(of_bounds).collect();
    splits.iter().for_each(|split| active[split.layer][split.neuron] = split.active);
    active
}
