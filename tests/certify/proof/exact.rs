//! Exact minima of networks of two inputs, by going through all activation patterns: each is a polygon on which the network is affine.

use std::sync::Arc;

use smallbox::certify::network::{Operation, ReluNetwork};
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Slopes, Split};

use crate::certify::nets::dense;
use crate::common::random::Random;

/// a·x + b.
type Map = ([f64; 2], f64);

fn at(map: &Map, x: &[f64; 2]) -> f64 {
    map.0[0] * x[0] + map.0[1] * x[1] + map.1
}

/// The part of a polygon where the map is ≥ 0.
fn cut(polygon: &[[f64; 2]], map: &Map) -> Vec<[f64; 2]> {
    let mut kept = Vec::new();
    for (i, p) in polygon.iter().enumerate() {
        let q = &polygon[(i + 1) % polygon.len()];
        let (a, b) = (at(map, p), at(map, q));
        if a >= 0.0 {
            kept.push(*p);
        }
        if (a > 0.0 && b < 0.0) || (a < 0.0 && b > 0.0) {
            let t = a / (a - b);
            kept.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
        }
    }
    kept
}

/// A full pattern: its polygon, the maps of all ReLU inputs, that of the objective.
struct Piece {
    polygon: Vec<[f64; 2]>,
    active: Vec<Vec<bool>>,
    inputs: Vec<Vec<Map>>,
    objective: Map,
}

fn negated(map: &Map) -> Map {
    ([-map.0[0], -map.0[1]], -map.1)
}

