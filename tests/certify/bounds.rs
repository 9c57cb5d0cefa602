//! Bounds on devices: against auto_LiRPA's, against sampled points, and against each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallbox::certify::bounds::{Ascent, Bounds, Boxes, Objective, Relaxer, Schedule};
use smallbox::certify::branch::Neurons;
use smallbox::certify::network::{Entry, Operation, ReluNetwork, Weights};
use smallbox::certify::proof::{Derivation, Prover, Region, Slopes, Start};
use smallbox::certify::property::Property;
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::ops::Conv2dSpec;

use super::golden::{Golden, IMAGES};
use super::oracle;
use crate::common::device;
use crate::common::random::Random;

/// Objectives y_label − y_k, k ≠ label ascending, of every property.
fn margins(properties: &[Property]) -> Vec<Objective> {
    let of = |(sample, p): (usize, &Property)| {
        let objective = |c: &Vec<smallbox::certify::property::Constraint>| Objective {
            sample,
            coefficients: c[0].coefficients.iter().map(|&v| v as f32).collect(),
        };
        p.clauses.iter().map(objective).collect::<Vec<_>>()
    };
    properties.iter().enumerate().flat_map(of).collect()
}

fn boxes(network: &ReluNetwork, properties: &[Property]) -> Boxes {
    let ends: Vec<(&[f64], &[f64])> = properties.iter().map(|p| (&p.lower[..], &p.upper[..])).collect();
    Boxes::new(network, &ends)
}

#[track_caller]
fn assert_near(what: &str, got: &[f32], want: &[f32], allowed: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    assert!(worst <= allowed, "{what}: off by {worst}, allowed {allowed}");
}

/// What auto_LiRPA's float32 bounds and ours may differ by: what the issue asks for.
const NEAR: f32 = 1e-4;

#[test]
fn golden_interval_and_crown_bounds() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    let properties: Vec<Property> = (0..IMAGES).map(|i| golden.property(i)).collect();
    let boxes = boxes(&network, &properties);
    device::each(|session| {
        let mut relaxer = Relaxer::new(session, &network, IMAGES).unwrap();
        let interval = pollster::block_on(relaxer.interval(session, &boxes)).unwrap();
        let pre = |bounds: &Bounds, kind: &str| {
            for (number, index) in [1, 3, 6].into_iter().enumerate() {
                let layer = &bounds.layers[number];
                let lower = golden.values(&format!("{kind}.pre_lb.{index}"));
                assert_near(&format!("{kind} lower {index}"), &layer.lower[..lower.len()], lower, NEAR);
                let upper = golden.values(&format!("{kind}.pre_ub.{index}"));
                assert_near(&format!("{kind} upper {index}"), &layer.upper[..upper.len()], upper, NEAR);
            }
        };
        pre(&interval, "ibp");
        let objectives = margins(&properties);
        let crown_ibp = pollster::block_on(relaxer.lower_bounds(session, &interval, &objectives)).unwrap();
        assert_near("CROWN-IBP margins", &crown_ibp, golden.values("crown_ibp.margins_lb"), NEAR);

        // auto_LiRPA's bounds are not cut with interval bounds.
        let mut uncut = interval.clone();
        pollster::block_on(relaxer.tighten(session, &mut uncut, true)).unwrap();
        pre(&uncut, "crown");
        let crown = pollster::block_on(relaxer.lower_bounds(session, &uncut, &objectives)).unwrap();
        assert_near("CROWN margins", &crown, golden.values("crown.margins_lb"), NEAR);

        // Ours are, so that none is looser.
        let mut cut = pollster::block_on(relaxer.interval(session, &boxes)).unwrap();
        pollster::block_on(relaxer.tighten(session, &mut cut, false)).unwrap();
        for ((cut, interval), uncut) in cut.layers.iter().zip(&interval.layers).zip(&uncut.layers) {
            for i in 0..cut.lower.len() {
                assert!(cut.lower[i] >= interval.lower[i] && cut.upper[i] <= interval.upper[i]);
                assert!(cut.is_unstable(i) <= uncut.is_unstable(i));
            }
        }
        let found = golden.values("pgd_margin_upper");
        for bounds in [&crown_ibp, &crown] {
            assert!(bounds.iter().zip(found).all(|(bound, found)| *bound <= found + NEAR), "a margin below its bound");
        }
        relaxer.release(session);
    });
}

