//! No bound may be violated by any point.

use std::sync::Arc;

use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Slopes, Split};

use crate::certify::nets::{kinds, values};
use crate::common::random::Random;

fn sample(random: &mut Random, lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let corner = random.below(3);
    let draw = |(l, u): (&f64, &f64)| match corner {
        0 => {
            if random.below(2) == 0 {
                *l
            } else {
                *u
            }
        }
        1 => random.uniform(*l, *u).clamp(*l, *u),
        _ => [*l, *u, random.uniform(*l, *u).clamp(*l, *u)][random.below(3)],
    };
    lower.iter().zip(upper).map(draw).collect()
}

#[test]
fn no_point_is_outside_the_bounds() {
    for (name, network) in kinds() {
        for seed in 0..4 {
            check(name, &network, seed);
        }
    }
}

fn check(name: &str, network: &ReluNetwork, seed: u64) {
    let mut random = Random::new(100 + seed);
    let prover = Arc::new(Prover::new(network).unwrap());
    let n = prover.inputs();
    let radius = [0.02, 0.1, 0.3, 1.0][seed as usize % 4];
    let center: Vec<f64> = (0..n).map(|_| random.uniform(-1.0, 1.0)).collect();
    let (lower, upper): (Vec<f64>, Vec<f64>) = center.iter().map(|c| (c - radius, c + radius)).unzip();
    let mut entries = Vec::new();
    for layer in 0..prover.layers() {
        entries.extend((0..prover.neurons(layer)).filter(|_| random.below(2) == 0).map(|neuron| (layer, neuron)));
    }
    let slopes = Arc::new(Slopes::new(&prover, entries).unwrap());
    let regions = [Derivation::Interval, Derivation::Crown(Vec::new())]
        .map(|derivation| Region::new(&prover, &lower, &upper, &slopes, derivation).unwrap());
    // Objectives with random slopes, splits, multipliers.
    let mut cases = Vec::new();
    for _ in 0..30 {
        let coefficients: Vec<f64> = (0..prover.outputs()).map(|_| random.uniform(-1.0, 1.0)).collect();
        let own: Vec<f32> = slopes.entries().iter().map(|_| random.uniform(0.0, 1.0) as f32).collect();
        let mut splits: Vec<Split> = Vec::new();
        for _ in 0..random.below(5) {
            let layer = random.below(prover.layers());
            let unstable = regions[0].unstable(layer);
            if unstable.is_empty() {
                continue;
            }
            let neuron = unstable[random.below(unstable.len())];
            if splits.iter().all(|s| (s.layer, s.neuron) != (layer, neuron)) {
                splits.push(Split { layer, neuron, active: random.below(2) == 0 });
            }
        }
        let multipliers: Vec<f32> = splits.iter().map(|_| random.uniform(0.0, 0.2) as f32).collect();
        cases.push((coefficients, own, splits, multipliers));
    }
    let objectives: Vec<Objective> = cases.iter().map(|c| Objective::exact(c.0.clone(), 0.25)).collect();
    let leaves: Vec<Leaf> = cases
        .iter()
        .enumerate()
        .map(|(i, c)| Leaf { slopes: (i % 3 != 0).then_some(&c.1[..]), splits: &c.2, multipliers: &c.3 })
        .collect();
    let bounds = regions.each_ref().map(|r| r.lower_bounds(&objectives, &leaves).unwrap());
    let relus = network.relus();
    let mut gap = vec![f64::INFINITY; cases.len()];
    for _ in 0..2000 {
        let x = sample(&mut random, &lower, &upper);
        let values = values(network, &x);
        for region in &regions {
            for (layer, &node) in relus.iter().enumerate() {
                let before = network.nodes()[node].inputs[0];
                let (l, u) = region.bounds(layer);
                for (i, v) in values[before].iter().enumerate() {
                    assert!(
                        l[i] <= *v && *v <= u[i],
                        "{name} {seed} layer {layer} neuron {i}: {v} not in [{}, {}]",
                        l[i],
                        u[i]
                    );
                }
            }
        }
        let y = values.last().unwrap();
        for (i, (coefficients, _, splits, _)) in cases.iter().enumerate() {
            let obeys = splits.iter().all(|s| {
                let v = values[network.nodes()[relus[s.layer]].inputs[0]][s.neuron];
                if s.active { v >= 0.0 } else { v <= 0.0 }
            });
            if !obeys {
                continue;
            }
            let value = coefficients.iter().zip(y).map(|(c, y)| c * y).sum::<f64>() - 0.25;
            for (k, b) in bounds.iter().enumerate() {
                assert!(b[i] <= value, "{name} {seed} case {i} region {k}: {} > {value}", b[i]);
                gap[i] = gap[i].min(value - b[i]);
            }
        }
    }
    println!("{name} {seed}: gaps {:?}", &gap[..6]);
}
