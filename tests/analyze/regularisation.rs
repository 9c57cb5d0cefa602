//! States of ReLUs against counting in f64, cosines against central differences, sizes of weights against loops.

use smallbox::analyze::regularisation::{
    Alignment, ModelRegularisation, Region as Place, Regularisation, Settings, document, measure, norms, sheet,
};
use smallbox::analyze::{Attack, Sample, attacked};
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::figure::Mark;
use smallbox::nn::{BATCH_NORM_EPSILON, Layer};
use smallbox::train::attack::AttackSpec;
use smallbox::train::checkpoint::write_tensors;

use super::nets::{Region, dense, images, mixed, through};
use crate::common::device;
use crate::common::picture::assert_readable;
use crate::interchange::{Model, lonely_norms};

const EPSILON: f64 = 0.125;
const LAMBDA: f64 = 0.25;

/// Batches that do not divide the number of images.
fn attack() -> Attack {
    Attack { epsilon: EPSILON, spec: AttackSpec::evaluation(3, 0.5), seed: 5, batch: 3 }
}

fn measured(session: &mut dyn Session, model: &Model, sample: &Sample, lambda: f64) -> ModelRegularisation {
    write_tensors(session, &model.network, &model.tensors).expect("the network's tensors");
    let settings = Settings { sample, gradient_images: 2, lambda, attack: attack() };
    let this = ("net", &model.network, &model.tensors[..]);
    let mut heard = Vec::new();
    let mut progress = |what: &str, done: usize, of: usize| heard.push((what.to_string(), done == of));
    let found = measure(session, this, &settings, &mut progress);
    let found = pollster::block_on(found).unwrap_or_else(|e| panic!("{e}"));
    for what in ["attacked", "bounded", "gradients"] {
        assert!(heard.contains(&(what.to_string(), true)), "{what}: {heard:?}");
    }
    found
}

/// Where the attack ends, image by image; the same as within [`measure`].
fn points(session: &mut dyn Session, model: &Model, sample: &Sample) -> Vec<f32> {
    write_tensors(session, &model.network, &model.tensors).expect("the network's tensors");
    let how = attack();
    pollster::block_on(attacked(session, &model.network, sample, &how, &mut |_| ())).expect("an attack")
}

/// The four regions of an image, in the order of [`Place::ALL`].
fn regions(input: [usize; 3], image: &[f32], point: &[f32], lambda: f64) -> [Region; 4] {
    let ball = Region::around(input, image, EPSILON).clipped();
    let mut small = Region::around(input, point, lambda * EPSILON);
    for i in 0..small.center.len() {
        let [c, r] = [ball.center.data[i], ball.radius.data[i]];
        let radius = small.radius.data[i].min(r);
        small.radius.data[i] = radius;
        small.center.data[i] = small.center.data[i].max(c - r + radius).min(c + r - radius);
    }
    [Region::around(input, image, 0.0), Region::around(input, point, 0.0), small, ball]
}

/// An end of a box this near to 0 may have the other sign in f32.
const NEAR: f64 = 1e-5;

#[test]
fn states_are_counted_as_in_plain_loops() {
    for model in [mixed(), lonely_norms()] {
        device::each(|session| {
            let sample = images(&model, 4);
            let points = points(session, &model, &sample);
            let found = measured(session, &model, &sample, LAMBDA);
            let relus: Vec<usize> =
                (0..model.network.layers().len()).filter(|&p| model.network.layers()[p] == Layer::Relu).collect();
            for (number, (of, place)) in found.states.iter().zip(Place::ALL).enumerate() {
                assert_eq!((of.region, of.layers.len()), (place, relus.len()));
                for (states, &relu) in of.layers.iter().zip(&relus) {
                    let (mut counts, mut near, mut all) = ([0.0; 3], 0.0, 0.0);
                    for (image, point) in sample.images.chunks(sample.pixels()).zip(points.chunks(sample.pixels())) {
                        let region = regions(sample.input, image, point, LAMBDA)[number].clone();
                        let before = &through(&model, region)[relu];
                        for (c, r) in before.center.data.iter().zip(&before.radius.data) {
                            let (lower, upper) = (c - r, c + r);
                            let state = if upper <= 0.0 {
                                1
                            } else if lower < 0.0 {
                                2
                            } else {
                                0
                            };
                            counts[state] += 1.0;
                            near += f64::from(u8::from(lower.abs().min(upper.abs()) < NEAR));
                            all += 1.0;
                        }
                    }
                    let got = [states.active, states.inactive, states.unstable];
                    assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                    for (got, count) in got.into_iter().zip(counts) {
                        assert!(
                            (got - count / all).abs() <= near / all + 1e-12,
                            "{place:?}: {got}, expected {counts:?} of {all}"
                        );
                    }
                    assert!(near < 0.05 * all, "few neurons are left to rounding");
                }
                let mean = of.layers.iter().map(|s| s.unstable).sum::<f64>() / of.layers.len() as f64;
                assert!((of.mean.unstable - mean).abs() < 1e-12);
            }
            let unstable: Vec<f64> = found.states.iter().map(|of| of.mean.unstable).collect();
            assert_eq!(unstable[..2], [0.0, 0.0], "at points");
            assert!(unstable[2] < unstable[3] && unstable[2] > 0.0, "{unstable:?}");
            // Larger small boxes are seen.
            let larger = measured(session, &model, &sample, 0.5);
            assert!(larger.states[2].mean.unstable > unstable[2]);
            assert_eq!(larger.states[3], found.states[3]);
        });
    }
}

fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().map(|z| (z - most).exp()).sum::<f64>().ln() + most - logits[label]
}

/// Cross-entropy at the middle of a point, worst-case cross-entropy over a box with the last layer elided, in f64.
fn loss(model: &Model, region: &Region, label: usize) -> f64 {
    let boxes = through(model, region.clone());
    let [before, behind] = &boxes[boxes.len() - 2..] else { panic!("a network has layers") };
    let (_, weight) = &model.tensors[model.network.parameters().len() - 2];
    let features = before.center.len();
    let row = |k: usize| &weight[k * features..][..features];
    let margin = |k: usize| {
        let spread = row(k).iter().zip(row(label)).zip(&before.radius.data);
        let radius: f64 = spread.map(|((a, b), r)| (f64::from(*a) - f64::from(*b)).abs() * r).sum();
        behind.center.data[k] - behind.center.data[label] + radius
    };
    cross_entropy(&(0..10).map(margin).collect::<Vec<f64>>(), label)
}

/// d(loss)/dθ by central differences.
fn gradient(model: &Model, region: &Region, label: usize) -> Vec<f64> {
    let mut moved = Model { network: model.network.clone(), tensors: model.tensors.clone() };
    let mut found = Vec::new();
    for tensor in 0..model.network.parameters().len() {
        for i in 0..model.tensors[tensor].1.len() {
            let value = model.tensors[tensor].1[i];
            let mut at = |value: f32| {
                moved.tensors[tensor].1[i] = value;
                loss(&moved, region, label)
            };
            let (low, high) = (value - 2e-4, value + 2e-4);
            found.push((at(high) - at(low)) / (f64::from(high) - f64::from(low)));
            at(value);
        }
    }
    found
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn cosines_are_those_of_central_differences() {
    let model = mixed();
    let sample = images(&model, 3);
    device::each(|session| {
        let points = points(session, &model, &sample);
        let found = measured(session, &model, &sample, LAMBDA);
        let pairs: Vec<(Place, Place)> = found.alignments.iter().map(|a| (a.robust, a.point)).collect();
        let robust = [Place::SmallBox, Place::EpsilonBox];
        assert_eq!(pairs, robust.map(|r| [Place::Natural, Place::Pgd].map(|p| (r, p))).concat());
        for image in 0..2 {
            let point = &points[image * sample.pixels()..][..sample.pixels()];
            let label = sample.labels[image] as usize;
            let gradients = regions(sample.input, sample.image(image), point, LAMBDA)
                .map(|region| gradient(&model, &region, label));
            let want = [(2, 0), (2, 1), (3, 0), (3, 1)].map(|(a, b)| cosine(&gradients[a], &gradients[b]));
            for (alignment, want) in found.alignments.iter().zip(want) {
                let got = alignment.cosines[image].expect("gradients that are not 0");
                // Steps of 2·10⁻⁴ that may cross a kink of a ReLU in a few of 460 parameters.
                assert!((got - want).abs() < 2e-3, "{alignment:?}: {got}, expected {want}");
            }
            assert!((want[0] - want[2]).abs() > 0.01, "the two boxes are told apart: {want:?}");
        }
    });
}

#[test]
fn boxes_without_extent_pull_as_their_points_do() {
    let model = mixed();
    let sample = images(&model, 2);
    let mut session = CpuSession::new();
    write_tensors(&mut session, &model.network, &model.tensors).unwrap();
    let attack = Attack { epsilon: 0.0, ..attack() };
    let settings = Settings { sample: &sample, gradient_images: 2, lambda: 1.0, attack };
    let this = ("net", &model.network, &model.tensors[..]);
    let found = pollster::block_on(measure(&mut session, this, &settings, &mut |_, _, _| ())).unwrap();
    for alignment in &found.alignments {
        assert!(alignment.cosines.iter().all(|c| c.is_some_and(|c| c > 1.0 - 1e-5)), "{alignment:?}");
    }
}

#[test]
fn sizes_of_weights_are_sums() {
    let simple = dense(2, &[1.0, -0.5, 0.25, 2.0], &[3.0, 3.0], &[0.5; 20]);
    let found = norms(&simple.network, &simple.tensors);
    assert_eq!(found.layers.iter().map(|l| l.layer.as_str()).collect::<Vec<_>>(), ["linear 1", "linear 2"]);
    assert_eq!(found.layers.iter().map(|l| l.l1).collect::<Vec<_>>(), [3.75, 10.0]);
    assert_eq!(found.layers[0].l2, (1.0f64 + 0.25 + 0.0625 + 4.0).sqrt());
    assert_eq!(found.layers.iter().map(|l| l.row_l1).collect::<Vec<_>>(), [2.25, 1.0]);
    assert_eq!((found.l1, found.lipschitz), (13.75, 2.25));
    assert!((found.l2 - (5.3125f64 + 5.0).sqrt()).abs() < 1e-12);

    let model = mixed();
    let found = norms(&model.network, &model.tensors);
    let names: Vec<&str> = found.layers.iter().map(|l| l.layer.as_str()).collect();
    assert_eq!(names, ["conv 1", "conv 2", "linear 3", "linear 4"]);
    let of = |name: &str| &model.tensors.iter().find(|(n, _)| n == name).expect(name).1;
    let mut want = 0.0f64;
    for output in 0..5 {
        let row: f64 = of("0.weight")[output * 18..][..18].iter().map(|w| f64::from(w.abs())).sum();
        let deviation = (f64::from(of("1.running_var")[output]) + f64::from(BATCH_NORM_EPSILON)).sqrt();
        want = want.max(row * f64::from(of("1.weight")[output]).abs() / deviation);
    }
    assert!((found.layers[0].row_l1 - want).abs() < 1e-12 * want);
    let product: f64 = found.layers.iter().map(|l| l.row_l1).product();
    assert!((found.lipschitz - 4.0 * product).abs() < 1e-9 * product, "the smaller deviation of the pixels is ¼");
    // No box grows by more, and a hundredth of it is too little.
    let sample = images(&model, 1);
    let behind = through(&model, Region::around(model.network.input, &sample.images, 0.01));
    let most = behind[behind.len() - 1].radius.max_abs() / 0.01;
    assert!(most <= found.lipschitz && most > 0.01 * found.lipschitz, "{most} of {}", found.lipschitz);

    // Norms that follow no weight are layers of their own.
    let lonely = lonely_norms();
    let found = norms(&lonely.network, &lonely.tensors);
    let names: Vec<&str> = found.layers.iter().map(|l| l.layer.as_str()).collect();
    assert_eq!(names, ["conv 1", "batch norm 1", "batch norm 1", "linear 2"]);
}

#[test]
fn means_leave_out_what_is_not_there() {
    let of = |cosines: &[Option<f64>]| Alignment::new(Place::SmallBox, Place::Natural, cosines.to_vec());
    let some = of(&[Some(0.5), None, Some(1.0), Some(0.0)]);
    assert_eq!(some.mean, 0.5);
    // Deviation ½ of three.
    assert!((some.half_width - 1.959_963_984_540_054 * 0.5 / 3.0f64.sqrt()).abs() < 1e-12);
    assert!(of(&[Some(0.3)]).half_width.is_nan() && of(&[None]).mean.is_nan());
}

fn whole(models: Vec<ModelRegularisation>) -> Regularisation {
    let (dataset, split) = ("noise".into(), "test".into());
    Regularisation { dataset, split, images: 4, gradient_images: 2, epsilon: EPSILON, lambda: LAMBDA, models }
}

#[test]
fn figures_tables_and_the_sheet_say_the_numbers() {
    let models: Vec<ModelRegularisation> = [("one", mixed()), ("two", lonely_norms())]
        .into_iter()
        .map(|(name, model)| {
            let sample = images(&model, 4);
            ModelRegularisation { model: name.into(), ..measured(&mut CpuSession::new(), &model, &sample, LAMBDA) }
        })
        .collect();
    let of = whole(models);
    let document = document(&of).expect("a document");
    document.check().expect("tables and figures are whole");
    document.figures.iter().for_each(assert_readable);
    assert_eq!(
        document.figures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["states", "gradients", "weights"]
    );
    for chart in document.figures.iter().flat_map(|f| &f.charts) {
        let looks: Vec<(&str, usize)> = chart.series.iter().map(|s| (s.name.as_str(), s.style)).collect();
        assert_eq!(looks, [("one", 0), ("two", 1)], "{}", chart.title);
    }
    let line = |figure: usize, chart: usize, series: usize| match &document.figures[figure].charts[chart].series[series]
        .mark
    {
        Mark::Line(points) => points.clone(),
        other => panic!("a line, not {other:?}"),
    };
    let states = &of.models[0].states;
    assert_eq!(line(0, 5, 0)[2], (3.0, 100.0 * states[3].layers[2].unstable));
    assert_eq!(line(0, 0, 0)[0], (1.0, 100.0 * states[0].layers[0].active));
    let mut cosines: Vec<f64> = of.models[1].alignments[2].cosines.iter().map(|c| c.expect("a cosine")).collect();
    cosines.sort_by(f64::total_cmp);
    let [a, b] = cosines[..] else { panic!("two images") };
    assert_eq!(line(1, 2, 1), [(a, 0.0), (a, 50.0), (b, 100.0)]);
    assert_eq!(line(2, 2, 0)[3].1, of.models[0].norms.layers[3].row_l1);

    let table = &document.tables[0];
    assert_eq!(table.head, ["", "one", "two"]);
    let row = table.rows.iter().find(|row| row[0] == "ε box: unstable [%]").expect("a row");
    assert_eq!(row[1], format!("{:.2}", 100.0 * states[3].mean.unstable));
    let sheet = sheet(&of);
    let found = sheet.rows.iter().find(|r| r[0] == "one" && r[1] == "unstable" && r[2] == "ε box" && r[3] == "2");
    assert_eq!(found.expect("a row")[4].parse::<f64>().unwrap(), states[3].layers[1].unstable);
    assert_eq!(sheet.rows.len(), (3 * 4 * 3 + 4 * 2 + 4 * 3) + (3 * 4 + 4 * 2 + 4 * 3));

    // Findings follow the numbers.
    let unstable = |i: usize| of.models[i].states[3].mean.unstable;
    let first = if unstable(0) <= unstable(1) { "one" } else { "two" };
    assert!(document.findings[0].starts_with(&format!("Unstable ReLUs over the ε box, rising: {first} ")));
    let mut turned = of.clone();
    for alignment in &mut turned.models[0].alignments {
        let cosine = if alignment.robust == Place::SmallBox { 0.25 } else { 0.75 };
        *alignment = Alignment::new(alignment.robust, alignment.point, vec![Some(cosine), None]);
    }
    let said = said(&turned);
    assert!(
        said.contains(
            "one: gradient of the natural loss: the robust loss over the box of λ·ε points further from it than"
        ),
        "{said}"
    );
    assert!(said.contains("0.250 and 0.750") && said.contains("one: 4 cosines are left out"), "{said}");
}

fn said(of: &Regularisation) -> String {
    let document = document(of).expect("a document");
    document.check().expect("it can be drawn");
    document.findings.concat()
}

#[test]
fn what_can_not_be_measured_is_refused() {
    let model = mixed();
    let sample = images(&model, 2);
    let mut session = CpuSession::new();
    let mut refused = |lambda: f64, gradient_images: usize| {
        let settings = Settings { sample: &sample, gradient_images, lambda, attack: attack() };
        let this = ("net", &model.network, &model.tensors[..]);
        let found = pollster::block_on(measure(&mut session, this, &settings, &mut |_, _, _| ()));
        found.expect_err("refused").to_string()
    };
    for lambda in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(refused(lambda, 1).contains("expected a ratio in (0, 1]"));
    }
    assert!(refused(0.5, 0).contains("expected 1 to 2") && refused(0.5, 3).contains("expected 1 to 2"));
    assert!(document(&whole(Vec::new())).is_err());
}
