//! Branch-and-bound: on networks so small that the truth is known, and through the whole cascade.

use std::sync::Arc;
use std::time::Duration;

use smallbox::certify::attack::AttackSpec;
use smallbox::certify::branch::Strategy;
use smallbox::certify::cascade::{Cascade, Claim, Method, Outcome, Settings, Stage, Verdict};
use smallbox::certify::certificate::{About, Certificate, Checker, Part, Tree, Verdict as Checked};
use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::certify::property::{Constraint, Property};
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;

use super::attack::attack;
use super::exact::spike;
use super::golden::{Golden, IMAGES};
use super::nets::dense;
use super::oracle;
use super::proof::sampled::sample;
use crate::common::device;
use crate::common::random::Random;

/// A net of two inputs, two hidden layers and two outputs.
fn tiny(random: &mut Random, hidden: usize) -> ReluNetwork {
    let mut network = ReluNetwork::new([2], None).unwrap();
    let mut features = 2;
    for (layer, outputs) in [hidden, hidden, 2].into_iter().enumerate() {
        let mut draw = |n: usize, size: f64| (0..n).map(|_| random.uniform(-size, size) as f32).collect::<Vec<f32>>();
        let (w, b) = (draw(outputs * features, 1.0), draw(outputs, 0.5));
        let weights = Arc::new(Weights::exact([outputs, features], &w, &b));
        let last = network.output();
        network.push(Operation::Linear(weights), &[last]).unwrap();
        if layer < 2 {
            let last = network.output();
            network.push(Operation::Relu, &[last]).unwrap();
        }
        features = outputs;
    }
    network
}

/// The least margin y_label − y_other over the box: at a grid so fine that between its points the margin moves by no more than
/// the returned slack (the gradient is bounded by the product of the weights' row sums).
fn least_margin(network: &ReluNetwork, property: &Property, label: usize) -> (f64, f64) {
    const POINTS: usize = 400;
    let at = |i: usize, axis: usize| {
        let (l, u) = (property.lower[axis], property.upper[axis]);
        l + (u - l) * i as f64 / POINTS as f64
    };
    let mut least = f64::INFINITY;
    for i in 0..=POINTS {
        for j in 0..=POINTS {
            let y = oracle::evaluate(network, &[at(i, 0), at(j, 1)]);
            least = least.min(y[label] - y[1 - label]);
        }
    }
    let mut steepest = 2.0;
    for node in network.nodes() {
        if let Operation::Linear(w) = &node.operation {
            let row = |r: &[f64]| r.iter().map(|v| v.abs()).sum::<f64>();
            steepest *= w.weight.chunks(w.shape[1]).map(row).fold(0.0, f64::max);
        }
    }
    let step = (0..2).map(|axis| (property.upper[axis] - property.lower[axis]) / POINTS as f64).fold(0.0, f64::max);
    (least, 0.5 * step * steepest)
}

pub fn settings(method: Method) -> Settings {
    Settings { method, batch: 4, timeout: Duration::from_secs(60), ..Settings::default() }
}

pub fn decide(session: &mut dyn Session, network: &ReluNetwork, claims: &[Claim], settings: Settings) -> Vec<Outcome> {
    let mut cascade = Cascade::new(session, network, settings).unwrap();
    let mut outcomes = Vec::new();
    for chunk in claims.chunks(settings.batch) {
        outcomes.extend(pollster::block_on(cascade.run(session, chunk)).unwrap());
    }
    cascade.release(session);
    outcomes
}

/// Holds an outcome against the claim: a proof as a certificate that passes, a counter-example by plain arithmetic.
pub fn hold(network: &ReluNetwork, claim: &Claim, outcome: &Outcome) {
    match outcome.verdict {
        Verdict::Certified => {
            let proof = outcome.proof.as_ref().expect("a certified claim has a proof");
            let certificate = proof.certificate(network, &claim.property, About::default());
            let read = Certificate::from_bytes(&certificate.to_bytes().unwrap()).unwrap();
            let checked = Checker::new(network).unwrap().check(&read).unwrap();
            assert!(matches!(checked, Checked::Proved { .. }), "{checked:?}");
            assert!(outcome.margin.is_some_and(|m| m > 0.0));
        }
        Verdict::Falsified => {
            let x = outcome.counter_example.as_ref().expect("a falsified claim has a point");
            let p = &claim.property;
            assert!(x.iter().zip(p.lower.iter().zip(&p.upper)).all(|(x, (l, u))| l <= x && x <= u));
            let y = oracle::evaluate(network, x);
            let holds = |c: &smallbox::certify::property::Constraint| {
                c.coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>() <= c.bound + 1e-9
            };
            assert!(p.clauses.iter().any(|clause| clause.iter().all(holds)));
        }
        Verdict::Unknown | Verdict::Timeout | Verdict::Error => {}
    }
}

