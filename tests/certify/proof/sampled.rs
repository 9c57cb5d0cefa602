//! No bound may be violated by any point: uniform ones, corners, and such that a search finds.

use std::sync::Arc;

use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Side, Slopes, Split, Start};

use crate::certify::nets::{kinds, values};
use crate::common::random::Random;

/// Points for each network, over all its boxes.
const POINTS: usize = 10_000;
const RADII: [f64; 4] = [0.02, 0.1, 0.3, 1.0];
const CASES: usize = 24;

fn uniform(random: &mut Random, l: f64, u: f64) -> f64 {
    random.uniform(l, u).clamp(l, u)
}

/// A point of the box: inside, at a corner, or in between.
pub fn sample(random: &mut Random, lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let kind = random.below(3);
    let draw = |(&l, &u): (&f64, &f64)| {
        let inner = uniform(random, l, u);
        let end = if random.below(2) == 0 { l } else { u };
        match kind {
            0 => end,
            1 => inner,
            _ => [end, inner][random.below(2)],
        }
    };
    lower.iter().zip(upper).map(draw).collect()
}

/// A neighbour of `x`: some coordinates moved to an end.
fn moved(random: &mut Random, x: &[f64], lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let mut x = x.to_vec();
    for _ in 0..1 + random.below(4) {
        let i = random.below(x.len());
        x[i] = if random.below(2) == 0 { lower[i] } else { upper[i] };
    }
    x
}

/// One bound to be proved, and the best point against it.
struct Case {
    coefficients: Vec<f64>,
    slopes: Vec<f32>,
    splits: Vec<Split>,
    multipliers: Vec<f32>,
    worst: Option<(f64, Vec<f64>)>,
}

#[test]
fn no_point_is_outside_the_bounds() {
    for (name, network) in kinds() {
        let mut reached = 0;
        for (seed, radius) in RADII.into_iter().enumerate() {
            reached += hold(name, &network, seed as u64, radius);
        }
        assert!(reached > CASES, "{name}: only {reached} cases had a point at all");
    }
}

/// Returns the number of cases with a point that obeys their splits.
fn hold(name: &str, network: &ReluNetwork, seed: u64, radius: f64) -> usize {
    let mut random = Random::new(100 + seed);
    let prover = Arc::new(Prover::new(network).expect("fits"));
    let center: Vec<f64> = (0..prover.inputs()).map(|_| random.uniform(-1.0, 1.0)).collect();
    let (lower, upper): (Vec<f64>, Vec<f64>) = center.iter().map(|c| (c - radius, c + radius)).unzip();
    let (slopes, starts) = proposals(&mut random, &prover);
    let derivations =
        [Derivation::Interval, Derivation::Crown(Vec::new()), Derivation::Crown(starts), Derivation::Backward];
    let regions = derivations.map(|d| Region::new(&prover, &lower, &upper, &slopes, d).expect("fits"));
    let mut cases: Vec<Case> = (0..CASES).map(|_| case(&mut random, &regions[0], &slopes)).collect();
    let objectives: Vec<Objective> = cases.iter().map(|c| Objective::exact(c.coefficients.clone(), 0.25)).collect();
    let leaf = |(i, c): (usize, &Case)| -> Vec<f64> {
        let leaf = Leaf { slopes: (i % 3 != 0).then_some(&c.slopes), splits: &c.splits, multipliers: &c.multipliers };
        let of = |region: &Region| region.lower_bounds(&objectives[i..=i], &[leaf]).expect("fits")[0];
        let refined = |region: &Region| region.refine(&c.splits).expect("fits").map_or(f64::INFINITY, |r| of(&r));
        regions.iter().flat_map(|region| [of(region), refined(region)]).collect()
    };
    let bounds: Vec<Vec<f64>> = cases.iter().enumerate().map(leaf).collect();
    let inputs: Vec<usize> = network.relus().iter().map(|&node| network.nodes()[node].inputs[0]).collect();
    let known: Vec<Vec<(Vec<f64>, Vec<f64>)>> =
        regions.iter().map(|region| (0..inputs.len()).map(|layer| region.bounds(layer)).collect()).collect();

    for point in 0..POINTS / RADII.len() {
        let found = cases[point % CASES].worst.as_ref().filter(|_| point % 2 == 1);
        let x = match found {
            Some((_, x)) => moved(&mut random, &x.clone(), &lower, &upper),
            None => sample(&mut random, &lower, &upper),
        };
        let values = values(network, &x);
        for (region, known) in known.iter().enumerate() {
            for (layer, (l, u)) in known.iter().enumerate() {
                for (i, v) in values[inputs[layer]].iter().enumerate() {
                    let (l, u) = (l[i], u[i]);
                    assert!(l <= *v && *v <= u, "{name} {seed}, bounds {region}, {layer}:{i}: {v} not in [{l}, {u}]");
                }
            }
        }
        let y = values.last().expect("an output");
        for (case, bounds) in cases.iter_mut().zip(&bounds) {
            let sign = |s: &Split| if s.active { 1.0 } else { -1.0 };
            if !case.splits.iter().all(|s| sign(s) * values[inputs[s.layer]][s.neuron] >= 0.0) {
                continue;
            }
            let value = case.coefficients.iter().zip(y).map(|(c, y)| c * y).sum::<f64>() - 0.25;
            for (way, bound) in bounds.iter().enumerate() {
                assert!(*bound <= value, "{name} {seed}, way {way}: {bound} was proved, a point has {value}");
            }
            if case.worst.as_ref().is_none_or(|(worst, _)| value < *worst) {
                case.worst = Some((value, x.clone()));
            }
        }
    }
    cases.iter().filter(|case| case.worst.is_some()).count()
}

