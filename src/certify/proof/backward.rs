//! Backward passes: from objectives on a node's value down to the box.

use rayon::prelude::*;

use super::kernels::{self, Own, Sums};
use super::objective::{Leaf, Objective, Side, Split, Start};
use super::prover::{Affine, Prover, Step};
use super::region::{Region, Relaxation, Rule};
use super::rounding::{INFLATE, UNIT};
use super::rows::{LANES, Lanes, Rows};

/// What single lanes of a batch have of their own.
#[derive(Default)]
struct Extras<'a> {
    slopes: Own<'a>,
    splits: [&'a [Split]; LANES],
    multipliers: [&'a [f32]; LANES],
}

/// Lower bound of z (side lower) or −z (side upper) for neurons of the input of `layer`.
pub(super) fn single(region: &Region, layer: usize, rows: &[(usize, Side)], starts: &[Start]) -> Vec<f64> {
    let node = region.prover.before(layer);
    let slopes = |&(neuron, side): &(usize, Side)| {
        let found = starts.binary_search_by_key(&(layer, neuron, side), Start::key);
        found.ok().map(|at| starts[at].slopes.as_slice())
    };
    let bounds = |batch: &[(usize, Side)]| {
        let neurons: Vec<usize> = batch.iter().map(|row| row.0).collect();
        let signs: Vec<f64> = batch.iter().map(|row| if row.1 == Side::Lower { 1.0 } else { -1.0 }).collect();
        let mut extras = Extras::default();
        extras.slopes.iter_mut().zip(batch).for_each(|(own, row)| *own = slopes(row));
        let rows = Rows::single(&region.prover.nodes[node], &neurons, &signs);
        let sums = Sums { constant: [0.0; LANES], error: [0.0; LANES] };
        let pass = Pass { region, extras: &extras, start: node, reach: Reach::Box, rigorous: true };
        let lower = pass.run(rows, sums, &mut |_, _, _| {});
        lower[..batch.len()].to_vec()
    };
    rows.par_chunks(LANES).flat_map_iter(bounds).collect()
}

/// Lower bounds of objectives on the output; without error terms unless `rigorous`.
pub(super) fn objectives(
    region: &Region,
    objectives: &[Objective],
    leaves: &[Leaf<'_>],
    reach: Reach,
    rigorous: bool,
) -> Vec<f64> {
    let start = region.prover.nodes.len() - 1;
    let bounds = |(objectives, leaves): (&[Objective], &[Leaf<'_>])| {
        let (rows, sums) = begin(region, objectives);
        let mut extras = Extras::default();
        for (lane, leaf) in leaves.iter().enumerate() {
            extras.slopes[lane] = leaf.slopes;
            extras.splits[lane] = leaf.splits;
            extras.multipliers[lane] = leaf.multipliers;
        }
        let lower = Pass { region, extras: &extras, start, reach, rigorous }.run(rows, sums, &mut |_, _, _| {});
        lower[..objectives.len()].to_vec()
    };
    objectives.par_chunks(LANES).zip(leaves.par_chunks(LANES)).flat_map_iter(bounds).collect()
}

/// What the chords cost objectives with the default slopes: for each ReLU layer Σ over the objectives of max(−A, 0) · intercept, A the
/// coefficient at the ReLU's output, by stored element. No error terms: it proves nothing.
pub(super) fn chord_costs(region: &Region, objectives: &[Objective]) -> Vec<Vec<f64>> {
    let prover = &region.prover;
    let start = prover.nodes.len() - 1;
    let mut costs: Vec<Vec<f64>> = (0..prover.layers()).map(|layer| vec![0.0; prover.neurons(layer)]).collect();
    for batch in objectives.chunks(LANES) {
        let (rows, sums) = begin(region, batch);
        let pass = Pass { region, extras: &Extras::default(), start, reach: Reach::Box, rigorous: false };
        pass.run(rows, sums, &mut |layer, rows, lines| {
            for ((cost, lanes), &intercept) in costs[layer].iter_mut().zip(rows).zip(&lines.intercept) {
                *cost += lanes.iter().map(|a| (-a).max(0.0)).sum::<f64>() * intercept;
            }
        });
    }
    costs
}

/// Coefficients and sums of at most [`LANES`] objectives at the output.
fn begin(region: &Region, objectives: &[Objective]) -> (Rows, Sums) {
    let prover = &region.prover;
    let start = prover.nodes.len() - 1;
    let (node, known) = (&prover.nodes[start], &region.bounds[start]);
    let mut rows = Rows::dense(node);
    let mut sums = Sums { constant: [0.0; LANES], error: [0.0; LANES] };
    for (lane, objective) in objectives.iter().enumerate() {
        for (neuron, &coefficient) in objective.coefficients.iter().enumerate() {
            let element = node.element(neuron);
            rows.data[element][lane] = coefficient;
            let error = objective.errors.get(neuron).copied().unwrap_or(0.0);
            // A coefficient without an error costs nothing, whatever the output may be.
            if error != 0.0 {
                sums.error[lane] += error * known.lower[element].abs().max(known.upper[element].abs());
            }
        }
        sums.constant[lane] = -objective.bound;
        sums.error[lane] += prover.gamma_all * objective.bound.abs();
    }
    (rows, sums)
}

/// Where a pass may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// At the box.
    Box,
    /// At the box or right below the last affine map, whichever bound is better.
    Either,
    /// Right below the last affine map: interval arithmetic with that map elided.
    Interval,
}

/// One batch on its way.
struct Pass<'a> {
    region: &'a Region,
    extras: &'a Extras<'a>,
    start: usize,
    reach: Reach,
    /// Whether error terms count.
    rigorous: bool,
}

impl Pass<'_> {
    /// Calls `at_relu(layer, coefficients at its output, lines)` on the way, where those are of a whole image.
    fn run(&self, rows: Rows, mut sums: Sums, at_relu: &mut dyn FnMut(usize, &[Lanes], &Relaxation)) -> Lanes {
        let prover: &Prover = &self.region.prover;
        let mut best = [f64::NEG_INFINITY; LANES];
        let mut pending: Vec<Option<Rows>> = (0..=self.start).map(|_| None).collect();
        pending[self.start] = Some(rows);
        if self.reach != Reach::Box && !prover.nodes[self.start].is_affine() {
            self.improve(&mut best, pending[self.start].as_ref(), self.start, sums);
            if self.reach == Reach::Interval {
                return best;
            }
        }
        for index in (0..=self.start).rev() {
            let Some(mut rows) = pending[index].take() else { continue };
            let node = &prover.nodes[index];
            match &node.step {
                Step::Input => self.improve(&mut best, Some(&rows.whole(node)), index, sums),
                Step::Affine(affine) => {
                    let below = self.affine(affine, index, rows, &mut sums);
                    if self.reach != Reach::Box && index == self.start {
                        self.improve(&mut best, Some(&below), node.inputs[0], sums);
                        if self.reach == Reach::Interval {
                            return best;
                        }
                    }
                    self.push(&mut pending, node.inputs[0], below, &mut sums);
                }
                Step::Relu(layer) => {
                    if let (None, Rule::Relu(lines)) = (&rows.origin, &self.region.rules[index]) {
                        at_relu(*layer, &rows.data, lines);
                    }
                    self.relu(*layer, index, &mut rows, &mut sums);
                    self.push(&mut pending, node.inputs[0], rows, &mut sums);
                }
                Step::Add => {
                    self.push(&mut pending, node.inputs[0], rows.clone(), &mut sums);
                    self.push(&mut pending, node.inputs[1], rows, &mut sums);
                }
            }
        }
        best
    }

    /// Takes the bound into account that the box of `node` gives, where nothing else is pending.
    fn improve(&self, best: &mut Lanes, rows: Option<&Rows>, node: usize, mut sums: Sums) {
        let rows = rows.expect("coefficients of the start");
        debug_assert!(rows.origin.is_none());
        kernels::concretise(&rows.data, &self.region.bounds[node], self.region.prover.gamma_all, &mut sums);
        for (lane, best) in best.iter_mut().enumerate() {
            let error = sums.error[lane] * INFLATE + self.region.underflow;
            let bound = match self.rigorous {
                true => (sums.constant[lane] - error).next_down(),
                false => sums.constant[lane],
            };
            // NaN proves nothing.
            if bound > *best {
                *best = bound;
            }
        }
    }

    fn push(&self, pending: &mut [Option<Rows>], node: usize, rows: Rows, sums: &mut Sums) {
        pending[node] = Some(match pending[node].take() {
            None => rows,
            Some(first) => {
                let place = &self.region.prover.nodes[node];
                let (mut first, rows) = (first.whole(place), rows.whole(place));
                kernels::merge(&mut first.data, &rows.data, &self.region.bounds[node], UNIT, sums);
                first
            }
        });
    }

    fn affine(&self, affine: &Affine, index: usize, rows: Rows, sums: &mut Sums) -> Rows {
        let prover: &Prover = &self.region.prover;
        let node = &prover.nodes[index];
        let below = &prover.nodes[node.inputs[0]];
        let Rule::Affine(errors) = &self.region.rules[index] else { unreachable!("the rule of an affine map") };
        let (stride, dilation) = (affine.spec.stride, affine.spec.dilation);
        let reach =
            |axis: usize| (rows.extent[axis] - 1) * stride[axis] + (affine.kernel[axis] - 1) * dilation[axis] + 1;
        let extent = [reach(0), reach(1)];
        let window = rows.origin.is_some() && extent[0] * extent[1] < affine.from[0] * affine.from[1];
        let rows = if window { rows } else { rows.whole(node) };

        let errors = if window { &errors.channel } else { &errors.each };
        let support = kernels::account(&rows.data, &affine.bias, errors, sums);
        let mut pulled = match rows.origin {
            None => Rows::dense(below),
            Some(origin) => {
                let moved = |[y, x]: [isize; 2]| {
                    let along =
                        |place: isize, axis: usize| place * stride[axis] as isize - affine.spec.padding[axis] as isize;
                    [along(y, 0), along(x, 1)]
                };
                let data = vec![[0.0; LANES]; extent[0] * extent[1] * below.channels];
                Rows { extent, origin: Some(origin.map(moved)), data }
            }
        };
        // A matrix sees an image as one pixel of many channels.
        let to = match rows.origin {
            None => affine.from,
            Some(_) => extent,
        };
        let padding = if rows.origin.is_some() { [0; 2] } else { affine.spec.padding };
        kernels::pull(affine, &rows.data, rows.extent, &support, &mut pulled.data, to, padding);
        pulled.clear_outside(below);
        pulled
    }

    fn relu(&self, layer: usize, index: usize, rows: &mut Rows, sums: &mut Sums) {
        let Rule::Relu(lines) = &self.region.rules[index] else { unreachable!("the rule of a ReLU") };
        let node = &self.region.prover.nodes[index];
        let gamma = self.region.prover.gamma_all;
        let table = &self.region.slopes.places[layer];
        if rows.origin.is_some() {
            debug_assert!(self.extras.splits.iter().all(|splits| splits.is_empty()));
            return self.relu_window(lines, table, index, rows, sums);
        }
        // Split neurons are taken out, so that the lines do not touch them, and put back in with their multipliers.
        let mut split = Vec::new();
        for lane in 0..LANES {
            for (at, neuron) in self.extras.splits[lane].iter().enumerate().filter(|(_, split)| split.layer == layer) {
                let element = node.element(neuron.neuron);
                let beta = self.extras.multipliers[lane].get(at).map_or(0.0, |&beta| f64::from(beta));
                let coefficient = std::mem::replace(&mut rows.data[element][lane], 0.0);
                split.push((element, lane, if neuron.active { coefficient - beta } else { 0.0 * coefficient + beta }));
            }
        }
        kernels::relax(&mut rows.data, lines, table, &self.extras.slopes, gamma, sums);
        let bounds = &self.region.bounds[node.inputs[0]];
        for (element, lane, coefficient) in split {
            rows.data[element][lane] = coefficient;
            let magnitude = bounds.lower[element].abs().max(bounds.upper[element].abs());
            sums.error[lane] += coefficient.abs() * (UNIT * magnitude);
        }
    }

    /// [`kernels::relax`] for windows, lane by lane.
    fn relu_window(&self, lines: &Relaxation, table: &[u32], index: usize, rows: &mut Rows, sums: &mut Sums) {
        let node = &self.region.prover.nodes[index];
        let gamma = self.region.prover.gamma_all;
        let mut data = std::mem::take(&mut rows.data);
        rows.inside(node, |lane, stored, element| {
            let (mut constant, mut error) = (sums.constant[lane], sums.error[lane]);
            for c in 0..node.channels {
                let a = data[stored + c][lane];
                if a == 0.0 {
                    continue;
                }
                let at = element + c;
                let (slope, negative) = match a >= 0.0 {
                    true => match (self.extras.slopes[lane], table.get(at)) {
                        (Some(own), Some(&place)) if place != u32::MAX && lines.unstable(at) => {
                            (f64::from(own[place as usize]), 0.0)
                        }
                        _ => (lines.lower[at], 0.0),
                    },
                    false => (lines.upper[at], a),
                };
                let through = a * slope;
                data[stored + c][lane] = through;
                constant += negative * lines.intercept[at];
                error += through.abs() * lines.rounding[at] + negative.abs() * (lines.intercept[at] * gamma);
            }
            (sums.constant[lane], sums.error[lane]) = (constant, error);
        });
        rows.data = data;
    }
}