#[test]
fn golden_alpha_crown_is_reached() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    device::each(|session| {
        let software = session.device().backend != "native";
        let cases: &[(usize, usize, &str)] = match software {
            true => &[(2, 20, "alpha_crown_20")],
            false => &[(IMAGES, 20, "alpha_crown_20"), (IMAGES, 100, "alpha_crown_100")],
        };
        for &(images, iterations, name) in cases {
            let properties: Vec<Property> = (0..images).map(|i| golden.property(i)).collect();
            let objectives = margins(&properties);
            let mut relaxer = Relaxer::new(session, &network, images).unwrap();
            let mut bounds = pollster::block_on(relaxer.interval(session, &boxes(&network, &properties))).unwrap();
            pollster::block_on(relaxer.tighten(session, &mut bounds, true)).unwrap();
            let crown = pollster::block_on(relaxer.lower_bounds(session, &bounds, &objectives)).unwrap();
            let schedule =
                Schedule { iterations, slope_rate: 0.25, multiplier_rate: 0.0, decay: 0.98, until_proved: false };
            let ascent = Ascent::new(session, &network, images, objectives.len(), false, "test").unwrap();
            let zeros = vec![0.0; objectives.len()];
            let theirs = &golden.values(&format!("{name}.margins_lb"))[..objectives.len()];
            let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
            let ascend = |session: &mut dyn Session, bounds: &Bounds| {
                let mut parameters = ascent.defaults(bounds, &objectives);
                let run = ascent.run(session, bounds, &objectives, &zeros, &mut parameters, &schedule);
                let found = pollster::block_on(run).unwrap();
                assert!(found.lower.iter().zip(&crown).all(|(a, c)| *a >= c - NEAR), "looser than CROWN");
                let highest = golden.values("pgd_margin_upper");
                assert!(found.lower.iter().zip(highest).all(|(a, p)| *a <= p + NEAR), "above a margin that exists");
                // The parameters that come back are those of the bounds.
                let again = pollster::block_on(ascent.look(session, bounds, &objectives, &parameters)).unwrap();
                assert_near("bounds of the best slopes", &again, &found.lower, NEAR);
                mean(&found.lower)
            };
            // The stored bounds come from slopes for the bounds of single neurons too; without those they are not reached.
            let fixed = ascend(session, &bounds);
            let all: Vec<usize> = (0..images).collect();
            let deadline = Instant::now() + Duration::from_secs(3600);
            pollster::block_on(relaxer.ascend(session, &mut bounds, &all, &schedule, deadline)).unwrap();
            let moved = ascend(session, &bounds);
            println!("{name}: {fixed} then {moved}, auto_LiRPA {}, CROWN {}", mean(theirs), mean(&crown));
            assert!(fixed < mean(theirs) - 0.01, "{name}: {fixed} with CROWN's bounds of neurons");
            assert!(moved >= mean(theirs), "{name}: {moved} < {}", mean(theirs));
            relaxer.release(session);
        }
    });
}

#[test]
fn slopes_of_starts_prove_the_bounds_they_gave() {
    let Some(golden) = Golden::open() else { return };
    let network = golden.network();
    let properties: Vec<Property> = (0..2).map(|i| golden.property(i)).collect();
    let schedule =
        Schedule { iterations: 10, slope_rate: 0.25, multiplier_rate: 0.0, decay: 0.98, until_proved: false };
    let mut session = CpuSession::new();
    let mut relaxer = Relaxer::new(&mut session, &network, 2).unwrap();
    let mut bounds = pollster::block_on(relaxer.interval(&mut session, &boxes(&network, &properties))).unwrap();
    pollster::block_on(relaxer.tighten(&mut session, &mut bounds, false)).unwrap();
    let crown = bounds.clone();
    let deadline = Instant::now() + Duration::from_secs(3600);
    // The second image alone: the first one's bounds stay.
    let starts = pollster::block_on(relaxer.ascend(&mut session, &mut bounds, &[1], &schedule, deadline)).unwrap();
    assert_eq!((bounds.unstable(0), starts.len()), (crown.unstable(0), 1));

    let prover = Arc::new(Prover::new(&network).unwrap());
    let table = Neurons::of(&network, &bounds, 1).table;
    let slopes = Arc::new(Slopes::new(&prover, table).unwrap());
    let (lower, upper) = (&properties[1].lower, &properties[1].upper);
    let derived = |starts: Vec<Start>| Region::new(&prover, lower, upper, &slopes, Derivation::Crown(starts)).unwrap();
    let (proved, plain) = (derived(starts[0].clone()), derived(Vec::new()));
    let mut tighter = 0.0;
    for (number, layer) in bounds.layers.iter().enumerate() {
        let n = layer.lower.len() / 2;
        let ((lower, upper), (loose_lower, loose_upper)) = (proved.bounds(number), plain.bounds(number));
        for neuron in 0..n {
            let (l, u) = (f64::from(layer.lower[n + neuron]), f64::from(layer.upper[n + neuron]));
            // The prover may stop at interval bounds on the way, so it may be tighter.
            let looser = (l - lower[neuron]).max(upper[neuron] - u);
            assert!(looser <= f64::from(NEAR), "neuron {neuron} of layer {number}: looser by {looser}");
            tighter += (lower[neuron] - loose_lower[neuron]) + (loose_upper[neuron] - upper[neuron]);
        }
    }
    assert!(tighter > 1.0, "{tighter}");
    relaxer.release(&mut session);
}

