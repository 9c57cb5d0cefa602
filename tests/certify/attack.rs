//! Attacks: against worst points that are known, against sampled points, against auto_LiRPA's file, and against each other.

use std::sync::Arc;

use smallbox::certify::attack::{Adversarial, AttackSpec, Attacked, Attacker, Loss, Method, in_ball, rows_that_fit};
use smallbox::certify::network::{Entry, Operation, ReluNetwork, Weights};
use smallbox::certify::proof::Prover;
use smallbox::certify::property::{Constraint, Property};
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;

use super::golden::{EPSILON, Golden, IMAGES};
use super::nets;
use crate::common::device;
use crate::common::random::Random;

/// One run of an attack; every point that it returns is in the box and breaks the property.
pub fn attack(
    session: &mut dyn Session,
    network: &ReluNetwork,
    spec: AttackSpec,
    rows: usize,
    properties: &[Property],
    seed: u64,
) -> Vec<Attacked> {
    let prover = Arc::new(Prover::new(network).unwrap());
    let mut attacker = Attacker::new(network, prover, spec, rows).unwrap();
    let found = pollster::block_on(attacker.run(session, properties, seed, None)).unwrap();
    attacker.release(session);
    assert_eq!(found.len(), properties.len());
    for (property, found) in properties.iter().zip(&found) {
        if let Some(x) = &found.counterexample {
            assert!(
                x.iter().zip(&property.lower).all(|(x, l)| x >= l)
                    && x.iter().zip(&property.upper).all(|(x, u)| x <= u)
            );
            let y = network.evaluate(x);
            let holds = |c: &Constraint| c.coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>() <= c.bound;
            assert!(property.clauses.iter().any(|clause| clause.iter().all(holds)), "no clause holds at {x:?}");
        }
    }
    found
}

/// A network of one matrix.
fn linear(rows: &[&[f32]], bias: &[f32], entry: Option<Entry>) -> ReluNetwork {
    let mut network = ReluNetwork::new([rows[0].len()], entry).unwrap();
    let weights = Weights::exact([rows.len(), rows[0].len()], &rows.concat(), bias);
    network.push(Operation::Linear(Arc::new(weights)), &[0]).unwrap();
    network
}

const METHODS: [AttackSpec; 3] = [
    AttackSpec {
        method: Method::Pgd { step_size: 0.5, decay: true },
        loss: Loss::Margin,
        steps: 12,
        restarts: 2,
        from_middle: true,
    },
    AttackSpec { method: Method::Apgd, loss: Loss::Margin, steps: 12, restarts: 1, from_middle: false },
    AttackSpec {
        method: Method::Pgd { step_size: 0.5, decay: false },
        loss: Loss::CrossEntropy,
        steps: 12,
        restarts: 1,
        from_middle: false,
    },
];

#[test]
fn the_worst_corner_of_a_linear_network() {
    device::each(|session| {
        let random = &mut Random::new(1);
        for case in 0..20 {
            // Two classes, integers: the difference of the outputs has an exact least value at a known corner.
            let n = 3 + case % 4;
            let mut draw = |n: usize| (0..n).map(|_| random.below(7) as f32 - 3.0).collect::<Vec<f32>>();
            let (a, b, bias) = (draw(n), draw(n), draw(2));
            let entry = (case % 3 == 0).then(|| Entry {
                scale: (0..n).map(|i| if i % 2 == 0 { 2.0 } else { -0.5 }).collect(),
                scale_error: 0.0,
                shift: vec![0.25; n],
                shift_error: vec![0.0; n],
            });
            let (lower, upper) = (vec![0.0; n], vec![1.0; n]);
            let network = linear(&[&a, &b], &bias, entry.clone());
            let mut least = f64::from(bias[0] - bias[1]);
            for i in 0..n {
                let w = f64::from(a[i] - b[i]);
                let (s, t) = entry.as_ref().map_or((1.0, 0.0), |e| (e.scale[i], e.shift[i]));
                least += (w * t).min(w * (s + t));
            }
            // Just broken at the corner, just kept, and on the line (a tie breaks a claim).
            let property = |slack: f64| Property {
                lower: lower.clone(),
                upper: upper.clone(),
                clauses: vec![vec![Constraint { coefficients: vec![1.0, -1.0], bound: least + slack }]],
            };
            let properties = [property(1e-3), property(-1e-3), property(0.125), property(-0.5)];
            for spec in &METHODS[..2] {
                let found = attack(session, &network, *spec, 8, &properties, case as u64);
                let broken: Vec<bool> = found.iter().map(|f| f.counterexample.is_some()).collect();
                assert_eq!(broken, [true, false, true, false], "case {case}, {spec:?}: {found:?}");
                for (found, slack) in found.iter().zip([1e-3, -1e-3, 0.125, -0.5]) {
                    assert!(f64::from(found.margins[0]) >= -slack - 1e-5, "below the least margin: {found:?}");
                }
                assert!(found[1].margins[0] < 1e-3 + 1e-5, "not at the corner: {found:?}");
            }
        }
    });
}

