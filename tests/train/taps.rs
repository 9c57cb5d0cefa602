//! TAPS and STAPS: the attack in the latent box, the connector, the product of losses.

use smallbox::error::{Error, Result};
use smallbox::graph::Value;
use smallbox::interval::{Bounds, Interval};
use smallbox::nn::{Bound, Layer, Network};
use smallbox::ops;
use smallbox::train::attack::AttackSpec;
use smallbox::train::latent::{TapsSpec, connect, estimated_margins_from, product_loss};
use smallbox::train::methods::{Batch, method};
use smallbox::train::{BnStats, Config, MethodKind};

use crate::common::device;
use crate::common::random::Random;
use crate::common::run::{Case, Outcome, run};
use crate::common::tensor::Tensor;

fn spec(step_lengths: &[f32], restarts: usize) -> TapsSpec {
    TapsSpec {
        split: 1,
        step_lengths: step_lengths.to_vec(),
        restarts,
        threshold: 0.5,
        grad_scale: 5.0,
        group_elements: 1 << 20,
    }
}

/// amplitude · sin(frequency · i + phase): numbers that are the same everywhere.
fn wave(shape: &[usize], frequency: f64, phase: f64, amplitude: f64) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::new(shape, (0..n).map(|i| amplitude * (frequency * i as f64 + phase).sin()).collect())
}

/// Three samples of three pixels; layers of 5 and 4 hidden units, the second behind the split; four classes.
fn network() -> Network {
    let linear = |outputs| Layer::Linear { outputs };
    let layers = vec![Layer::Flatten, linear(5), Layer::Relu, linear(4), Layer::Relu, linear(4)];
    Network::new("tiny", [1, 1, 3], 4, layers).expect("the layers fit")
}

const LABELS: [u32; 3] = [2, 0, 3];
const STEPS: [f32; 3] = [0.3, 0.3, 0.05];

/// What is done to the case of [`oracle_case`].
#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Right,
    /// The box before the split is a constant for the estimates.
    Cut,
    /// w = 1.
    Unscaled,
}

fn oracle_case(c: &mut Case, network: &Network, variant: Variant) -> Result<()> {
    let of = |p: &[usize], phase, amplitude| wave(p, 1.7, phase, amplitude);
    let parameters: Vec<Value> = [
        of(&[5, 3], 0.3, 0.9),
        of(&[5], 1.1, 0.3),
        of(&[4, 5], 2.2, 0.8),
        of(&[4], 0.7, 0.3),
        of(&[4, 4], 1.9, 0.9),
        of(&[4], 2.9, 0.2),
    ]
    .iter()
    .map(|t| c.input(t))
    .collect();
    let bound = Bound::with_values(network, parameters.clone());
    let x = c.input(&of(&[3, 1, 1, 3], 0.4, 0.4).map(|v| 0.5 + v));
    let start = c.input(&wave(&[3, 15], 2.3, 0.9, 0.5).map(|v| 0.5 + v));
    let labels = c.labels(&LABELS);
    let radius = c.input(&Tensor::filled([1], 0.15));
    let mut spec = spec(&STEPS, 1);
    let g = &mut c.graph;
    let region = Bounds::ball(g, x, radius)?.interval(g)?;
    let propagated = bound.propagate(g, region)?;
    let bounds = bound.margin_logits(g, propagated.before_last, labels)?;
    let mut latent = propagated.before_layer[network.split_layer(1)?];
    match variant {
        Variant::Right => {}
        Variant::Cut => latent = latent.detach(g),
        Variant::Unscaled => spec.grad_scale = 1.0,
    }
    let estimated = estimated_margins_from(g, &bound, latent, labels, &spec, &mut |_, _| Ok(start))?;
    let loss = product_loss(g, estimated, bounds, labels, spec.grad_scale)?;
    let grads = ops::gradients(g, loss, &parameters)?;
    c.output("loss", loss);
    c.output("estimated", estimated);
    for (i, grad) in grads.into_iter().enumerate() {
        c.output(&format!("grad{i}"), grad.expect("the loss depends on every parameter"));
    }
    Ok(())
}

