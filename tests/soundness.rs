//! Bounds by interval propagation hold what they promise: sampled points lie inside, a box of radius 0 is its point, a larger
//! box has wider bounds, and elided margins are never looser than differences of separate bounds.

use smallbox::device::Session;
use smallbox::graph::Value;
use smallbox::interval::Interval;
use smallbox::nn::{Bound, Layer, Network, Parameter, Role};
use smallbox::ops;

use crate::common::close::growth;
use crate::common::device;
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// Sampled points of a case.
const POINTS: usize = 10_000;
/// Points that go through the net at once.
const BATCH: usize = 500;

/// A small random net with normalisation, one or two convolutions and one or two linear layers.
fn network(random: &mut Random) -> Network {
    let channels = 1 + random.below(3);
    let mut layers = Vec::new();
    if random.below(2) == 0 {
        let mean = (0..channels).map(|_| random.uniform(0.1, 0.6) as f32).collect();
        let deviation = (0..channels).map(|_| random.uniform(0.2, 1.0) as f32).collect();
        layers.push(Layer::Normalize { mean, deviation });
    }
    for _ in 0..=random.below(2) {
        let (features, kernel) = (1 + random.below(5), 1 + random.below(3));
        layers.push(Layer::Conv2d { features, kernel, stride: 1 + random.below(2), padding: random.below(2) });
        layers.push(Layer::Relu);
    }
    layers.push(Layer::Flatten);
    if random.below(2) == 0 {
        layers.extend([Layer::Linear { outputs: 2 + random.below(8) }, Layer::Relu]);
    }
    let classes = 2 + random.below(4);
    layers.push(Layer::Linear { outputs: classes });
    Network::new("random", [channels, 6 + random.below(3), 6 + random.below(3)], classes, layers)
        .expect("the layers fit")
}

struct Sample {
    network: Network,
    parameters: Vec<Tensor>,
    center: Tensor,
    radius: Tensor,
}

fn sample(seed: u64) -> Sample {
    let random = &mut Random::new(seed);
    let network = network(random);
    // Biases mostly positive: a box whose ReLUs are all dead has no width to lose a point from.
    let lowest = |p: &Parameter| if p.role == Role::Weight { -0.7 } else { -0.1 };
    let parameters = network.parameters().iter().map(|p| random.tensor(p.shape.dims(), lowest(p), 0.7)).collect();
    let shape = network.batch_shape(1);
    let center = random.tensor(shape.dims(), 0.0, 1.0);
    // Some pixels have no radius.
    let radius = random.tensor(shape.dims(), -0.03, 0.15).map(|r| r.max(0.0));
    Sample { network, parameters, center, radius }
}

/// Ends of the box after the whole net, margins with elision for every label, all [K] or [K,K].
struct Ends {
    lower: Tensor,
    upper: Tensor,
    /// Row y: upper bounds of z_k − z_y.
    margins: Tensor,
    center: Tensor,
    radius: Tensor,
}

fn propagate(session: &mut dyn Session, s: &Sample, center: &Tensor, radius: &Tensor) -> Ends {
    let classes = s.network.classes;
    let got = run(session, |c| {
        let parameters: Vec<Value> = s.parameters.iter().map(|p| c.input(p)).collect();
        // One copy of the box for each label.
        let repeated = |t: &Tensor| Tensor::new(s.network.batch_shape(classes).dims(), t.data.repeat(classes));
        let [center, radius] = [repeated(center), repeated(radius)].map(|t| c.input(&t));
        let labels = c.labels(&(0..classes as u32).collect::<Vec<_>>());
        let [w, b] = [parameters[parameters.len() - 2], parameters[parameters.len() - 1]];
        let bound = Bound::with_values(&s.network, parameters);
        let g = &mut c.graph;
        let before = bound.propagate(g, Interval { center, radius })?.before_last;
        let margins = bound.margin_logits(g, before, labels)?;
        let (center, radius) = ops::linear_interval(g, (before.center, before.radius), w, Some(b))?;
        let ends = Interval { center, radius }.bounds(g)?;
        for (name, value) in
            [("lower", ends.lower), ("upper", ends.upper), ("margins", margins), ("center", center), ("radius", radius)]
        {
            c.output(name, value);
        }
        Ok(())
    });
    let row = |name: &str| Tensor::new([classes], got.tensor(name).data[..classes].to_vec());
    Ends {
        lower: row("lower"),
        upper: row("upper"),
        margins: got.tensor("margins"),
        center: row("center"),
        radius: row("radius"),
    }
}