/// All pieces of a chain of matrices and ReLUs that are not empty.
fn pieces(network: &ReluNetwork, polygon: Vec<[f64; 2]>, objective: &[f64]) -> Vec<Piece> {
    let identity = vec![([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0)];
    let mut open = vec![(Piece { polygon, active: vec![], inputs: vec![], objective: ([0.0; 2], 0.0) }, identity)];
    for node in network.nodes() {
        let mut next = Vec::new();
        for (mut piece, values) in open {
            match &node.operation {
                Operation::Input => next.push((piece, values)),
                Operation::Linear(w) => {
                    let map = |(row, b): (&[f64], &f64)| {
                        row.iter().zip(&values).fold(([0.0, 0.0], *b), |sum: Map, (w, v)| {
                            ([sum.0[0] + w * v.0[0], sum.0[1] + w * v.0[1]], sum.1 + w * v.1)
                        })
                    };
                    let values = w.weight.chunks(values.len()).zip(&w.bias).map(map).collect();
                    next.push((piece, values));
                }
                Operation::Relu => {
                    piece.inputs.push(values.clone());
                    let mut parts = vec![(piece.polygon.clone(), Vec::<bool>::new())];
                    for map in &values {
                        let mut smaller = Vec::new();
                        for (polygon, active) in parts {
                            for side in [true, false] {
                                let part = cut(&polygon, &if side { *map } else { negated(map) });
                                if !part.is_empty() {
                                    smaller.push((part, [&active[..], &[side]].concat()));
                                }
                            }
                        }
                        parts = smaller;
                    }
                    for (polygon, active) in parts {
                        let zero = ([0.0; 2], 0.0);
                        let values = values.iter().zip(&active).map(|(v, &on)| if on { *v } else { zero }).collect();
                        let active = [&piece.active[..], &[active]].concat();
                        next.push((
                            Piece { polygon, active, inputs: piece.inputs.clone(), objective: ([0.0; 2], 0.0) },
                            values,
                        ));
                    }
                }
                _ => panic!("a chain of matrices and ReLUs"),
            }
        }
        open = next;
    }
    let finish = |(mut piece, values): (Piece, Vec<Map>)| {
        for (c, v) in objective.iter().zip(&values) {
            piece.objective.0[0] += c * v.0[0];
            piece.objective.0[1] += c * v.0[1];
            piece.objective.1 += c * v.1;
        }
        piece
    };
    open.into_iter().map(finish).collect()
}

fn minimum<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> f64 {
    let corners = pieces.into_iter().flat_map(|p| p.polygon.iter().map(|x| at(&p.objective, x)));
    corners.fold(f64::INFINITY, f64::min)
}

const SQUARE: [[f64; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];

#[test]
fn bounds_never_exceed_the_exact_minimum() {
    let mut random = Random::new(21);
    let (mut cases, mut empty) = (0, 0);
    for seed in 0..12 {
        let network = dense(300 + seed, &[2, 5, 4, 2]);
        let prover = Arc::new(Prover::new(&network).unwrap());
        let all: Vec<(usize, usize)> = (0..5).map(|n| (0, n)).chain((0..4).map(|n| (1, n))).collect();
        let slopes = Arc::new(Slopes::new(&prover, all.clone()).unwrap());
        for derivation in [Derivation::Interval, Derivation::Crown(Vec::new())] {
            let root = Region::new(&prover, &[-1.0; 2], &[1.0; 2], &slopes, derivation).unwrap();
            for _ in 0..40 {
                let objective = [random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0)];
                let pieces = pieces(&network, SQUARE.to_vec(), &objective);
                let mut splits: Vec<Split> = Vec::new();
                for &(layer, neuron) in &all {
                    if random.below(3) == 0 {
                        splits.push(Split { layer, neuron, active: random.below(2) == 0 });
                    }
                }
                let obeys = |p: &&Piece| splits.iter().all(|s| p.active[s.layer][s.neuron] == s.active);
                let exact = minimum(pieces.iter().filter(obeys));
                let own: Vec<f32> = all.iter().map(|_| random.uniform(0.0, 1.0) as f32).collect();
                let beta: Vec<f32> = splits.iter().map(|_| random.uniform(0.0, 0.5) as f32).collect();
                let leaf = Leaf { slopes: Some(&own), splits: &splits, multipliers: &beta };
                let objective = [Objective::exact(objective.to_vec(), 0.0)];
                let refined = root.refine(&splits).unwrap();
                for region in [Some(&root), refined.as_ref()] {
                    let Some(region) = region else {
                        assert_eq!(exact, f64::INFINITY, "a part with points was found to be empty");
                        empty += 1;
                        continue;
                    };
                    for leaf in [leaf, Leaf { slopes: None, ..leaf }, Leaf { multipliers: &[], ..leaf }] {
                        let bound = region.lower_bounds(&objective, &[leaf]).unwrap()[0];
                        assert!(bound <= exact + 1e-9, "seed {seed}: {bound} was proved, the minimum is {exact}");
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 2000 && empty > 20, "{cases} cases, {empty} empty parts");
}

/// Where all neurons are split the network is affine, and the best multipliers (those of the constraints that meet in the minimum)
/// give the minimum itself.
#[test]
fn the_best_multipliers_reach_the_exact_minimum() {
    let mut random = Random::new(22);
    let mut reached = 0;
    for seed in 0..20 {
        let network = dense(400 + seed, &[2, 4, 3, 2]);
        let prover = Arc::new(Prover::new(&network).unwrap());
        let region = Region::crown(&prover, &[-1.0; 2], &[1.0; 2]).unwrap();
        let objective = [random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0)];
        for piece in pieces(&network, SQUARE.to_vec(), &objective) {
            let exact = minimum([&piece]);
            let mut splits = Vec::new();
            for (layer, active) in piece.active.iter().enumerate() {
                splits.extend(active.iter().enumerate().map(|(neuron, &active)| Split { layer, neuron, active }));
            }
            // A constraint's gradient: the map is ≥ 0 on the piece.
            let normals: Vec<[f64; 2]> = splits
                .iter()
                .map(|s| {
                    let map = piece.inputs[s.layer][s.neuron];
                    if s.active { map.0 } else { negated(&map).0 }
                })
                .collect();
            let g = piece.objective.0;
            let mut candidates = vec![vec![0.0f32; splits.len()]];
            let mut candidate = |values: &[(usize, f64)]| {
                if values.iter().all(|(_, v)| (0.0..1e6).contains(v)) {
                    let mut beta = vec![0.0f32; splits.len()];
                    values.iter().for_each(|&(i, v)| beta[i] = v as f32);
                    candidates.push(beta);
                }
            };
            for i in 0..splits.len() {
                for axis in 0..2 {
                    candidate(&[(i, g[axis] / normals[i][axis])]);
                }
                for j in 0..i {
                    let (a, b) = (normals[i], normals[j]);
                    let det = a[0] * b[1] - a[1] * b[0];
                    candidate(&[(i, (g[0] * b[1] - g[1] * b[0]) / det), (j, (a[0] * g[1] - a[1] * g[0]) / det)]);
                }
            }
            let objectives = vec![Objective::exact(objective.to_vec(), 0.0); candidates.len()];
            let leaves: Vec<Leaf> =
                candidates.iter().map(|beta| Leaf { slopes: None, splits: &splits, multipliers: beta }).collect();
            let bounds = region.lower_bounds(&objectives, &leaves).unwrap();
            let best = bounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(best <= exact + 1e-9, "seed {seed}: {best} was proved, the minimum is {exact}");
            assert!(best >= exact - 1e-4, "seed {seed}: {best} is the best bound, the minimum is {exact}");
            reached += 1;
        }
    }
    assert!(reached > 150, "{reached}");
}

/// Chord costs of two objectives against sums by hand: from the last matrix through one layer, and one layer further.
#[test]
fn chord_costs_are_what_intercepts_take_from_the_bounds() {
    let mut dear = 0;
    for seed in 0..20 {
        let network = dense(seed, &[3, 7, 6, 3]);
        let prover = Arc::new(Prover::new(&network).unwrap());
        let region = Region::crown(&prover, &[-0.7; 3], &[0.6; 3]).unwrap();
        let objectives = [vec![1.0, -1.0, 0.0], vec![0.0, 2.0, -1.0]];
        let matrix = |node: usize| match &network.nodes()[node].operation {
            Operation::Linear(w) => (w.weight.clone(), w.shape[1]),
            _ => unreachable!("linear, ReLU, linear, ReLU, linear"),
        };
        let transposed = |a: &[f64], node: usize| -> Vec<f64> {
            let (w, n) = matrix(node);
            (0..n).map(|j| a.iter().enumerate().map(|(i, a)| a * w[i * n + j]).sum()).collect()
        };
        let mut wanted = [vec![0.0; 7], vec![0.0; 6]];
        for objective in &objectives {
            let mut a = transposed(objective, 5);
            for layer in [1, 0] {
                let (lower, upper) = region.bounds(layer);
                for (i, a) in a.iter_mut().enumerate() {
                    let (l, u) = (lower[i], upper[i]);
                    let open = l < 0.0 && u > 0.0;
                    wanted[layer][i] += if open && *a < 0.0 { -*a * -l * u / (u - l) } else { 0.0 };
                    *a *= match (open, *a < 0.0) {
                        (true, true) => u / (u - l),
                        (true, false) => f64::from(u8::from(u > -l)),
                        (false, _) => f64::from(u8::from(l >= 0.0)),
                    };
                }
                a = if layer == 1 { transposed(&a, 3) } else { a };
            }
        }
        let exact = |c: &Vec<f64>| Objective::exact(c.clone(), 0.25);
        let found = region.chord_costs(&objectives.iter().map(exact).collect::<Vec<Objective>>()).unwrap();
        for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((found - wanted).abs() <= 1e-12 * (1.0 + wanted), "seed {seed}: {found} for {wanted}");
            dear += usize::from(*wanted > 0.1);
        }
    }
    assert!(dear > 20, "{dear}");
    let prover = Arc::new(Prover::new(&dense(0, &[3, 7, 3])).unwrap());
    let region = Region::interval(&prover, &[0.0; 3], &[1.0; 3]).unwrap();
    assert!(region.chord_costs(&[Objective::exact(vec![1.0; 2], 0.0)]).is_err());
}
