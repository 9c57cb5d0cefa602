//! At which neuron a domain is cut.

use super::domain::{Domain, Neurons};

/// How neurons are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branching {
    /// BaBSR (Bunel et al. 2020): by an estimate of what a split changes in the bound.
    Babsr,
    /// Filtered smart branching (De Palma et al. 2021): the best so many of every ReLU layer by the estimate, and as many by its
    /// intercept part alone, are tried.
    Fsb(usize),
    /// The same with the best of all layers together.
    Kfsb(usize),
}

/// Estimate and its intercept part for every unsplit neuron: (place in the table, estimate, intercept).
///
/// With A the coefficient at the neuron's output, r = u/(u − l) and b the bias of the map before it: an estimate of the change when
/// the relaxation becomes exact is |min(b·A·(r − 1), b·A·r) + min(A, 0)·(−l·r)|, whose second part is what the chord adds.
fn estimates(neurons: &Neurons, domain: &Domain, coefficients: &[Vec<f32>], row: usize) -> Vec<(usize, f32, f32)> {
    let mut split = vec![false; neurons.table.len()];
    domain.splits.iter().for_each(|&(_, place)| split[place] = true);
    let mut found = Vec::with_capacity(split.len());
    for place in (0..split.len()).filter(|&place| !split[place]) {
        let a = neurons.coefficient(coefficients, row, place);
        let (l, u) = neurons.ends[place];
        let (ratio, bias) = (u / (u - l), neurons.bias[place]);
        let intercept = a.min(0.0) * (-l * ratio);
        let moved = (bias * a * (ratio - 1.0)).min(bias * a * ratio);
        found.push((place, (moved + intercept).abs(), -intercept));
    }
    found
}

/// Below this no estimate says anything, and the intercept alone decides (as the authors have it).
const FAINT: f32 = 1e-3;

/// Places of the neurons to consider for `domain`, best first by the estimate: one for BaBSR, the filtered ones for FSB. Empty when
/// every neuron is split.
pub(super) fn candidates(
    branching: Branching,
    neurons: &Neurons,
    domain: &Domain,
    coefficients: &[Vec<f32>],
    row: usize,
) -> Vec<usize> {
    let mut scored = estimates(neurons, domain, coefficients, row);
    if scored.is_empty() {
        return Vec::new();
    }
    // Ties go to the first neuron, so that a search has one course.
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut by_intercept = scored.clone();
    by_intercept.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let (first, second) = if scored[0].1 > FAINT { (&scored, &by_intercept) } else { (&by_intercept, &scored) };
    let mut chosen: Vec<usize> = Vec::new();
    let mut add = |place: usize| {
        if !chosen.contains(&place) {
            chosen.push(place);
        }
    };
    match branching {
        Branching::Babsr => add(first[0].0),
        Branching::Kfsb(k) => {
            for list in [first, second] {
                list.iter().take(k).for_each(|s| add(s.0));
            }
        }
        Branching::Fsb(k) => {
            let layers = neurons.table.last().map_or(0, |&(layer, _)| layer + 1);
            for list in [first, second] {
                for layer in 0..layers {
                    list.iter().filter(|s| neurons.table[s.0].0 == layer).take(k).for_each(|s| add(s.0));
                }
            }
        }
    }
    chosen
}