/// Random networks: convolutions with odd strides and paddings, a residual branch, vectors, an entry.
fn random_network(random: &mut Random, case: usize) -> ReluNetwork {
    let input = [1 + random.below(3), 5 + random.below(5), 5 + random.below(5)];
    let n: usize = input.iter().product();
    let entry = case.is_multiple_of(3).then(|| Entry {
        scale: (0..n).map(|_| random.uniform(-2.0, 2.0)).collect(),
        scale_error: 0.0,
        shift: (0..n).map(|_| random.uniform(-0.5, 0.5)).collect(),
        shift_error: vec![0.0; n],
    });
    let mut network = ReluNetwork::new(input, entry).unwrap();
    let weights = |random: &mut Random, shape: Vec<usize>| {
        let fan: usize = shape[1..].iter().product();
        let size = 1.5 / (fan as f64).sqrt();
        let mut draw = |n: usize, s: f64| (0..n).map(|_| random.uniform(-s, s) as f32).collect::<Vec<f32>>();
        let (w, b) = (draw(shape.iter().product(), size), draw(shape[0], 0.3));
        Arc::new(Weights::exact(shape, &w, &b))
    };
    let mut channels = input[0];
    for layer in 0..1 + case % 3 {
        let kernel = [1 + random.below(3), 1 + random.below(3)];
        let stride = [1 + random.below(2), 1 + random.below(2)];
        let spec = Conv2dSpec { stride, padding: [random.below(2), random.below(2)], dilation: [1 + case % 2; 2] };
        let features = 2 + random.below(4);
        let w = weights(random, vec![features, channels, kernel[0], kernel[1]]);
        let last = network.output();
        // Small images have room for kernels without gaps only.
        let spec = if layer == 0 { spec } else { Conv2dSpec { dilation: [1; 2], padding: [1; 2], ..spec } };
        let conv = network.push(Operation::Conv2d(w, spec), &[last]).unwrap();
        let before = network.push(Operation::Relu, &[conv]).unwrap();
        channels = features;
        if case % 4 == 1 {
            // relu(x + conv(x)), x + another branch without a ReLU between.
            let spec = Conv2dSpec::square(1, 1);
            let a = network
                .push(Operation::Conv2d(weights(random, vec![channels, channels, 3, 3]), spec), &[before])
                .unwrap();
            let b =
                network.push(Operation::Conv2d(weights(random, vec![channels, channels, 3, 3]), spec), &[a]).unwrap();
            let sum = network.push(Operation::Add, &[b, before]).unwrap();
            network.push(Operation::Relu, &[sum]).unwrap();
        }
    }
    let features = network.nodes()[network.output()].shape.elements();
    let last = network.output();
    let hidden = network.push(Operation::Linear(weights(random, vec![9, features])), &[last]).unwrap();
    network.push(Operation::Relu, &[hidden]).unwrap();
    let last = network.output();
    network.push(Operation::Linear(weights(random, vec![4, 9])), &[last]).unwrap();
    network
}