fn boxed(random: &mut Random, n: usize, radius: f64) -> (Vec<f64>, Vec<f64>) {
    let image: Vec<f64> = (0..n).map(|_| random.uniform(0.0, 1.0)).collect();
    (image.iter().map(|p| (p - radius).max(0.0)).collect(), image.iter().map(|p| (p + radius).min(1.0)).collect())
}

#[test]
fn margins_on_random_networks_are_below_those_of_random_points() {
    let nets = nets::kinds();
    device::each(|session| {
        let software = session.device().backend != "native";
        for (case, (kind, network)) in nets.iter().enumerate().take(if software { 2 } else { nets.len() }) {
            let random = &mut Random::new(case as u64);
            let (n, outputs) = (network.input().elements(), network.outputs());
            let properties: Vec<Property> = (0..3)
                .map(|i| {
                    let (lower, upper) = boxed(random, n, 0.1);
                    Property::label(lower, upper, outputs, i % outputs)
                })
                .collect();
            let spec = AttackSpec::pgd(50, 1);
            let found = attack(session, network, spec, 64, &properties, 5);
            for (property, found) in properties.iter().zip(&found) {
                let mut least = vec![f64::INFINITY; property.clauses.len()];
                for _ in 0..1000 {
                    let ends = property.lower.iter().zip(&property.upper);
                    let x: Vec<f64> = ends.map(|(l, u)| l + random.uniform(0.0, 1.0) * (u - l)).collect();
                    let y = network.evaluate(&x);
                    for (least, clause) in least.iter_mut().zip(&property.clauses) {
                        let value = clause[0].coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>();
                        *least = least.min(value);
                    }
                }
                let broken = found.counterexample.is_some();
                for (found, least) in found.margins.iter().zip(&least) {
                    // Attacks end when a property is broken, whatever is left to gain on its other clauses.
                    assert!(broken || f64::from(*found) <= least + 1e-5, "{kind}: {found} above a sampled {least}");
                }
                assert!(broken || least.iter().all(|&l| l > 0.0), "{kind}: sampling breaks what the attack does not");
            }
        }
    });
}

/// Labels that hold all over the box, by intervals.
fn held(network: &ReluNetwork, random: &mut Random, radius: f64, count: usize) -> Vec<Property> {
    let (n, outputs) = (network.input().elements(), network.outputs());
    let mut found = Vec::new();
    while found.len() < count {
        let (lower, upper) = boxed(random, n, radius);
        let y = network.evaluate(&lower);
        let label = (0..outputs).max_by(|&a, &b| y[a].total_cmp(&y[b])).unwrap();
        let property = Property::label(lower.clone(), upper.clone(), outputs, label);
        let region =
            smallbox::certify::proof::Region::interval(&Arc::new(Prover::new(network).unwrap()), &lower, &upper);
        let (least, greatest) = region.unwrap().outputs();
        if (0..outputs).all(|k| k == label || least[label] > greatest[k]) {
            found.push(property);
        }
    }
    found
}

