//! Exact decisions: domains and whole claims on networks of two inputs, against the truth by enumeration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallbox::certify::branch::Node;
use smallbox::certify::cascade::{Method, Outcome, Settings, Stage, Verdict};
use smallbox::certify::certificate::{About, Checker, Part, Verdict as Checked};
use smallbox::certify::exact::{Decider, Decision, Domain, Proposal};
use smallbox::certify::network::{Entry, Operation, ReluNetwork, Weights};
use smallbox::certify::proof::{Prover, Region, Split};
use smallbox::certify::property::{Constraint, Property};
use smallbox::device::cpu::CpuSession;
use smallbox::ops::Conv2dSpec;

use super::branch::{decide, hold, settings};
use super::nets::Builder;
use super::{oracle, regions};
use crate::common::random::Random;

const KINDS: usize = 5;

/// Two inputs, three outputs; with two or three hidden layers, a sum, two convolutions, or behind an entry.
fn network(case: u64) -> ReluNetwork {
    let width = 3 + case as usize / KINDS % 4;
    let dense = |b: &mut Builder, layers: usize| {
        for _ in 0..layers {
            b.linear(width);
            b.relu();
        }
    };
    let seed = 1000 + case;
    let mut builder = match case as usize % KINDS {
        0 => {
            let mut b = Builder::new(seed, &[2]);
            dense(&mut b, 2);
            b
        }
        1 => {
            let mut b = Builder::new(seed, &[2]);
            dense(&mut b, 3);
            b
        }
        2 => {
            let mut b = Builder::new(seed, &[2]);
            b.linear(width);
            let first = b.relu();
            dense(&mut b, 1);
            let branch = b.linear(width);
            b.add(branch, first);
            b.relu();
            b
        }
        3 => {
            let mut b = Builder::new(seed, &[1, 1, 2]);
            b.conv(2, [1, 2], Conv2dSpec { stride: [1, 1], padding: [0, 1], dilation: [1, 1] });
            b.relu();
            b.conv(2, [1, 3], Conv2dSpec { stride: [1, 2], padding: [0, 1], dilation: [1, 1] });
            b.relu();
            b
        }
        _ => {
            let mut b = Builder::new(seed, &[2]);
            let entry =
                Entry { scale: vec![1.5, -0.7], scale_error: 0.0, shift: vec![0.1, 0.2], shift_error: vec![0.0; 2] };
            b.network = ReluNetwork::new([2], Some(entry)).unwrap();
            dense(&mut b, 2);
            b
        }
    };
    builder.linear(3);
    builder.network
}

/// A box, and clauses of one constraint or of two, with bounds such that the least value is `margin` times the greatest.
fn property(network: &ReluNetwork, random: &mut Random, clauses: &[usize], margin: f64) -> Property {
    let center = [random.uniform(-0.5, 0.5), random.uniform(-0.5, 0.5)];
    let radius = [random.uniform(0.2, 1.5), random.uniform(0.2, 1.5)];
    let mut constraint =
        || Constraint { coefficients: (0..3).map(|_| random.uniform(-1.0, 1.0)).collect(), bound: 0.0 };
    let clauses = clauses.iter().map(|&n| (0..n).map(|_| constraint()).collect()).collect();
    let ends = |sign: f64| (0..2).map(|i| center[i] + sign * radius[i]).collect();
    let mut property = Property { lower: ends(-1.0), upper: ends(1.0), clauses };
    let shift = |property: &mut Property, clause: usize, by: f64| {
        property.clauses[clause].iter_mut().for_each(|constraint| constraint.bound += by);
    };
    for clause in 0..property.clauses.len() {
        let alone = Property { clauses: vec![property.clauses[clause].clone()], ..property.clone() };
        shift(&mut property, clause, regions::least(network, &alone).0);
    }
    let (_, size) = regions::least(network, &property);
    for clause in 0..property.clauses.len() {
        // The last one is as close as asked for, the others hold with some room.
        let wanted = if clause + 1 == property.clauses.len() { margin } else { margin.abs() + 0.01 };
        shift(&mut property, clause, -wanted * size);
    }
    property
}