/// From PyTorch in f64: loss, estimated margins, and gradients of the parameters in order. The equations there: IBP through the
/// first layer, l = ReLU(m − r), u = ReLU(m + r); for each wrong class four iterates from l + start · (u − l) by steps of sign(∇)
/// times 0.3, 0.3, 0.05 times (u − l), cut to [l, u], the best kept; a `torch.autograd.Function` that passes the point on and gives to
/// u the gradient times (x − u + s)/s where x ≥ u − s = u − (u − l)/2, to l likewise, distances and s cut from below at 5e-6 and
/// 1e-5; another that multiplies the gradient by 5; log(1 + Σ exp margin), its mean times that of the elided IBP margins.
const LOSS: f64 = 2.7064271;
const ESTIMATED: [f64; 12] = [
    0.0, 0.4586200, 0.0889600, 0.2598090, 0.0, 0.0074530, 0.3874580, 1.0403310, 0.0, 0.0682230, -0.3735990, -0.2344660,
];
const GRADS: [&[f64]; 6] = [
    &[
        0.1657788, 0.2881838, 0.2016468, -0.6437506, 1.9920890, 1.9881638, 0.0, 0.1129439, 0.4615470, 0.0, 0.0, 0.0,
        -0.1054159, -0.3495534, -0.1707160,
    ],
    &[0.3755015, 1.4916929, 0.4615470, 0.0, -0.3031005],
    &[
        0.0053094, -1.6836696, 0.0, 0.0, -0.0130048, 0.0098027, 0.2408495, 0.2162871, 0.0, 0.0, 0.8578931, 2.9766285,
        -0.1027041, 0.0, 0.1287294, -0.3610067, -0.0150671, 0.0, 0.0, -0.0217066,
    ],
    &[-0.4692219, 0.4276622, 1.5951768, -0.2916519],
    &[
        1.1175339, 0.5486115, -1.8778499, 0.3361777, 0.7592354, 0.2412633, 0.5301122, 0.2060403, -2.3582857, 0.3085218,
        -0.5438833, -0.5422180, 0.4815164, -1.0983966, 1.8916210, 0.0,
    ],
    &[-0.7184505, 1.9432631, -1.1698267, -0.0549859],
];

/// Greatest difference of a gradient from PyTorch's.
fn gradient_error(got: &Outcome) -> f64 {
    let of = |i: usize, want: &[f64]| {
        let got = got.tensor(&format!("grad{i}"));
        assert_eq!(got.data.len(), want.len());
        got.data.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max)
    };
    GRADS.iter().enumerate().map(|(i, want)| of(i, want)).fold(0.0, f64::max)
}

#[test]
fn loss_and_gradients_are_those_of_the_authors_equations() {
    let network = network();
    device::each(|session| {
        let got = run(session, |c| oracle_case(c, &network, Variant::Right));
        let loss = got.tensor("loss").data[0];
        assert!((loss - LOSS).abs() < 1e-5, "{loss}");
        for (g, w) in got.tensor("estimated").data.iter().zip(ESTIMATED) {
            assert!((g - w).abs() < 1e-5, "{g} and {w}");
        }
        // Some dozens of f32 operations on numbers of a few units.
        assert!(gradient_error(&got) < 2e-5, "{}", gradient_error(&got));
    });
}

#[test]
fn a_cut_connector_or_a_missing_weight_is_noticed() {
    let network = network();
    device::each(|session| {
        for variant in [Variant::Cut, Variant::Unscaled] {
            let got = run(session, |c| oracle_case(c, &network, variant));
            assert!((got.tensor("loss").data[0] - LOSS).abs() < 1e-5, "neither changes the loss");
            assert!(gradient_error(&got) > 0.05, "{}", gradient_error(&got));
        }
    });
}

/// Slopes of a point to the lower and the upper end, by the formula.
fn slopes(x: f64, [lower, upper]: [f64; 2], threshold: f64) -> [f64; 2] {
    let s = threshold * (upper - lower);
    let slope = |distance: f64| if distance >= 0.0 { distance.max(5e-6) / s.max(1e-5) } else { 0.0 };
    [slope(lower + s - x), slope(x - (upper - s))]
}