#[test]
fn tiny_networks_are_decided_as_they_are() {
    let (mut certified, mut by_search, mut refined, mut falsified) = (0, 0, 0, 0);
    for case in 0..60 {
        let random = &mut Random::new(case);
        let network = tiny(random, 3 + case as usize % 6);
        let radius = [0.2, 0.5, 1.0][case as usize % 3];
        let center = [random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0)];
        let y = oracle::evaluate(&network, &center);
        let label = usize::from(y[1] > y[0]);
        let (lower, upper) = (center.iter().map(|c| c - radius).collect(), center.iter().map(|c| c + radius).collect());
        let property = Property::label(lower, upper, 2, label);
        let (least, slack) = least_margin(&network, &property, label);
        let claim = Claim { property, point: Some(center.to_vec()) };
        for strategy in [Strategy::Either, Strategy::Fixed, Strategy::Refining] {
            let settings = with(strategy, settings(Method::Bab));
            let outcome = decide(&mut CpuSession::new(), &network, std::slice::from_ref(&claim), settings).remove(0);
            hold(&network, &claim, &outcome);
            match outcome.verdict {
                Verdict::Certified => {
                    certified += 1;
                    by_search += usize::from(outcome.stage == Stage::Bab);
                    refined += usize::from(outcome.search.refined > 0);
                    assert!(least > 0.0, "case {case}: certified, but the margin falls to {least}");
                    let margin = outcome.margin.unwrap();
                    assert!(margin <= least + 1e-9, "case {case}: a proved margin of {margin} above {least}");
                }
                Verdict::Falsified => {
                    falsified += 1;
                    assert!(
                        least - slack <= 0.0,
                        "case {case}: falsified, but the margin stays above {}",
                        least - slack
                    );
                }
                _ => panic!("case {case}, {strategy:?}: {outcome:?}"),
            }
        }
    }
    assert!(certified > 30 && by_search > 9 && refined > 3 && falsified > 30);
}

fn with(strategy: Strategy, mut settings: Settings) -> Settings {
    settings.search.strategy = strategy;
    settings
}

/// Whether one of 10 000 points or of what PGD reaches from 20 starts breaks the property.
fn is_broken(network: &ReluNetwork, property: &Property, seed: u64) -> bool {
    let random = &mut Random::new(seed);
    let breaks = |x: &[f64]| {
        let y = oracle::evaluate(network, x);
        let holds = |c: &Constraint| c.coefficients.iter().zip(&y).map(|(c, y)| c * y).sum::<f64>() <= c.bound;
        property.clauses.iter().any(|clause| clause.iter().all(holds))
    };
    let spec = AttackSpec::pgd(50, 20);
    let found = attack(&mut CpuSession::new(), network, spec, 20, std::slice::from_ref(property), seed);
    found[0].counterexample.is_some() || (0..10_000).any(|_| breaks(&sample(random, &property.lower, &property.upper)))
}

/// Whatever search: verdicts that stand up to points and attacks, never opposite ones, and turns decide what fixed bounds decide.
#[test]
fn searches_agree_on_deep_networks() {
    const MOST: usize = 600;
    let mut decided = [0; 3];
    let (mut refinements, mut survived, mut broken) = (0, 0, 0);
    for seed in 0..60 {
        let network = dense(seed, &[4, 5, 32, 32, 32, 32, 2]);
        let center = [0.1, -0.2, 0.3, 0.2];
        let y = oracle::evaluate(&network, &center);
        let label = usize::from(y[1] > y[0]);
        let radius = if seed < 40 { 0.6 } else { 2.0 };
        let (lower, upper) = (center.iter().map(|c| c - radius).collect(), center.iter().map(|c| c + radius).collect());
        let claim = Claim { property: Property::label(lower, upper, 2, label), point: None };
        let mut verdicts = Vec::new();
        for (at, strategy) in [Strategy::Fixed, Strategy::Refining, Strategy::Either].into_iter().enumerate() {
            let mut settings = with(strategy, settings(Method::Bab));
            settings.search.most_domains = MOST;
            let outcome = decide(&mut CpuSession::new(), &network, std::slice::from_ref(&claim), settings).remove(0);
            hold(&network, &claim, &outcome);
            assert_eq!(outcome.gave_up(), outcome.verdict == Verdict::Unknown, "seed {seed}: {outcome:?}");
            assert!((0.0..=1.0).contains(&outcome.search.proved), "seed {seed}: {}", outcome.search.proved);
            assert!(strategy != Strategy::Fixed || outcome.search.refined == 0);
            if let (Some(proof), Strategy::Refining) = (&outcome.proof, strategy) {
                let certificate = proof.certificate(&network, &claim.property, About::default());
                let refined = |tree: &Tree| tree.parts.iter().filter(|part| **part == Part::Refine).count();
                refinements += certificate.trees.iter().map(refined).sum::<usize>();
            }
            decided[at] += usize::from(outcome.verdict != Verdict::Unknown);
            verdicts.push(outcome.verdict);
        }
        // No two of them say opposite things.
        let says = |verdict: Verdict| verdicts.contains(&verdict);
        assert!(!(says(Verdict::Certified) && says(Verdict::Falsified)), "seed {seed}: {verdicts:?}");
        let is_broken = is_broken(&network, &claim.property, 1000 + seed);
        assert!(!(is_broken && says(Verdict::Certified)), "seed {seed}: certified and broken");
        survived += usize::from(says(Verdict::Certified));
        broken += usize::from(is_broken && says(Verdict::Falsified));
    }
    let [fixed, refining, turns] = decided;
    // The points and attacks find what there is to be found.
    assert!(survived > 3 && broken > 3, "{survived} certified, {broken} broken");
    assert!(turns >= fixed && fixed > 5 && refining > 2 && refinements > 10, "{decided:?}, {refinements}");
}