/// Bounds of one random network: in order, and below every sampled value.
fn check_random_network(session: &mut dyn Session, case: usize) {
    let random = &mut Random::new(case as u64);
    let network = random_network(random, case);
    let n = network.input().elements();
    let batch = 3;
    let radius = [0.02, 0.1, 0.3][case % 3];
    let properties: Vec<Property> = (0..batch)
        .map(|sample| {
            let image: Vec<f64> = (0..n).map(|_| random.uniform(0.0, 1.0)).collect();
            let lower = image.iter().map(|p| (p - radius).max(0.0)).collect();
            let upper = image.iter().map(|p| (p + radius).min(1.0)).collect();
            Property::label(lower, upper, 4, sample % 4)
        })
        .collect();
    let objectives = margins(&properties);
    let mut relaxer = Relaxer::new(session, &network, batch).unwrap();
    let interval = pollster::block_on(relaxer.interval(session, &boxes(&network, &properties))).unwrap();
    let first = pollster::block_on(relaxer.lower_bounds(session, &interval, &objectives)).unwrap();
    let mut bounds = interval.clone();
    pollster::block_on(relaxer.tighten(session, &mut bounds, false)).unwrap();
    let crown = pollster::block_on(relaxer.lower_bounds(session, &bounds, &objectives)).unwrap();
    let ascent = Ascent::new(session, &network, batch, objectives.len(), false, "test").unwrap();
    let mut parameters = ascent.defaults(&bounds, &objectives);
    let schedule = Schedule { iterations: 15, slope_rate: 0.1, multiplier_rate: 0.0, decay: 0.98, until_proved: false };
    let zeros = vec![0.0; objectives.len()];
    let ascended = pollster::block_on(ascent.run(session, &bounds, &objectives, &zeros, &mut parameters, &schedule));
    let alpha = ascended.unwrap().lower;
    // Slopes of their own for the bounds of neurons, also above residual sums and where windows become whole images.
    let mut moved = bounds.clone();
    let (all, deadline) = ((0..batch).collect::<Vec<usize>>(), Instant::now() + Duration::from_secs(3600));
    pollster::block_on(relaxer.ascend(session, &mut moved, &all, &schedule, deadline)).unwrap();
    for (new, old) in moved.layers.iter().zip(&bounds.layers) {
        assert!(new.lower.iter().zip(&old.lower).all(|(n, o)| n >= o), "case {case}: a lower bound moved down");
        assert!(new.upper.iter().zip(&old.upper).all(|(n, o)| n <= o), "case {case}: an upper bound moved up");
    }
    let mut parameters = ascent.defaults(&moved, &objectives);
    let ascended = pollster::block_on(ascent.run(session, &moved, &objectives, &zeros, &mut parameters, &schedule));
    let beyond = ascended.unwrap().lower;
    let mut least = vec![f64::INFINITY; objectives.len()];
    for (sample, p) in properties.iter().enumerate() {
        for point in 0..300 {
            let corner = point % 2 == 0;
            let x: Vec<f64> = (0..n)
                .map(|i| {
                    let t = random.uniform(0.0, 1.0);
                    let t = if corner { t.round() } else { t };
                    p.lower[i] + t * (p.upper[i] - p.lower[i])
                })
                .collect();
            let y = oracle::evaluate(&network, &x);
            for (objective, least) in objectives.iter().zip(&mut least).filter(|(o, _)| o.sample == sample) {
                let value = objective.coefficients.iter().zip(&y).map(|(c, y)| f64::from(*c) * y).sum();
                *least = least.min(value);
            }
        }
    }
    // Values are of order 1 after a few layers: f32 rounding stays far below this.
    let slack = 1e-4;
    for i in 0..objectives.len() {
        assert!(crown[i] >= first[i] - slack || case % 3 == 2, "case {case}: CROWN below CROWN-IBP");
        assert!(alpha[i] >= crown[i] - slack, "case {case}: α-CROWN below CROWN");
        assert!(f64::from(alpha[i]) <= least[i] + f64::from(slack), "case {case}: above a sampled value");
        assert!(f64::from(beyond[i]) <= least[i] + f64::from(slack), "case {case}: above a sampled value");
    }
}

#[test]
fn bounds_hold_for_sampled_points_and_get_tighter_in_order() {
    for case in 0..24 {
        check_random_network(&mut CpuSession::new(), case);
    }
    for case in 0..4 {
        device::gpu(|options| options, |session| check_random_network(session, case));
    }
}