#[test]
fn the_connector_moves_a_point_with_the_faces_it_is_near() {
    // Exact in f32, so that the faces and the thresholds are met exactly. The last box has no width.
    let ends = [[0.0, 1.0], [-2.0, 2.0], [0.5, 0.75], [1.0, 1.0]];
    let places = [0.0, 0.125, 0.25, 0.5, 0.625, 0.875, 1.0];
    let point = |p: f64, [l, u]: [f64; 2]| l + p * (u - l);
    let points: Vec<f64> = places.iter().flat_map(|&p| ends.map(|e| point(p, e))).collect();
    let upstream = Tensor::new([7, 4], (0..28).map(|i| 1.0 + f64::from(i)).collect());
    for threshold in [0.25, 0.5, 1.0] {
        let mut want = [[0.0; 4]; 2];
        for (i, &x) in points.iter().enumerate() {
            let of = slopes(x, ends[i % 4], threshold);
            for side in 0..2 {
                want[side][i % 4] += of[side] * upstream.data[i];
            }
        }
        device::each(|session| {
            let got = run(session, |c| {
                let points = c.input(&Tensor::new([7, 4], points.clone()));
                let [lower, upper] = [0, 1].map(|side| c.input(&Tensor::new([1, 4], ends.map(|e| e[side]).to_vec())));
                let connected = connect(&mut c.graph, points, Bounds { lower, upper }, threshold as f32)?;
                c.output("points", connected);
                c.gradients(&[connected], std::slice::from_ref(&upstream), &[lower, upper])
            });
            assert_eq!(got.tensor("points").data, points, "the connector does not move a point");
            for (side, want) in want.iter().enumerate() {
                for (g, w) in got.tensor(&format!("grad{side}")).data.iter().zip(want) {
                    assert!((g - w).abs() < 1e-3, "c = {threshold}, side {side}: {g} and {w}");
                }
            }
        });
    }
}

/// A network with convolutions and norms on both sides of the split before the last two ReLUs.
fn normed() -> Network {
    let convolution = |stride| Layer::Conv2d { features: 4, kernel: 3, stride, padding: 1 };
    let layers = vec![
        convolution(2),
        Layer::BatchNorm,
        Layer::Relu,
        convolution(1),
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 8 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Linear { outputs: 5 },
    ];
    Network::new("normed", [1, 6, 6], 5, layers).expect("the layers fit")
}

const SAMPLES: usize = 6;

/// The normed network with the statistics of a random batch, the box of radius ε before the split, IBP's margins, and labels.
struct Prepared<'a> {
    bound: Bound<'a>,
    latent: Interval,
    margins: Value,
    labels: Value,
}

fn prepare<'a>(c: &mut Case, network: &'a Network, epsilon: f64, split: usize) -> Result<Prepared<'a>> {
    let random = &mut Random::new(5);
    let parameters: Vec<Value> =
        network.parameters().iter().map(|p| c.input(&random.tensor(p.shape.dims(), -0.7, 0.7))).collect();
    let statistics: Vec<_> = network
        .buffers()
        .chunks(2)
        .map(|pair| {
            let mean = c.input(&random.tensor(pair[0].shape.dims(), -0.1, 0.1));
            let variance = c.input(&random.tensor(pair[1].shape.dims(), 0.5, 1.0));
            smallbox::nn::Statistics { mean, variance }
        })
        .collect();
    let x = c.input(&random.tensor([SAMPLES, 1, 6, 6], 0.0, 1.0));
    let labels = c.labels(&random.labels(SAMPLES, 5));
    let radius = c.input(&Tensor::filled([1], epsilon));
    let g = &mut c.graph;
    let bound = Bound::new(g, network, parameters, &statistics)?;
    let region = Bounds::ball(g, x, radius)?.interval(g)?;
    let propagated = bound.propagate(g, region)?;
    let margins = bound.margin_logits(g, propagated.before_last, labels)?;
    Ok(Prepared { latent: propagated.before_layer[network.split_layer(split)?], bound, margins, labels })
}