#[test]
fn what_holds_is_never_broken_and_a_corrupted_point_is_refused() {
    let network = nets::dense(3, &[6, 12, 4]);
    let random = &mut Random::new(9);
    let properties = held(&network, random, 0.01, 10);
    device::each(|session| {
        for spec in METHODS {
            let found = attack(session, &network, spec, 16, &properties, 1);
            assert!(
                found.iter().all(|f| f.counterexample.is_none() && f.margins.iter().all(|&m| m > 0.0)),
                "{found:?}"
            );
        }
        // The same boxes for another label: every point of them is a counter-example.
        let wrong: Vec<Property> = properties
            .iter()
            .map(|p| {
                let label = p.clauses[0][0].coefficients.iter().position(|&c| c == 1.0).unwrap();
                Property::label(p.lower.clone(), p.upper.clone(), 4, (label + 1) % 4)
            })
            .collect();
        let prover = Arc::new(Prover::new(&network).unwrap());
        for (found, (wrong, right)) in
            attack(session, &network, METHODS[0], 16, &wrong, 1).iter().zip(wrong.iter().zip(&properties))
        {
            let mut x = found.counterexample.clone().expect("every point breaks it");
            assert!(prover.refutes(wrong, &x).unwrap() && !prover.refutes(right, &x).unwrap());
            x[2] = wrong.upper[2].next_up();
            assert!(!prover.refutes(wrong, &x).unwrap(), "a point outside of the box");
            x[2] = f64::NAN;
            assert!(!prover.refutes(wrong, &x).unwrap_or(false), "a point that is no number");
        }
    });
}

/// The properties with all bounds moved so far down that none can be broken and no attack ends early.
fn unbreakable(properties: &[Property]) -> Vec<Property> {
    let mut moved = properties.to_vec();
    moved.iter_mut().flat_map(|p| p.clauses.iter_mut().flatten()).for_each(|c| c.bound -= SHIFT);
    moved
}

const SHIFT: f64 = 100.0;

/// Least margins of the unbreakable properties, as if they had not been moved.
fn margins(found: &[Attacked]) -> Vec<f32> {
    found.iter().flat_map(|f| &f.margins).map(|m| m - SHIFT as f32).collect()
}

#[test]
fn golden_margins_are_reached() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    let theirs = golden.values("pgd_margin_upper");
    let bounds = golden.values("crown.margins_lb");
    device::each(|session| {
        let software = session.device().backend != "native";
        // The file's margins are of 5 restarts of 50 steps.
        let (images, spec) = if software { (2, AttackSpec::pgd(50, 1)) } else { (IMAGES, AttackSpec::pgd(50, 5)) };
        let properties: Vec<Property> = (0..images).map(|i| golden.property(i)).collect();
        let moved = unbreakable(&properties);
        let rows = rows_that_fit(&network);
        let ours = margins(&attack(session, &network, spec, rows, &moved, 0));
        let gaps: Vec<f32> = ours.iter().zip(theirs).map(|(o, t)| o - t).collect();
        let count = |keep: &dyn Fn(f32) -> bool| gaps.iter().filter(|&&gap| keep(gap)).count();
        let (above, below) = (count(&|gap| gap > 1e-3), count(&|gap| gap < -1e-3));
        let mean = gaps.iter().sum::<f32>() / gaps.len() as f32;
        let worst = gaps.iter().copied().fold(f32::MIN, f32::max);
        println!("{above} margins above theirs, {below} below; {mean} on average, {worst} at most");
        // Never below what is certain.
        assert!(ours.iter().zip(bounds).all(|(o, b)| *o >= b - 1e-3));
        if software {
            // One start against the best of five.
            assert!(mean <= 1e-2, "{mean}");
        } else {
            // Searches end in local optima, theirs and ours in different ones: as good on the whole …
            assert!(mean <= 0.0 && below >= above, "{above} above, {below} below, {mean} on average");
            // … and more starts reach every one of theirs.
            let mut left: Vec<usize> = (0..gaps.len()).filter(|&i| gaps[i] > 1e-3).collect();
            for seed in 1..=20 {
                let one = |&i: &usize| Property {
                    clauses: vec![moved[i / 9].clauses[i % 9].clone()],
                    ..moved[i / 9].clone()
                };
                let again: Vec<Property> = left.iter().map(one).collect();
                let more = margins(&attack(session, &network, spec, rows, &again, seed));
                let reached: Vec<bool> = left.iter().zip(more).map(|(&i, m)| m <= theirs[i] + 1e-3).collect();
                let mut reached = reached.into_iter();
                left.retain(|_| !reached.next().expect("one for each"));
                println!("seed {seed}: {} margins left", left.len());
                if left.is_empty() {
                    break;
                }
            }
            assert!(left.is_empty(), "rows {left:?} stay above");
        }

        let found = attack(session, &network, spec, rows, &properties, 0);
        for (i, found) in found.iter().enumerate() {
            let broken = theirs[9 * i..][..9].iter().any(|&m| m < -1e-3);
            assert!(!broken || found.counterexample.is_some(), "image {i} can be broken");
            if let Some(x) = &found.counterexample {
                assert!(in_ball(x, &golden.image(i), EPSILON), "image {i}: outside of the ball");
            }
        }
    });
}