/// Least of the greatest values of a clause's constraints at a point, over clauses: not positive iff the point breaks the claim.
fn value(network: &ReluNetwork, property: &Property, x: &[f64]) -> f64 {
    let y = oracle::evaluate(network, x);
    let of = |c: &Constraint| c.coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>() - c.bound;
    let clause = |clause: &Vec<Constraint>| clause.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    property.clauses.iter().map(clause).fold(f64::INFINITY, f64::min)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn the_truth_is_right() {
    // A tent of height h on the line x = 0.71: the least value of y_0 − y_1 is exactly 1 − h.
    for height in [0.9, 1.1] {
        let spike = spike(height);
        let property = Property::label(vec![0.0; 2], vec![1.0; 2], 2, 0);
        let (least, _) = regions::least(&spike, &property);
        assert!((least - (1.0 - height)).abs() < 1e-4, "{least}");
        // Four pieces by three lines.
        assert_eq!(regions::pieces(&spike, &property).len(), 4);
    }
    for case in 0..20 {
        let network = network(case);
        let random = &mut Random::new(case);
        let property = property(&network, random, &[1, 2], 0.0);
        let (least, size) = regions::least(&network, &property);
        let (mut sampled, mut area) = (f64::INFINITY, 0.0);
        for piece in regions::pieces(&network, &property) {
            let corner = |i: usize| piece.corners[i % piece.corners.len()];
            area += (0..piece.corners.len())
                .map(|i| 0.5 * (corner(i)[0] * corner(i + 1)[1] - corner(i + 1)[0] * corner(i)[1]))
                .sum::<f64>();
            // The affine map is the network's, at a point inside.
            let n = piece.corners.len() as f64;
            let middle: Vec<f64> = (0..2).map(|a| piece.corners.iter().map(|c| c[a]).sum::<f64>() / n).collect();
            let y = oracle::evaluate(&network, &middle);
            for (k, y) in y.iter().enumerate() {
                let affine = piece.outputs[0][k] + piece.outputs[1][k] * middle[0] + piece.outputs[2][k] * middle[1];
                assert!((affine - y).abs() < 1e-9, "case {case}");
            }
            for corner in &piece.corners {
                sampled = sampled.min(value(&network, &property, corner));
            }
        }
        for _ in 0..2000 {
            let x: Vec<f64> = (0..2).map(|i| random.uniform(property.lower[i], property.upper[i])).collect();
            sampled = sampled.min(value(&network, &property, &x));
        }
        let all: f64 = (0..2).map(|i| property.upper[i] - property.lower[i]).product();
        assert!((area - all).abs() < 1e-9 * all, "case {case}: pieces of area {area} in a box of {all}");
        assert!(least <= sampled + 1e-9 * size, "case {case}: {least} above a value of {sampled}");
    }
}

/// Calls `visit` for all real domains of a network and some that are empty or nearly so, with the affine piece of a real one.
fn domains(
    network: &ReluNetwork,
    property: &Property,
    region: &Region,
    random: &mut Random,
    mut visit: impl FnMut(&[Split], Option<&regions::Piece>),
) {
    let layers = 0..region.prover().layers();
    let table: Vec<(usize, usize)> =
        layers.flat_map(|layer| region.unstable(layer).into_iter().map(move |neuron| (layer, neuron))).collect();
    let with = |sign: &dyn Fn(usize, usize) -> bool| -> Vec<Split> {
        table.iter().map(|&(layer, neuron)| Split { layer, neuron, active: sign(layer, neuron) }).collect()
    };
    for piece in regions::pieces(network, property) {
        let mut splits = with(&|layer, neuron| piece.active[layer][neuron]);
        visit(&splits, Some(&piece));
        // One other sign: most of these domains are empty, some are another piece.
        if !splits.is_empty() {
            let other = random.below(splits.len());
            splits[other].active = !splits[other].active;
            visit(&splits, None);
        }
    }
}

#[test]
fn domains_are_decided_as_they_are() {
    let (mut proved, mut tight, mut refuted, mut empty) = (0, 0, 0, 0);
    for case in 0..60u64 {
        let network = network(case);
        let random = &mut Random::new(7 * case);
        let margin = [2e-4, -2e-4, 0.1, -0.1][case as usize / KINDS % 4];
        let property = property(&network, random, &[1 + case as usize % 2], margin);
        let (least, size) = regions::least(&network, &property);
        let prover = Arc::new(Prover::new(&network).unwrap());
        let region = Region::crown(&prover, &property.lower, &property.upper).unwrap();
        let decider = Decider::new(&network);
        let mut lowest_refuted = false;
        domains(&network, &property, &region, random, |splits, piece| {
            let domain = Domain { region: &region, property: &property, clause: 0, splits, slopes: None };
            let truth = piece.map(|piece| regions::least_of(piece, &property.clauses[0]).0);
            match decider.decide(&domain, soon()).unwrap() {
                Decision::Proved { lower, weights, multipliers } => {
                    proved += 1;
                    assert!(lower > 0.0 && weights.iter().chain(&multipliers).all(|&m| m >= 0.0));
                    // Weights of several constraints sum to 1 up to the solver's accuracy.
                    let lower = lower / weights.iter().map(|&w| f64::from(w)).sum::<f64>();
                    match truth {
                        Some(truth) => {
                            assert!(lower <= truth + 1e-9 * size, "case {case}: {lower} proved of {truth}");
                            tight += usize::from(lower > truth - 1e-5 * size);
                        }
                        None => empty += 1,
                    }
                    assert!(margin < 0.0 || lower > least - 1e-5 * size, "case {case}: {lower}, everywhere {least}");
                }
                Decision::Refuted { point } => {
                    refuted += 1;
                    assert!((0..2).all(|i| property.lower[i] <= point[i] && point[i] <= property.upper[i]));
                    assert!(value(&network, &property, &point) <= 0.0, "case {case}");
                    lowest_refuted |= truth.is_some_and(|truth| truth <= least + 1e-9 * size);
                }
                // The program's least value is no less than the network's over the whole box.
                Decision::Close => {
                    assert!(margin < 0.0, "case {case}: open, but the value stays above {least}");
                    assert!(truth.is_none_or(|truth| truth > least + 1e-9 * size), "case {case}: open at {least}");
                }
                Decision::Large { .. } => panic!("case {case}"),
            }
        });
        assert_eq!(lowest_refuted, margin < 0.0, "case {case}: the domain of the least value {least}");
    }
    println!("proved {proved} ({tight} tight, {empty} of other signs), refuted {refuted}");
    assert!(proved > 500 && refuted > 50 && empty > 100 && tight > 100, "{proved} {tight} {refuted} {empty}");
}

#[test]
fn claims_are_decided_as_they_are() {
    let (mut by_search, mut certified, mut falsified, mut unproved, mut constant) = (0, 0, 0, 0, 0);
    for case in 0..120u64 {
        let network = network(case);
        let random = &mut Random::new(31 * case);
        let margin = [1e-6, -1e-6, 2e-4, -2e-4, 0.05, -0.05][case as usize / KINDS % 6];
        let clauses: &[usize] = [&[1usize][..], &[2], &[1, 1], &[2, 1]][case as usize / 3 % 4];
        let claim =
            smallbox::certify::cascade::Claim { property: property(&network, random, clauses, margin), point: None };
        let (least, size) = regions::least(&network, &claim.property);
        // Two convolutions may leave nothing but zeros: no margin can be set there.
        if size == 0.0 {
            constant += 1;
            continue;
        }
        assert!((least - margin * size).abs() < 0.2 * margin.abs() * size, "case {case}: {least}");
        // Without the attack: the search has to find counter-examples itself.
        let settings = Settings { attack: None, ..settings(Method::Bab) };
        let outcome = decide(&mut CpuSession::new(), &network, std::slice::from_ref(&claim), settings).remove(0);
        hold(&network, &claim, &outcome);
        by_search += usize::from(outcome.stage == Stage::Bab);
        match outcome.verdict {
            Verdict::Certified => {
                certified += 1;
                assert!(least > 0.0, "case {case}: certified at {least}");
                unproved += usize::from(needs_its_multipliers(&network, &claim.property, &outcome));
            }
            Verdict::Falsified => {
                falsified += 1;
                assert!(least < 0.0, "case {case}: falsified at {least}");
            }
            _ => panic!("case {case}: {outcome:?}, the least value is {least}"),
        }
    }
    println!(
        "certified {certified}, falsified {falsified}, by the search {by_search}; {unproved} need their multipliers"
    );
    assert!(constant <= 3, "{constant} networks that are constant on their boxes");
    assert!(certified > 40 && falsified > 40 && by_search > 60 && unproved > 5, "{certified} {falsified} {by_search}");
}

/// Whether the checker rejects the certificate without its multipliers, or with those of its leaves halved.
fn needs_its_multipliers(network: &ReluNetwork, property: &Property, outcome: &Outcome) -> bool {
    let proof = outcome.proof.as_ref().expect("a proof");
    let searched = proof.trees.iter().any(|tree| tree.nodes.iter().any(|node| matches!(node, Node::Split { .. })));
    let certificate = proof.certificate(network, property, About::default());
    let checker = Checker::new(network).unwrap();
    let rejected = [0.0, 0.5].map(|factor| {
        let mut changed = certificate.clone();
        for part in changed.trees.iter_mut().flat_map(|tree| &mut tree.parts) {
            if let Part::Leaf { multipliers, .. } = part {
                multipliers.iter_mut().for_each(|m| *m *= factor);
            }
        }
        matches!(checker.check(&changed).unwrap(), Checked::Failed { .. })
    });
    assert!(searched || rejected == [false; 2], "no multipliers, and they count");
    rejected == [true; 2]
}

/// relu(x − 0.70) − 2 relu(x − 0.71) + relu(x − 0.72), which lifts the second output on a hundredth of the box.
pub fn spike(height: f64) -> ReluNetwork {
    let hidden = Weights::exact([3, 2], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[-0.70, -0.71, -0.72]);
    let (up, down) = (100.0 * height as f32, -200.0 * height as f32);
    let last = Weights::exact([2, 3], &[0.0, 0.0, 0.0, up, down, up], &[1.0, 0.0]);
    let mut network = ReluNetwork::new([2], None).unwrap();
    network.push(Operation::Linear(Arc::new(hidden)), &[0]).unwrap();
    network.push(Operation::Relu, &[1]).unwrap();
    network.push(Operation::Linear(Arc::new(last)), &[2]).unwrap();
    network
}

#[test]
fn a_wrong_solver_is_not_believed() {
    let property = Property::label(vec![0.0; 2], vec![1.0; 2], 2, 0);
    for height in [0.9, 1.1] {
        let network = spike(height);
        let prover = Arc::new(Prover::new(&network).unwrap());
        let region = Region::crown(&prover, &property.lower, &property.upper).unwrap();
        // The rising side of the spike: 0.70 ≤ x ≤ 0.71.
        let splits = [true, false, false].map(|active| active);
        let splits: Vec<Split> =
            splits.iter().enumerate().map(|(neuron, &active)| Split { layer: 0, neuron, active }).collect();
        let domain = Domain { region: &region, property: &property, clause: 0, splits: &splits, slopes: None };
        let right = Decider::new(&network).propose(&domain, soon()).unwrap();
        let proved = |proposal: &Proposal| matches!(domain.confirm(proposal), Ok(Decision::Proved { .. }));
        let refuted = |proposal: &Proposal| matches!(domain.confirm(proposal), Ok(Decision::Refuted { .. }));
        if height < 1.0 {
            assert!(proved(&right));
            // y_1 rises until x = 0.71, where the second neuron's multiplier has to stop it.
            assert!(right.multipliers[1] > 50.0, "{right:?}");
            for factor in [0.0, 0.5, 2.0] {
                let multipliers = right.multipliers.iter().map(|m| m * factor).collect();
                assert!(!proved(&Proposal { multipliers, ..right.clone() }), "multipliers times {factor}");
            }
            assert!(!proved(&Proposal { weights: vec![0.0], ..right.clone() }));
            assert!(!refuted(&Proposal { multipliers: vec![0.0; 3], ..right.clone() }), "no point breaks the claim");
        } else {
            assert!(refuted(&right) && !proved(&right));
            for point in [vec![0.5, 0.5], vec![0.71, 1.5], vec![0.71], vec![f64::NAN, 0.5]] {
                let wrong = Proposal { point: point.clone(), ..right.clone() };
                assert_eq!(domain.confirm(&wrong).unwrap(), Decision::Close, "{point:?}");
            }
            // No multipliers prove what is false.
            let random = &mut Random::new(1);
            for _ in 0..1000 {
                let multipliers = (0..3).map(|_| 10f64.powf(random.uniform(-3.0, 6.0)) as f32).collect();
                assert!(!proved(&Proposal { multipliers, ..right.clone() }));
            }
        }
        // Numbers that are no multipliers are refused.
        for wrong in [-1.0, f32::NAN, f32::INFINITY] {
            let multipliers = vec![right.multipliers[0], wrong, right.multipliers[2]];
            assert!(domain.confirm(&Proposal { multipliers, ..right.clone() }).is_err(), "{wrong}");
        }
        assert!(domain.confirm(&Proposal { multipliers: vec![0.0; 2], ..right.clone() }).is_err());
    }
}

#[test]
fn what_is_too_large_is_left_open() {
    let mut b = Builder::new(1, &[1100]);
    b.linear(1000);
    b.relu();
    b.linear(2);
    let property = Property::label(vec![-1.0; 1100], vec![1.0; 1100], 2, 0);
    let prover = Arc::new(Prover::new(&b.network).unwrap());
    let region = Region::interval(&prover, &property.lower, &property.upper).unwrap();
    let splits: Vec<Split> = (0..1000).map(|neuron| Split { layer: 0, neuron, active: true }).collect();
    let domain = Domain { region: &region, property: &property, clause: 0, splits: &splits, slopes: None };
    let decision = Decider::new(&b.network).decide(&domain, soon()).unwrap();
    assert!(matches!(decision, Decision::Large { entries: 1_100_000, .. }), "{decision:?}");
}