/// Rows of `[N,K]` in ascending order without the entry of the label, which is 0: what does not depend on the order of classes.
fn wrong_classes(margins: &Tensor, label: impl Fn(usize) -> usize) -> Vec<f64> {
    let rows = margins.data.chunks(5).enumerate();
    rows.flat_map(|(n, row)| {
        assert_eq!(row[label(n)], 0.0);
        (0..5).filter(|&k| k != label(n)).map(|k| row[k]).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn estimates_stay_below_the_bounds_and_more_attack_never_finds_less() {
    let network = normed();
    let (few, more) = (spec(&[0.4, 0.4], 1), spec(&[0.4, 0.4, 0.2, 0.1], 1));
    let labels = {
        let random = &mut Random::new(5);
        // What `prepare` draws before the labels.
        for p in network.parameters() {
            random.tensor(p.shape.dims(), 0.0, 1.0);
        }
        for b in network.buffers() {
            random.tensor(b.shape.dims(), 0.0, 1.0);
        }
        random.tensor([SAMPLES, 1, 6, 6], 0.0, 1.0);
        random.labels(SAMPLES, 5)
    };
    let label = |n: usize| labels[n] as usize;
    for split in [1, 2] {
        device::each(|session| {
            let got = run(session, |c| {
                let p = prepare(c, &network, 0.1, split)?;
                c.output("bounds", p.margins);
                let elements = c.graph.shape(p.latent.center).elements();
                let starts = [21, 22, 23].map(|seed| c.input(&Random::new(seed).tensor([4, elements], 0.0, 1.0)));
                for (name, spec) in [
                    ("none", spec(&[], 1)),
                    ("few", few.clone()),
                    ("more", more.clone()),
                    ("restarted", TapsSpec { restarts: 3, ..more.clone() }),
                ] {
                    let mut starts = starts.into_iter();
                    let mut start = |_: &mut _, _| Ok(starts.next().expect("three starts"));
                    let spec = TapsSpec { split, ..spec };
                    let g = &mut c.graph;
                    let margins = estimated_margins_from(g, &p.bound, p.latent, p.labels, &spec, &mut start)?;
                    c.output(name, margins);
                }
                Ok(())
            });
            let order = ["none", "few", "more", "restarted"].map(|name| wrong_classes(&got.tensor(name), |_| 0));
            let bounds = wrong_classes(&got.tensor("bounds"), label);
            // Sums of at most 36 products of a few units.
            let rounding = 1e-5;
            for pair in order.windows(2) {
                assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a <= &(b + rounding)), "{pair:?}");
                assert!(pair[0].iter().zip(&pair[1]).any(|(a, b)| b - a > 1e-3), "more must find more somewhere");
            }
            assert!(order[3].iter().zip(&bounds).all(|(e, b)| *e <= b + rounding), "{:?} and {bounds:?}", order[3]);
            assert!(order[3].iter().zip(&bounds).any(|(e, b)| b - e > 1e-2), "bounds that estimates do not reach");
        });
    }
}

#[test]
fn groups_of_classes_give_what_all_at_once_give() {
    let network = normed();
    device::each(|session| {
        let got = run(session, |c| {
            let p = prepare(c, &network, 0.1, 2)?;
            let elements = c.graph.shape(p.latent.center).elements();
            let noise = Random::new(3).tensor([4, elements], 0.0, 1.0);
            let whole = spec(&[0.4, 0.2], 1);
            for (name, classes) in [("all", 4), ("three", 3), ("one", 1)] {
                let spec = TapsSpec { split: 2, group_elements: classes * SAMPLES * 36, ..whole.clone() };
                // Three at a time make two groups of two.
                let sizes: &[usize] = match classes {
                    4 => &[4],
                    3 => &[2, 2],
                    _ => &[1, 1, 1, 1],
                };
                let mut from = 0;
                let mut starts = Vec::new();
                for &size in sizes {
                    let part = noise.data[from * elements..(from + size) * elements].to_vec();
                    starts.push(c.input(&Tensor::new([size, elements], part)));
                    from += size;
                }
                let mut starts = starts.into_iter();
                let mut start = |_: &mut _, _| Ok(starts.next().expect("one start for each group"));
                let g = &mut c.graph;
                let margins = estimated_margins_from(g, &p.bound, p.latent, p.labels, &spec, &mut start)?;
                assert!(starts.next().is_none(), "{name}");
                c.output(name, margins);
            }
            Ok(())
        });
        let [all, three, one] = ["all", "three", "one"].map(|name| got.tensor(name));
        for other in [three, one] {
            assert!(all.data.iter().zip(&other.data).all(|(a, b)| (a - b).abs() < 1e-5), "{all:?} and {other:?}");
        }
    });
}

/// Loss, and share that counts as robust, of `kind` on the tiny network at ε.
fn losses(case: &mut Case, network: &Network, epsilon: f64) -> Result<()> {
    let (attack, taps) = (AttackSpec::evaluation(3, 0.5), spec(&[0.4, 0.4, 0.2], 2));
    let random = &mut Random::new(8);
    let parameters =
        network.parameters().iter().map(|p| case.input(&random.tensor(p.shape.dims(), -1.0, 1.0))).collect();
    let bound = Bound::with_values(network, parameters);
    let x = case.input(&random.tensor([8, 1, 1, 3], 0.0, 1.0));
    let labels = case.labels(&random.labels(8, 4));
    let radius = case.input(&Tensor::filled([1], epsilon));
    let key = case.labels(&[1, 2, 3, 4]);
    let clean = bound.forward(&mut case.graph, x)?;
    let natural = ops::cross_entropy(&mut case.graph, clean, labels)?;
    let natural = ops::mean_all(&mut case.graph, natural)?;
    case.output("natural", natural);
    for annealing in [false, true] {
        for kind in [MethodKind::Ibp, MethodKind::Sabr, MethodKind::Taps, MethodKind::Staps] {
            let batch = Batch {
                network: &bound,
                evaluated: &bound,
                clean,
                bn_stats: BnStats::Clean,
                x,
                labels,
                epsilon: radius,
                key,
                attack_radius: 1.0,
                lambda: 0.4,
                alpha: 0.1,
                faithful_border: false,
                relu_shrinkage: 1.0,
                attack: &attack,
                annealing,
                piece: 0,
                taps: &taps,
            };
            let robust = method(kind).robust_loss(&mut case.graph, &batch)?;
            case.output(&format!("{} {annealing}", kind.name()), robust.loss);
        }
    }
    Ok(())
}

#[test]
fn without_a_radius_the_loss_is_the_square_of_the_clean_one() {
    let network = network();
    device::each(|session| {
        let got = run(session, |c| losses(c, &network, 0.0));
        let natural = got.tensor("natural").data[0];
        for name in ["taps false", "staps false"] {
            let loss = got.tensor(name).data[0];
            assert!((loss - natural * natural).abs() < 1e-5, "{name}: {loss} and {natural}²");
        }
        for name in ["taps true", "staps true"] {
            assert!((got.tensor(name).data[0] - natural).abs() < 1e-5, "{name}");
        }
    });
}

#[test]
fn while_epsilon_grows_they_are_ibp_and_sabr() {
    let network = network();
    device::each(|session| {
        let got = run(session, |c| losses(c, &network, 0.1));
        let loss = |name: &str| got.tensor(name).data[0];
        assert_eq!(loss("taps true"), loss("ibp false"));
        assert_eq!(loss("staps true"), loss("sabr false"));
        // Afterwards an estimate below the bound, times the bound: between CE² of the point and of the bound.
        let (natural, ibp, sabr) = (loss("natural"), loss("ibp false"), loss("sabr false"));
        assert!(natural < sabr && sabr < ibp, "{natural}, {sabr}, {ibp}");
        assert!(loss("taps false") < ibp * ibp - 1e-3 && loss("taps false") > natural * ibp, "{}", loss("taps false"));
        assert!(loss("staps false") < sabr * sabr - 1e-4 && loss("staps false") > natural * natural);
        assert!(loss("staps false") < loss("taps false"));
    });
}

#[test]
fn settings_that_make_no_sense_are_refused_in_one_line() {
    let taps = Config { method: MethodKind::Taps, ..Config::default() };
    for (config, part) in [
        (Config { taps_split: 0, ..taps.clone() }, "taps_split = 0"),
        (Config { taps_steps: 0, ..taps.clone() }, "taps_steps = 0"),
        (Config { taps_restarts: 0, ..taps.clone() }, "taps_restarts = 0"),
        (Config { taps_step_size: Some(1.5), ..taps.clone() }, "taps_step_size = 1.5"),
        (Config { taps_step_decay: Some(0.0), ..taps.clone() }, "taps_step_decay = 0"),
        (Config { taps_threshold: 0.0, ..taps.clone() }, "taps_threshold = 0"),
        (Config { taps_threshold: f64::NAN, ..taps.clone() }, "taps_threshold = NaN"),
        (Config { taps_grad_scale: -1.0, ..taps.clone() }, "taps_grad_scale = -1"),
    ] {
        match config.resolve() {
            Err(Error::Config(message)) => assert!(message.contains(part) && !message.contains('\n'), "{message}"),
            other => panic!("{part}: {other:?}"),
        }
    }
    // Of the network, before anything is trained: cnn3 has three ReLUs.
    let options = smallbox::data::LoadOptions { limit: Some(16), validation: Some(0), ..Default::default() };
    let dataset = smallbox::data::load("embedded", &options).expect("it needs no files");
    let resolved = |split| Config { taps_split: split, ..taps.clone() }.resolve().expect("in itself it is valid");
    assert!(smallbox::train::network_for(&resolved(2), &dataset).is_ok());
    match smallbox::train::network_for(&resolved(3), &dataset) {
        Err(Error::Config(message)) => assert!(message.contains("expected 1 to 2"), "{message}"),
        other => panic!("{other:?}"),
    }
    let other = Config { method: MethodKind::Ibp, taps_split: 3, ..taps }.resolve().expect("valid");
    assert!(smallbox::train::network_for(&other, &dataset).is_ok(), "no other method minds");
}