fn logits(session: &mut dyn Session, s: &Sample, points: Tensor) -> Tensor {
    let got = run(session, |c| {
        let parameters: Vec<Value> = s.parameters.iter().map(|p| c.input(p)).collect();
        let x = c.input(&points);
        let y = Bound::with_values(&s.network, parameters).forward(&mut c.graph, x)?;
        c.output("y", y);
        Ok(())
    });
    got.tensor("y")
}

/// What f32 may add to a bound or a point of this net. With M the logits' magnitude when every weight, bias, shift and input is
/// replaced by its absolute value, each layer of K terms adds growth(K) · u · M at most, u = ε₃₂/2, to the bound and to the
/// point, twice in a difference of two.
fn slack(session: &mut dyn Session, s: &Sample) -> f64 {
    let without_signs = |layer: &Layer| match layer {
        // |(x − mean) / deviation| ≤ (|x| + |mean|) / deviation.
        Layer::Normalize { mean, deviation } => {
            Layer::Normalize { mean: mean.iter().map(|m| -m.abs()).collect(), deviation: deviation.clone() }
        }
        other => other.clone(),
    };
    let layers = s.network.layers().iter().map(without_signs).collect();
    let absolute = Sample {
        network: Network::new("absolute", s.network.input, s.network.classes, layers).expect("the same shapes"),
        parameters: s.parameters.iter().map(|p| p.map(f64::abs)).collect(),
        center: s.center.clone(),
        radius: s.radius.clone(),
    };
    let far = s.center.zip(&s.radius, |c, r| c + r);
    let magnitude = logits(session, &absolute, Tensor::new(s.network.batch_shape(1).dims(), far.data)).max_abs();
    // Beside its sum a layer rounds the bias, the normalisation and the ends of the box.
    let terms: f64 =
        s.network.parameters().iter().filter(|p| p.role == Role::Weight).map(|p| growth(p.fan_in + 4)).sum();
    4.0 * terms * f64::from(f32::EPSILON) / 2.0 * magnitude
}

/// Random points of the box, every fourth of them a corner.
fn points(random: &mut Random, s: &Sample) -> Tensor {
    let mut data = Vec::with_capacity(BATCH * s.center.len());
    for i in 0..BATCH {
        for (&c, &r) in s.center.data.iter().zip(&s.radius.data) {
            let at = if i % 4 == 0 { random.below(2) as f64 * 2.0 - 1.0 } else { random.uniform(-1.0, 1.0) };
            data.push(f64::from((c + at * r) as f32));
        }
    }
    Tensor::new(s.network.batch_shape(BATCH).dims(), data)
}

/// Logits and margins of `logits` that lie outside the bounds by more than `slack`.
fn outside(ends: &Ends, logits: &Tensor, slack: f64) -> usize {
    let classes = ends.lower.len();
    let mut count = 0;
    for z in logits.data.chunks(classes) {
        for k in 0..classes {
            count += usize::from(!(ends.lower.data[k] - slack <= z[k] && z[k] <= ends.upper.data[k] + slack));
            // A NaN is outside too.
            let inside = |y: usize| z[k] - z[y] <= ends.margins.data[y * classes + k] + slack;
            count += (0..classes).filter(|&y| !inside(y)).count();
        }
    }
    count
}

const CASES: u64 = 6;

#[test]
fn sampled_points_lie_inside() {
    device::each(|session| {
        for seed in 0..CASES {
            let s = sample(seed);
            let ends = propagate(session, &s, &s.center, &s.radius);
            let slack = slack(session, &s);
            // The bound is worth something: the slack is small against the width.
            assert!(
                slack < 0.01 * ends.radius.max_abs(),
                "case {seed}: slack {slack:e}, radius {}",
                ends.radius.max_abs()
            );
            let random = &mut Random::new(seed + 1000);
            for _ in 0..POINTS / BATCH {
                let logits = logits(session, &s, points(random, &s));
                assert_eq!(outside(&ends, &logits, slack), 0, "case {seed}: {:?}", s.network);
            }
        }
    });
}