#[test]
fn a_planted_counter_example_is_found_and_its_absence_proved() {
    // A narrow spike lifts the other class on a hundredth of the box.
    for height in [0.9, 1.1] {
        let network = spike(height);
        let claim = Claim { property: Property::label(vec![0.0; 2], vec![1.0; 2], 2, 0), point: None };
        device::each(|session| {
            // Without the attack: the bounds alone must not be fooled.
            let settings = Settings { attack: None, ..settings(Method::Bab) };
            let outcome = decide(session, &network, std::slice::from_ref(&claim), settings).remove(0);
            hold(&network, &claim, &outcome);
            let right = if height > 1.0 { Verdict::Falsified } else { Verdict::Certified };
            assert_eq!(outcome.verdict, right, "{height}: {outcome:?}");
        });
    }
}

#[test]
fn golden_network_by_every_method() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    let claims: Vec<Claim> = (0..IMAGES)
        .map(|i| Claim {
            property: golden.property(i),
            point: Some(golden.image(i).iter().map(|&p| f64::from(p)).collect()),
        })
        .collect();
    let mut before = 0;
    for method in [Method::Ibp, Method::CrownIbp, Method::Crown, Method::AlphaCrown, Method::Bab] {
        let settings = Settings { timeout: Duration::from_secs(20), ..settings(method) };
        let outcomes = decide(&mut CpuSession::new(), &network, &claims, settings);
        claims.iter().zip(&outcomes).for_each(|(claim, outcome)| hold(&network, claim, outcome));
        let certified = outcomes.iter().filter(|o| o.verdict == Verdict::Certified).count();
        assert!(certified >= before, "{method:?}: {certified} after {before}");
        before = certified;
        match method {
            // What auto_LiRPA verified of the 20.
            Method::Ibp => assert_eq!(certified, 13),
            Method::CrownIbp | Method::Crown | Method::AlphaCrown => assert_eq!(certified, 18),
            Method::Bab => {
                // The other two have counter-examples.
                let falsified = outcomes.iter().filter(|o| o.verdict == Verdict::Falsified).count();
                assert_eq!((certified, falsified), (18, 2));
            }
        }
    }
}

/// A claim that fails has the verdict `error` with the reason, and the others of its batch theirs.
#[test]
fn a_claim_that_fails_leaves_the_others_theirs() {
    let network = tiny(&mut Random::new(1), 4);
    let about = |inputs: usize, radius: f64, wanted: usize| Claim {
        property: Property::label(vec![0.5 - radius; inputs], vec![0.5 + radius; inputs], 2, wanted),
        point: None,
    };
    let y = network.evaluate(&[0.5, 0.5]);
    let label = usize::from(y[1] > y[0]);
    let claims = [about(2, 1e-6, label), about(3, 1e-6, label), about(2, 1e-6, 1 - label)];
    let outcomes = decide(&mut CpuSession::new(), &network, &claims, settings(Method::Bab));
    let verdicts: Vec<Verdict> = outcomes.iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(verdicts, [Verdict::Certified, Verdict::Error, Verdict::Falsified]);
    let reason = &outcomes[1].open.as_ref().expect("a reason").reason;
    assert!(reason.contains("3 inputs") && outcomes[1].proof.is_none(), "{reason}");
}
