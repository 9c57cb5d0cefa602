//! Certificates that were tampered with. Where only bits differ, none may even be read. Where the content differs and the digest is
//! right, an accepted one must still be true: a mutant whose claim has a counter-example must never be proved.

use smallbox::certify::certificate::{Certificate, Checker, Part, Tree, Verdict};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::{Derivation, refutes};
use smallbox::certify::property::Property;

use super::made::{Made, several};
use crate::certify::nets::{dense, values};
use crate::common::random::Random;

/// What a checker makes of a certificate that goes through a file.
fn judged(certificate: &Certificate, network: &ReluNetwork) -> Result<Verdict, String> {
    let bytes = certificate.to_bytes().map_err(|e| e.to_string())?;
    let read = Certificate::from_bytes(&bytes)?;
    Checker::new(network).expect("fits").check(&read).map_err(|e| e.to_string())
}

fn proved(result: &Result<Verdict, String>) -> bool {
    matches!(result, Ok(Verdict::Proved { .. }))
}

#[test]
fn no_flipped_bit_and_no_shorter_file_is_read() {
    let mut random = Random::new(41);
    for made in several(8) {
        let bytes = made.certificate.to_bytes().expect("bytes");
        assert!(Certificate::from_bytes(&bytes).is_ok());
        // The header with its names and the digest bit by bit now and then, the rest at random.
        for _ in 0..100 {
            let mut changed = bytes.clone();
            let at = if random.below(3) == 0 { random.below(1500) } else { random.below(bytes.len()) };
            changed[at] ^= 1 << random.below(8);
            assert!(Certificate::from_bytes(&changed).is_err(), "a flipped bit of byte {at} was not noticed");
        }
        for _ in 0..25 {
            let length = random.below(bytes.len());
            assert!(Certificate::from_bytes(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        assert!(Certificate::from_bytes(&[&bytes[..], b"\0"].concat()).is_err(), "a byte too many");
    }
}

/// Leaves of all trees: (tree, part).
fn leaves(certificate: &Certificate) -> Vec<(usize, usize)> {
    places(certificate, |part| matches!(part, Part::Leaf { .. }))
}

fn places(certificate: &Certificate, wanted: impl Fn(&Part) -> bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (t, tree) in certificate.trees.iter().enumerate() {
        found.extend(tree.parts.iter().enumerate().filter(|(_, part)| wanted(part)).map(|(p, _)| (t, p)));
    }
    found
}

fn one<T: Copy>(random: &mut Random, list: &[T]) -> Option<T> {
    (!list.is_empty()).then(|| list[random.below(list.len())])
}

/// Changes that no checker may accept, whatever the network: `None` where the certificate has no room for one.
fn broken(kind: usize, random: &mut Random, certificate: &Certificate) -> Option<Certificate> {
    let mut c = certificate.clone();
    let with_slopes = places(&c, |p| matches!(p, Part::Leaf { slopes: Some(s), .. } if !s.is_empty()));
    let with_splits = places(&c, |p| matches!(p, Part::Leaf { multipliers, .. } if !multipliers.is_empty()));
    let (t, p) = one(random, &leaves(&c))?;
    match kind {
        0 => {
            let (t, p) = one(random, &with_slopes)?;
            let Part::Leaf { slopes: Some(slopes), .. } = &mut c.trees[t].parts[p] else { unreachable!() };
            let at = random.below(slopes.len());
            slopes[at] = [-0.001, 1.001, f32::NAN, f32::INFINITY, -1e-30][random.below(5)];
        }
        1 => {
            let (t, p) = one(random, &with_splits)?;
            let Part::Leaf { multipliers, .. } = &mut c.trees[t].parts[p] else { unreachable!() };
            let at = random.below(multipliers.len());
            multipliers[at] = [-0.001, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-30][random.below(5)];
        }
        2 => drop(c.trees[t].parts.remove(p)),
        3 => {
            let Part::Leaf { weights, .. } = &mut c.trees[t].parts[p] else { unreachable!() };
            weights[0] = [-1.0, f32::NAN, f32::INFINITY, -1e-30][random.below(4)];
        }
        4 => drop(c.trees.pop()),
        5 => c.trees.push(c.trees[0].clone()),
        6 => drop(c.property.clauses.pop()),
        7 => {
            let (t, p) = one(random, &places(&c, |p| matches!(p, Part::Split { .. })))?;
            let Part::Split { layer, neuron } = &mut c.trees[t].parts[p] else { unreachable!() };
            match random.below(2) {
                0 => *layer += 17,
                _ => *neuron += 100_000,
            }
        }
        8 => {
            // A neuron that is split on the path already.
            let (t, p) = one(random, &places(&c, |p| matches!(p, Part::Split { .. })))?;
            let again = c.trees[t].parts[p].clone();
            let Part::Leaf { weights, slopes, multipliers } = &c.trees[t].parts[first_leaf(&c.trees[t], p)] else {
                unreachable!()
            };
            let more = [&multipliers[..], &[0.0]].concat();
            let leaf = Part::Leaf { weights: weights.clone(), slopes: slopes.clone(), multipliers: more };
            let at = first_leaf(&c.trees[t], p);
            c.trees[t].parts.splice(at..=at, [again, leaf.clone(), leaf]);
        }
        9 => {
            let digit = &mut c.network;
            let first = if digit.starts_with('0') { "1" } else { "0" };
            digit.replace_range(0..1, first);
        }
        10 => {
            let Derivation::Crown(starts) = &mut c.derivation else { return None };
            let start = starts.iter_mut().find(|start| !start.slopes.is_empty())?;
            start.slopes[0] = [-0.5, 1.5, f32::NAN][random.below(3)];
        }
        11 => {
            let last = c.slopes.last_mut()?;
            *last = (last.0, last.1 + 100_000);
        }
        12 => {
            if c.slopes.len() < 2 {
                return None;
            }
            c.slopes.swap(0, 1);
        }
        13 => c.property.lower[0] = [f64::NAN, f64::NEG_INFINITY, c.property.upper[0] + 1.0][random.below(3)],
        14 => c.trees[t].parts.push(Part::Refine),
        _ => {
            let leaf = c.trees[t].parts[p].clone();
            c.trees[t].parts.push(leaf);
        }
    }
    Some(c)
}

fn first_leaf(tree: &Tree, from: usize) -> usize {
    (from..tree.parts.len()).find(|&p| matches!(tree.parts[p], Part::Leaf { .. })).expect("every split ends in leaves")
}

#[test]
fn what_is_no_certificate_is_refused() {
    let mut random = Random::new(42);
    let all = several(12);
    let (mut tried, mut reasons) = ([0; 16], std::collections::BTreeSet::new());
    for round in 0..40 {
        for (kind, tried) in tried.iter_mut().enumerate() {
            let made = &all[round % all.len()];
            let Some(mutant) = broken(kind, &mut random, &made.certificate) else { continue };
            match judged(&mutant, &made.network) {
                Err(reason) => drop(reasons.insert(format!("{kind}: {reason}"))),
                Ok(verdict) => panic!("kind {kind} of change was accepted as a certificate: {verdict:?}"),
            }
            *tried += 1;
        }
    }
    assert!(tried.iter().all(|&n| n >= 5) && tried.iter().sum::<i32>() > 500, "{tried:?}");
    assert!(reasons.iter().all(|reason| reason.len() > 20 && !reason.contains('\n')), "{reasons:#?}");
}

/// A point of the box that breaks the claim beyond doubt, by sampling.
fn counter_example(network: &ReluNetwork, property: &Property, random: &mut Random) -> Option<Vec<f64>> {
    for _ in 0..300 {
        let draw = |(&l, &u): (&f64, &f64)| match random.below(3) {
            0 => l,
            1 => u,
            _ => l + (u - l) * random.uniform(0.0, 1.0),
        };
        let x: Vec<f64> = property.lower.iter().zip(&property.upper).map(draw).collect();
        let y = values(network, &x).pop().expect("an output");
        let holds = |c: &smallbox::certify::property::Constraint| {
            c.coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>() <= c.bound
        };
        if property.clauses.iter().any(|clause| clause.iter().all(holds))
            && refutes(network, property, &x).expect("fits")
        {
            return Some(x);
        }
    }
    None
}

/// Changes of the content that may leave a true claim or a valid proof. Returns the mutant and the network that it is checked with.
fn altered(kind: usize, random: &mut Random, made: &Made) -> Option<(Certificate, ReluNetwork)> {
    let (mut c, mut network) = (made.certificate.clone(), made.network.clone());
    match kind {
        // The box enlarged, around the centre.
        0 => {
            let factor = [3.0, 10.0, 40.0][random.below(3)];
            for (i, x) in made.center.iter().enumerate() {
                c.property.lower[i] = x - factor * (x - c.property.lower[i]);
                c.property.upper[i] = x + factor * (c.property.upper[i] - x);
            }
        }
        // The box moved.
        1 => {
            for i in 0..made.center.len() {
                let by = random.uniform(-3.0, 3.0);
                c.property.lower[i] += by;
                c.property.upper[i] += by;
            }
        }
        // Another label.
        2 => {
            let outputs = c.property.clauses[0][0].coefficients.len();
            let label = (made.label + 1 + random.below(outputs - 1)) % outputs;
            let Property { lower, upper, .. } = c.property;
            c.property = Property::label(lower, upper, outputs, label);
        }
        // More asked for than holds.
        3 => {
            let k = random.below(c.property.clauses.len());
            c.property.clauses[k][0].bound = random.uniform(0.0, 4.0);
        }
        // Another network, with its own digest.
        4 => {
            if made.center.len() != 3 {
                return None;
            }
            network = dense(9000 + random.below(1000) as u64, &[3, 8, 6, 3]);
            c.network = network.digest();
        }
        // Children swapped.
        5 => {
            let (t, p) = one(random, &places(&c, |p| matches!(p, Part::Split { .. })))?;
            let parts = &mut c.trees[t].parts;
            let middle = end_of(parts, p + 1);
            let end = end_of(parts, middle);
            parts[p + 1..end].rotate_left(middle - p - 1);
        }
        // Another neuron split.
        6 => {
            let (t, p) = one(random, &places(&c, |p| matches!(p, Part::Split { .. })))?;
            let Part::Split { neuron, .. } = &mut c.trees[t].parts[p] else { unreachable!() };
            *neuron = random.below(6);
        }
        // A split cut away: one child stands for both.
        7 => {
            let (t, p) = one(random, &places(&c, |p| matches!(p, Part::Split { .. })))?;
            let parts = &mut c.trees[t].parts;
            let middle = end_of(parts, p + 1);
            let end = end_of(parts, middle);
            let kept = if random.below(2) == 0 { parts[p + 1..middle].to_vec() } else { parts[middle..end].to_vec() };
            parts.splice(p..end, kept);
            // So that it is a tree again: one multiplier less in each leaf.
            for part in parts {
                if let Part::Leaf { multipliers, .. } = part {
                    multipliers.pop();
                }
            }
        }
        // Other slopes and multipliers, in range.
        8 => {
            for part in c.trees.iter_mut().flat_map(|tree| &mut tree.parts) {
                if let Part::Leaf { slopes, multipliers, .. } = part {
                    slopes.iter_mut().flatten().for_each(|s| *s = random.uniform(0.0, 1.0) as f32);
                    multipliers.iter_mut().for_each(|b| *b = random.uniform(0.0, 1.0) as f32);
                }
            }
        }
        // Weights of 0: the leaf must be empty.
        _ => {
            let (t, p) = one(random, &leaves(&c))?;
            let Part::Leaf { weights, .. } = &mut c.trees[t].parts[p] else { unreachable!() };
            weights.fill(0.0);
        }
    }
    Some((c, network))
}

/// Index after the subtree at `at`.
fn end_of(parts: &[Part], mut at: usize) -> usize {
    let mut open = 1;
    while open > 0 {
        match parts[at] {
            Part::Leaf { .. } => open -= 1,
            Part::Split { .. } => open += 1,
            Part::Refine => {}
        }
        at += 1;
    }
    at
}

#[test]
fn nothing_false_is_proved() {
    let mut random = Random::new(43);
    let all = several(12);
    let (mut tried, mut falsehoods, mut accepted) = ([0; 10], [0; 10], [0; 10]);
    for round in 0..60 {
        for kind in 0..10 {
            let made = &all[round % all.len()];
            let Some((mutant, network)) = altered(kind, &mut random, made) else { continue };
            let result = judged(&mutant, &network);
            tried[kind] += 1;
            accepted[kind] += usize::from(proved(&result));
            if let Some(x) = counter_example(&network, &mutant.property, &mut random) {
                falsehoods[kind] += 1;
                assert!(!proved(&result), "kind {kind}: proved, but {x:?} breaks it");
            }
            if let Ok(Verdict::Failed { bound, reason, .. }) = &result {
                assert!(*bound <= 0.0 && reason.contains("clause"), "{reason}");
            }
        }
    }
    assert!(tried.iter().sum::<usize>() > 450, "{tried:?}");
    // Changes of the claim mostly make it false; the test is one of these.
    assert!(falsehoods[..5].iter().all(|&n| n >= 15), "{falsehoods:?} of {tried:?} were false");
    // The same claim with other hints is true, and the checker is not just refusing everything.
    assert!(accepted[8] > 0 && falsehoods[5..].iter().all(|&n| n == 0), "{accepted:?} accepted, {falsehoods:?} false");
    // Whole parts without a proof: one child for two, or no objective.
    assert!(accepted[9] < tried[9], "{accepted:?} of {tried:?}");
}