/// A table of half of the neurons, and starts with random slopes for some.
fn proposals(random: &mut Random, prover: &Prover) -> (Arc<Slopes>, Vec<Start>) {
    let mut entries = Vec::new();
    for layer in 0..prover.layers() {
        entries.extend((0..prover.neurons(layer)).filter(|_| random.below(2) == 0).map(|neuron| (layer, neuron)));
    }
    let slopes = Slopes::new(prover, entries).expect("ascending");
    let mut starts = Vec::new();
    for layer in 0..prover.layers() {
        for neuron in 0..prover.neurons(layer) {
            for side in [Side::Lower, Side::Upper] {
                if random.below(3) == 0 {
                    let own = (0..slopes.before(layer)).map(|_| random.uniform(0.0, 1.0) as f32).collect();
                    starts.push(Start { layer, neuron, side, slopes: own });
                }
            }
        }
    }
    (Arc::new(slopes), starts)
}

fn case(random: &mut Random, region: &Region, slopes: &Slopes) -> Case {
    let prover = region.prover();
    let mut splits: Vec<Split> = Vec::new();
    for _ in 0..random.below(4) {
        let layer = random.below(prover.layers());
        let unstable = region.unstable(layer);
        if unstable.is_empty() {
            continue;
        }
        let neuron = unstable[random.below(unstable.len())];
        if splits.iter().all(|s| (s.layer, s.neuron) != (layer, neuron)) {
            splits.push(Split { layer, neuron, active: random.below(2) == 0 });
        }
    }
    Case {
        coefficients: (0..prover.outputs()).map(|_| random.uniform(-1.0, 1.0)).collect(),
        slopes: slopes.entries().iter().map(|_| random.uniform(0.0, 1.0) as f32).collect(),
        multipliers: splits.iter().map(|_| random.uniform(0.0, 0.2) as f32).collect(),
        splits,
        worst: None,
    }
}

/// Rows in windows, rows with slopes of their own and rows over whole images are the same passes: one neuron's bound does not depend
/// on what else is in its batch.
#[test]
fn the_number_of_threads_changes_nothing() {
    let (_, network) = kinds().remove(2);
    let prover = Arc::new(Prover::new(&network).expect("fits"));
    let bounds = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let region = Region::crown(&prover, &[-0.2; 256], &[0.2; 256]).expect("fits");
            (0..prover.layers()).map(|layer| region.bounds(layer)).collect::<Vec<_>>()
        })
    };
    assert_eq!(bounds(1), bounds(3));
}