/// Negative control: bounds of a radius that forgets |w|, or that is a little too small, must lose a corner.
#[test]
fn bounds_that_are_too_tight_lose_points() {
    // One linear layer: the corner of its row's signs reaches the bound.
    let network = Network::new("line", [1, 1, 5], 2, vec![Layer::Flatten, Layer::Linear { outputs: 2 }]).unwrap();
    let random = &mut Random::new(3);
    let parameters = vec![random.tensor([2, 5], -1.0, 1.0), random.tensor([2], -1.0, 1.0)];
    let s = Sample {
        network,
        parameters,
        center: Tensor::filled([1, 1, 1, 5], 0.5),
        radius: Tensor::filled([1, 1, 1, 5], 0.25),
    };
    device::each(|session| {
        let right = propagate(session, &s, &s.center, &s.radius);
        let slack = slack(session, &s);
        let random = &mut Random::new(4);
        let logits = logits(session, &s, points(random, &s));
        assert_eq!(outside(&right, &logits, slack), 0);
        let tight = propagate(session, &s, &s.center, &s.radius.map(|r| 0.99 * r));
        assert!(outside(&tight, &logits, slack) > 0, "a radius of 99 %");
        let signed: Vec<f64> = s.parameters[0]
            .data
            .chunks(5)
            .map(|row| row.iter().zip(&s.radius.data).map(|(w, r)| w * r).sum())
            .collect();
        let wrong = Ends {
            lower: Tensor::new([2], right.center.data.iter().zip(&signed).map(|(c, r)| c - r).collect()),
            upper: Tensor::new([2], right.center.data.iter().zip(&signed).map(|(c, r)| c + r).collect()),
            ..right
        };
        assert!(outside(&wrong, &logits, slack) > 0, "a radius without |w|");
    });
}

#[test]
fn a_box_of_radius_zero_is_its_point() {
    device::each(|session| {
        for seed in 0..CASES {
            let s = sample(seed);
            let ends = propagate(session, &s, &s.center, &s.radius.map(|_| 0.0));
            assert_eq!(ends.radius.max_abs(), 0.0, "case {seed}");
            assert_eq!((&ends.lower, &ends.upper), (&ends.center, &ends.center), "case {seed}");
            let slack = slack(session, &s);
            let point = logits(session, &s, s.center.clone());
            assert_eq!(outside(&ends, &point, slack), 0, "case {seed}");
        }
    });
}

#[test]
fn a_larger_box_contains_the_smaller() {
    device::each(|session| {
        for seed in 0..CASES {
            let s = sample(seed);
            let slack = slack(session, &s);
            let small = propagate(session, &s, &s.center, &s.radius.map(|r| f64::from((0.5 * r) as f32)));
            let large = propagate(session, &s, &s.center, &s.radius);
            let wider = |a: &Tensor, b: &Tensor| a.data.iter().zip(&b.data).all(|(a, b)| a <= &(b + slack));
            assert!(wider(&large.lower, &small.lower), "lower ends of case {seed}");
            assert!(wider(&small.upper, &large.upper), "upper ends of case {seed}");
            assert!(wider(&small.margins, &large.margins), "margins of case {seed}");
        }
    });
}

/// |w_y − w_k| · r ≤ (|w_y| + |w_k|) · r, and strictly less somewhere.
#[test]
fn elided_margins_are_never_looser() {
    device::each(|session| {
        let mut tighter = 0;
        for seed in 0..CASES {
            let s = sample(seed);
            let slack = slack(session, &s);
            let ends = propagate(session, &s, &s.center, &s.radius);
            let classes = s.network.classes;
            for y in 0..classes {
                for k in (0..classes).filter(|&k| k != y) {
                    let separate = ends.upper.data[k] - ends.lower.data[y];
                    let elided = ends.margins.data[y * classes + k];
                    assert!(elided <= separate + slack, "case {seed}: {elided} and {separate}");
                    tighter += usize::from(elided < separate - slack);
                }
                assert_eq!(ends.margins.data[y * classes + y], 0.0, "the label's own margin");
            }
        }
        assert!(tighter > 0, "elision gains somewhere");
    });
}