#[test]
fn a_seed_gives_the_same_bits() {
    let network = nets::dense(4, &[8, 16, 16, 5]);
    let random = &mut Random::new(2);
    let properties: Vec<Property> = (0..6)
        .map(|i| {
            let (lower, upper) = boxed(random, 8, 0.2);
            Property::label(lower, upper, 5, i % 5)
        })
        .collect();
    device::each(|session| {
        for spec in [AttackSpec::pgd(7, 2), AttackSpec::apgd(Loss::LogitsRatio, 9, 1)] {
            let mut run = |seed| attack(session, &network, spec, 10, &properties, seed);
            let (first, again, other) = (run(3), run(3), run(4));
            assert_eq!(first, again);
            assert_ne!(first, other);
        }
    });
}

#[test]
fn clauses_of_several_constraints_and_without_any() {
    // y = x on [0,1]³.
    let network = linear(&[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]], &[0.0; 3], None);
    let at_most = |i: usize, sign: f64, bound: f64| {
        let mut coefficients = vec![0.0; 3];
        coefficients[i] = sign;
        Constraint { coefficients, bound: sign * bound }
    };
    let of = |clauses: Vec<Vec<Constraint>>| Property { lower: vec![0.0; 3], upper: vec![1.0; 3], clauses };
    let narrow = vec![at_most(0, 1.0, 0.25), at_most(0, -1.0, 0.125), at_most(1, -1.0, 0.75)];
    let impossible = vec![at_most(0, 1.0, 0.25), at_most(0, -1.0, 0.5)];
    let properties = [of(vec![impossible.clone(), narrow]), of(vec![impossible]), of(vec![vec![]]), of(vec![])];
    device::each(|session| {
        for spec in &METHODS[..2] {
            let spec = AttackSpec { steps: 40, ..*spec };
            let found = attack(session, &network, spec, 3, &properties, 0);
            let broken: Vec<bool> = found.iter().map(|f| f.counterexample.is_some()).collect();
            assert_eq!(broken, [true, false, true, false], "{spec:?} {found:?}");
            // Half of the gap between the two: the least that the greater can be.
            assert!(found[1].margins[0] >= 0.125 - 1e-6);
        }
    });
}

#[test]
fn apgd_finds_as_much_as_pgd() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    let properties: Vec<Property> = (0..IMAGES).map(|i| golden.property(i)).collect();
    let moved = unbreakable(&properties);
    let session = &mut CpuSession::new();
    let mut mean = |spec: AttackSpec| {
        let clock = std::time::Instant::now();
        let margins = margins(&attack(session, &network, spec, 512, &moved, 0));
        println!("{}: {IMAGES} images in {:?}", spec.describe(0), clock.elapsed());
        margins.iter().sum::<f32>() / margins.len() as f32
    };
    mean(AttackSpec::pgd(100, 1));
    let constant = Method::Pgd { step_size: AttackSpec::STEP_SIZE, decay: false };
    let pgd = mean(AttackSpec { method: constant, ..AttackSpec::pgd(30, 1) });
    let apgd = mean(AttackSpec::apgd(Loss::Margin, 30, 1));
    println!("mean margin {apgd} by APGD, {pgd} by PGD");
    assert!(apgd <= pgd + 1e-3, "{apgd} by APGD, {pgd} by PGD");
}

#[test]
fn losses_need_what_they_need() {
    let network = nets::dense(5, &[4, 6, 3]);
    let prover = Arc::new(Prover::new(&network).unwrap());
    let refused = Attacker::new(&network, prover.clone(), AttackSpec::apgd(Loss::LogitsRatio, 5, 1), 4);
    assert!(refused.err().unwrap().to_string().contains("at least 4 classes"));
    let mut attacker = Attacker::new(&network, prover, METHODS[2], 4).unwrap();
    let mut property = Property::label(vec![0.0; 4], vec![1.0; 4], 3, 1);
    let session = &mut CpuSession::new();
    let mut run = |p: &Property| pollster::block_on(attacker.run(session, std::slice::from_ref(p), 0, None));
    assert!(run(&property).is_ok());
    property.clauses.pop();
    assert!(run(&property).unwrap_err().to_string().contains("take the margin"));
    property.lower.pop();
    assert!(run(&property).unwrap_err().to_string().contains("inputs"));
}

#[test]
fn a_deadline_ends_an_attack() {
    let network = nets::dense(6, &[4, 6, 3]);
    let prover = Arc::new(Prover::new(&network).unwrap());
    let mut attacker = Attacker::new(&network, prover, AttackSpec::pgd(10, 1_000_000), 4).unwrap();
    let properties = held(&network, &mut Random::new(1), 0.001, 1);
    let session = &mut CpuSession::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_millis(50);
    let found = pollster::block_on(attacker.run(session, &properties, 0, Some(deadline))).unwrap();
    assert!(found[0].counterexample.is_none() && found[0].margins[0].is_finite());
    let before = pollster::block_on(attacker.run(session, &properties, 0, Some(std::time::Instant::now()))).unwrap();
    assert_eq!(before[0].margins[0], f32::INFINITY);
}

#[test]
fn saved_images_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let color = Adversarial { shape: [3, 2, 2], original: vec![0.5; 12], adversarial: vec![0.5; 12] };
    let mut moved = color.clone();
    moved.adversarial[4] = 0.25 + 1e-12;
    moved.write(&at("a")).unwrap();
    assert_eq!(Adversarial::read(&at("a")).unwrap(), moved);
    moved.write_picture(&at("a.png")).unwrap();
    let picture = image::open(at("a.png")).unwrap().into_rgb8();
    // Second channel of the first pixel: a quarter in the second panel, the largest difference downward is black in the third.
    let zoom = 64;
    let panel = |n: u32| picture.get_pixel(2 + n * (2 * zoom + 2), 2).0;
    assert_eq!([panel(0), panel(1), panel(2)], [[128, 128, 128], [128, 64, 128], [128, 0, 128]]);
    color.write_picture(&at("same.png")).unwrap();

    let bytes = std::fs::read(at("a")).unwrap();
    for (name, content) in [("cut", &bytes[..bytes.len() - 1]), ("none", &b"not a file of tensors"[..])] {
        std::fs::write(at(name), content).unwrap();
        assert!(Adversarial::read(&at(name)).unwrap_err().to_string().contains("no adversarial image"));
    }
    let two = Adversarial { shape: [2, 1, 1], original: vec![0.0; 2], adversarial: vec![0.0; 2] };
    assert!(two.write_picture(&at("two.png")).unwrap_err().to_string().contains("1 or 3 channels"));
}
