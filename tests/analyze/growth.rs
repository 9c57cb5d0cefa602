//! Growth rates against boxes propagated in f64, sampled points, and networks whose growth is known.

use smallbox::analyze::growth::{
    Center, CenterGrowth, Gaussian, Growth, Kind, LayerGrowth, ModelGrowth, Settings, document, measure, relu_radius,
    sheet,
};
use smallbox::analyze::{Attack, Sample, attacked, random};
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::figure::{Mark, Scale};
use smallbox::interval::Interval;
use smallbox::nn::Layer;
use smallbox::train::attack::AttackSpec;
use smallbox::train::checkpoint::write_tensors;

use super::nets::{Region, dense, images, layer, mixed, through};
use crate::common::close::{EPSILON, assert_close, growth as roundings};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::picture::assert_readable;
use crate::common::random::Random;
use crate::common::run::run;
use crate::interchange::{Model, lonely_norms};

/// Batches that do not divide the number of images.
fn attack() -> Attack {
    Attack { epsilon: 0.125, spec: AttackSpec::evaluation(3, 0.5), seed: 5, batch: 3 }
}

const RADII: [f64; 4] = [0.015625, 0.0625, 0.25, 0.5];

fn measured(session: &mut dyn Session, model: &Model, sample: &Sample) -> ModelGrowth {
    write_tensors(session, &model.network, &model.tensors).expect("the network's tensors");
    let settings = Settings { sample, radii: &RADII, attack: attack() };
    let mut heard = (0, 0);
    let mut progress = |done: usize, all: usize| {
        assert!(done > heard.0 && done <= all, "{done} of {all} after {heard:?}");
        heard = (done, all);
    };
    let found = measure(session, &model.network, "net", &settings, &mut progress);
    let found = pollster::block_on(found).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(heard.0, heard.1, "progress comes to its end");
    found
}

fn whole(models: Vec<ModelGrowth>) -> Growth {
    Growth {
        dataset: "noise".into(),
        split: "test".into(),
        images: 4,
        epsilon: 0.125,
        lambdas: RADII.map(|r| r / 0.125).to_vec(),
        radii: RADII.to_vec(),
        models,
    }
}

/// Mean of a number over boxes.
fn mean(boxes: &[Region], of: impl Fn(&Region) -> f64) -> f64 {
    boxes.iter().map(of).sum::<f64>() / boxes.len() as f64
}

/// What `center` must be: rates of every layer, propagated and uniform, and of the network, from boxes in f64 around `points`.
fn expected(model: &Model, points: &[f32], n: usize) -> (Vec<LayerGrowth>, Vec<f64>) {
    let input = model.network.input;
    let images: Vec<&[f32]> = points.chunks(points.len() / n).collect();
    let places: Vec<usize> =
        (0..model.network.layers().len()).filter(|&p| model.network.layers()[p] != Layer::Flatten).collect();
    let empty =
        || LayerGrowth { input_radius: Vec::new(), propagated: Vec::new(), uniform: Vec::new(), gaussian: None };
    let mut layers: Vec<LayerGrowth> = places.iter().map(|_| empty()).collect();
    let mut network = Vec::new();
    // Middles of boxes are moved by ReLUs; the points are those of boxes without a radius.
    let of_points: Vec<Vec<Region>> = images.iter().map(|i| through(model, Region::around(input, i, 0.0))).collect();
    for radius in RADII {
        let boxes: Vec<Vec<Region>> = images.iter().map(|i| through(model, Region::around(input, i, radius))).collect();
        let at = |place: usize| boxes.iter().map(|b| b[place].clone()).collect::<Vec<Region>>();
        for (found, &place) in layers.iter_mut().zip(&places) {
            let before = mean(&at(place), Region::mean_radius);
            found.input_radius.push(before);
            found.propagated.push(mean(&at(place + 1), Region::mean_radius) / before);
            let behind: Vec<Region> =
                of_points.iter().map(|b| layer(model, place, &b[place].uniform(before))).collect();
            found.uniform.push(mean(&behind, Region::mean_radius) / before);
        }
        network.push(mean(&at(boxes[0].len() - 1), Region::mean_radius) / radius);
    }
    (layers, network)
}

/// Bound of the relative error of a rate in f32: the roundings of all layers, in radii and, for ReLUs, in middles, which count the more
/// the smaller a box is beside the values around it.
fn tolerance(model: &Model) -> f64 {
    let terms = model.network.parameters().iter().map(|p| roundings(p.fan_in + 2)).sum::<f64>();
    4.0 * EPSILON * terms / RADII[0]
}

fn worst(found: &CenterGrowth, (layers, network): &(Vec<LayerGrowth>, Vec<f64>)) -> f64 {
    let pairs = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max);
    assert_eq!(found.layers.len(), layers.len());
    let of_layers = found.layers.iter().zip(layers).flat_map(|(a, b)| {
        [pairs(&a.input_radius, &b.input_radius), pairs(&a.propagated, &b.propagated), pairs(&a.uniform, &b.uniform)]
    });
    of_layers.chain([pairs(&found.network, network)]).fold(0.0, f64::max)
}

#[test]
fn rates_are_those_of_boxes_in_plain_loops() {
    for model in [mixed(), lonely_norms()] {
        device::each(|session| {
            let sample = images(&model, 4);
            let found = measured(session, &model, &sample);
            let mut points = |center: Center| match center {
                Center::Natural => sample.images.clone(),
                Center::Random => random(&sample, attack().seed),
                Center::Pgd => pollster::block_on(attacked(session, &model.network, &sample, &attack(), &mut |_| ()))
                    .expect("an attack"),
            };
            assert_eq!(found.centers.iter().map(|c| c.center).collect::<Vec<_>>(), Center::ALL);
            for center in &found.centers {
                let want = expected(&model, &points(center.center), 4);
                let error = worst(center, &want);
                assert!(error <= tolerance(&model), "{}: {error} > {}", center.center.name(), tolerance(&model));
                // Boxes elsewhere have other rates.
                let other = if center.center == Center::Random { Center::Natural } else { Center::Random };
                assert!(worst(center, &expected(&model, &points(other), 4)) > tolerance(&model));
                let product = |size: usize| center.layers.iter().map(|l| l.propagated[size]).product::<f64>();
                for (size, rate) in center.network.iter().enumerate() {
                    assert!((product(size) / rate - 1.0).abs() < 1e-12, "the network's rate is the layers' product");
                }
                for (size, p) in center.exponents.iter().enumerate() {
                    let [a, b] = [size, size + 1].map(|s| center.network[s] * RADII[s]);
                    assert!((p - (b / a).log2() / (RADII[size + 1] / RADII[size]).log2()).abs() < 1e-12);
                }
            }
        });
    }
}

#[test]
fn attacked_and_random_points_lie_where_they_must() {
    let model = mixed();
    let sample = images(&model, 4);
    let mut session = CpuSession::new();
    write_tensors(&mut session, &model.network, &model.tensors).unwrap();
    let points = pollster::block_on(attacked(&mut session, &model.network, &sample, &attack(), &mut |_| ())).unwrap();
    let distance = points.iter().zip(&sample.images).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!((0.12..=0.125_001).contains(&distance), "{distance}");
    assert!(points.iter().all(|p| (0.0..=1.0).contains(p)));
    let noise = random(&sample, 5);
    assert_eq!(noise.len(), sample.images.len());
    assert!(noise.iter().all(|p| (0.0..1.0).contains(p)));
    assert!(noise == random(&sample, 5) && noise != random(&sample, 6));
}

#[test]
fn boxes_hold_what_layers_make_of_points() {
    for model in [mixed(), lonely_norms()] {
        device::each(|session| {
            let input = model.network.input;
            let sample = images(&model, 1);
            let before = through(&model, Region::around(input, &sample.images, 0.1));
            write_tensors(session, &model.network, &model.tensors).unwrap();
            let mut draw = Random::new(9);
            for (place, region) in before[..before.len() - 1].iter().enumerate() {
                let outcome = run(session, |case| {
                    let (center, radius) = (case.input(&region.center), case.input(&region.radius));
                    let bound = model.network.bind(&mut case.graph)?;
                    let behind = bound.propagate_layer(&mut case.graph, place, Interval { center, radius })?;
                    case.output("center", behind.center);
                    case.output("radius", behind.radius);
                    Ok(())
                });
                let (center, radius) = (outcome.tensor("center"), outcome.tensor("radius"));
                let terms = model.network.parameters().iter().map(|p| p.fan_in).max().unwrap_or(1) + 3;
                let slack = roundings(terms) * EPSILON * 8.0;
                let want = layer(&model, place, region);
                for (got, want) in [(&center, &want.center), (&radius, &want.radius)] {
                    let scale = vec![8.0; want.len()];
                    assert_close(
                        "box",
                        got,
                        &Reference { value: want.clone(), scale, terms },
                        crate::common::close::Closeness::Rounded,
                    );
                }
                let mut outside = |shrunk: f64| {
                    let mut count = 0;
                    for _ in 0..50 {
                        // Corners reach furthest.
                        let mut point = region.clone();
                        for i in 0..point.center.len() {
                            let side = [-1.0, 1.0][draw.below(2)];
                            point.center.data[i] += side * region.radius.data[i];
                        }
                        let image = layer(&model, place, &point.uniform(0.0)).center;
                        let leaves =
                            |i: usize| (image.data[i] - center.data[i]).abs() > shrunk * radius.data[i] + slack;
                        count += (0..image.len()).filter(|&i| leaves(i)).count();
                    }
                    count
                };
                assert_eq!(outside(1.0), 0, "layer {place}");
                assert!(outside(0.3) > 0, "layer {place}: a smaller box loses points");
            }
        });
    }
}

#[test]
fn affine_rates_do_not_depend_on_the_size_unless_boxes_are_cut() {
    let model = mixed();
    let sample = images(&model, 4);
    let found = measured(&mut CpuSession::new(), &model, &sample);
    for center in &found.centers {
        for (info, of) in found.layers.iter().zip(&center.layers).filter(|(info, _)| info.kind != Kind::Relu) {
            assert!(of.spread() <= info.rounding, "{}: {} > {}", info.name, of.spread(), info.rounding);
            assert!(info.rounding < 1e-4, "{}: a bound that notices something", info.name);
        }
    }
    // Cut with [0, 1], the boxes of a layer do not grow in the same ratio any more.
    let rate = |radius: f64| {
        let cut = Region::around(model.network.input, sample.image(0), radius).clipped();
        layer(&model, 0, &cut).mean_radius() / radius
    };
    assert!((rate(RADII[3]) / rate(RADII[0]) - 1.0).abs() > found.layers[0].rounding);
    // And those of a ReLU grow by themselves.
    let relus = found.layers.iter().zip(&found.centers[0].layers).filter(|(info, _)| info.kind == Kind::Relu);
    relus.for_each(|(info, of)| assert!(of.spread() > 1e-3, "{}", info.name));
}

/// A network of normally distributed inputs of its ReLUs: each is a sum of many pixels.
#[test]
fn relus_of_normal_inputs_follow_the_closed_form() {
    let (pixels, hidden) = (64, 400);
    let mut draw = Random::new(2);
    // Half of the weights of either sign, so that the sum has mean 0 over the random pixels; the bias moves it.
    let first: Vec<f32> = (0..hidden * pixels).map(|_| [-0.5, 0.5][draw.below(2)] as f32 * 0.2).collect();
    let last: Vec<f32> = draw.tensor([10 * hidden], -0.1, 0.1).to_f32();
    let center: Vec<f32> = first.chunks(pixels).map(|row| -0.5 * row.iter().sum::<f32>() - 0.3).collect();
    let model = dense(pixels, &first, &center, &last);
    let mut sample = images(&model, 60);
    sample.images = random(&sample, 1);
    let found = measured(&mut CpuSession::new(), &model, &sample);
    let gaussian = found.layers[1].gaussian.expect("of a ReLU");
    // Variance of a sum of 64 uniform pixels times ±0.1: 64 · 0.01 / 12.
    assert!((gaussian.mean + 0.3).abs() < 0.01 && (gaussian.deviation - (0.64f64 / 12.0).sqrt()).abs() < 0.01);
    let relu = &found.centers[0].layers[1];
    let closed = relu.gaussian.as_ref().expect("of a ReLU");
    for ((rate, closed), &radius) in relu.uniform.iter().zip(closed).zip(&relu.input_radius) {
        // 24 000 values of 60 images, so that the mean of κ errs by less than a hundredth.
        assert!((rate - closed).abs() < 0.01, "{rate} beside {closed}");
        let other = Gaussian { mean: gaussian.mean + 0.2, ..gaussian };
        assert!((rate - other.relu_growth(radius)).abs() > 0.02, "{radius}");
    }
    assert!(relu.uniform.windows(2).all(|pair| pair[0] < pair[1]) && relu.uniform[3] < 0.5);
    let exponents = &found.centers[0].exponents;
    assert!(exponents.iter().all(|&p| p > 1.01), "{exponents:?}");
    let said = document(&whole(vec![found])).expect("a document").findings.concat();
    assert!(said.contains("natural exponent") && said.contains("super-linear at every size"), "{said}");
    assert!(said.contains("they grow with the box in ReLU 1."), "{said}");
}

#[test]
fn growth_that_is_linear_is_called_so() {
    // All neurons active on all boxes: pixels of at least −0.5 times 1 and 2.
    let model = dense(2, &[1.0, 0.0, 0.0, 2.0], &[3.0, 3.0], &[0.5; 20]);
    let sample = images(&model, 4);
    let found = measured(&mut CpuSession::new(), &model, &sample);
    for center in &found.centers {
        assert_eq!(center.layers[1].uniform, [1.0; 4]);
        assert!(center.network.iter().all(|rate| (rate - 1.5).abs() < 1e-6), "{:?}", center.network);
    }
    let said = document(&whole(vec![found])).expect("a document").findings.concat();
    assert!(said.contains("super-linear at no size"), "{said}");
    // All inactive: nothing grows, and nothing is said that is not so.
    let dead = dense(2, &[1.0, 0.0, 0.0, 2.0], &[-9.0, -9.0], &[0.5; 20]);
    let found = measured(&mut CpuSession::new(), &dead, &sample);
    assert_eq!(found.centers[0].network, [0.0; 4]);
    let document = document(&whole(vec![found])).expect("a document");
    let said = document.findings.concat();
    assert!(said.contains("super-linear at no size") && !said.contains("super-linear at every"), "{said}");
    assert!(!said.contains("changes with the size") && !said.contains("NaN") && !said.contains("inf"), "{said}");
    document.check().expect("it can be drawn");
    assert!(!serde_json::to_string(&document).unwrap().contains("NaN"));
}

#[test]
fn the_rule_of_a_relu() {
    for (center, radius, want) in
        [(2.0, 1.0, 1.0), (-2.0, 1.0, 0.0), (0.5, 1.0, 0.75), (-0.5, 1.0, 0.25), (1.0, 1.0, 1.0)]
    {
        assert_eq!(relu_radius(center, radius), want);
        let ends = 0.5 * ((center + radius).max(0.0) - (center - radius).max(0.0));
        assert_eq!(relu_radius(center, radius), ends);
    }
}

#[test]
fn figures_tables_and_the_sheet_say_the_numbers() {
    let models: Vec<ModelGrowth> = [("one", mixed()), ("two", lonely_norms())]
        .into_iter()
        .map(|(name, model)| {
            let sample = images(&model, 4);
            ModelGrowth { model: name.into(), ..measured(&mut CpuSession::new(), &model, &sample) }
        })
        .collect();
    let growth = whole(models);
    let document = document(&growth).expect("a document");
    document.check().expect("tables and figures are whole");
    document.figures.iter().for_each(assert_readable);
    let figure = |name: &str| document.figures.iter().find(|f| f.name == name).expect(name);
    let layers = figure("layers");
    assert_eq!(layers.charts.len(), 4, "affine layers and ReLUs of two networks");
    let names = |chart: usize| layers.charts[chart].series.iter().map(|s| s.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(0), ["normalisation", "conv 1", "batch norm 1", "conv 2", "linear 3", "batch norm 3", "linear 4"]);
    assert_eq!(names(3), ["ReLU 1", "ReLU 1, closed form"]);
    for chart in &layers.charts {
        assert_eq!((chart.x.name.as_str(), chart.x.scale), ("radius of the input box", Scale::Logarithmic));
    }
    let points = |mark: &Mark| match mark {
        Mark::Line(points) => points.clone(),
        other => panic!("a line, not {other:?}"),
    };
    let relu = &growth.models[0].centers[0].layers[3];
    let drawn = points(&layers.charts[1].series[0].mark);
    assert_eq!(drawn, RADII.iter().copied().zip(relu.uniform.iter().copied()).collect::<Vec<_>>());
    let dashed = points(&layers.charts[1].series[1].mark);
    assert_eq!(dashed[2].1, relu.gaussian.as_ref().unwrap()[2]);
    assert_eq!(points(&figure("arriving").charts[1].series[0].mark)[1].1, relu.propagated[1]);
    // A network keeps its look, and two have different ones.
    let network = figure("network");
    let looks = |chart: usize| network.charts[chart].series[..2].iter().map(|s| s.style).collect::<Vec<_>>();
    assert!(looks(0) == looks(1) && looks(0)[0] != looks(0)[1]);
    assert_eq!(points(&network.charts[0].series[1].mark)[3].1, growth.models[1].centers[0].network[3]);
    assert_eq!(network.charts[1].series[2].mark, Mark::Level(1.0));

    let sheet = sheet(&growth);
    assert_eq!(sheet.rows.len(), (10 + 1 + 5 + 1) * 3 * 4);
    let row = sheet.rows.iter().find(|r| r[0] == "one" && r[1] == "natural" && r[4] == "ReLU 1").expect("a row");
    assert_eq!(row[8].parse::<f64>().unwrap(), relu.uniform[0]);
    let said = document.findings.concat();
    assert!(said.contains("one: the rates of its affine layers") && said.contains("which f32 rounds"), "{said}");

    // A rate that changes with the size is not called constant.
    let mut wrong = growth.clone();
    wrong.models[0].centers[0].layers[1].uniform[2] *= 1.001;
    let said = findings_of(&wrong);
    assert!(said.contains("the rate of conv 1 changes with the size"), "{said}");
}

fn findings_of(growth: &Growth) -> String {
    document(growth).expect("a document").findings.concat()
}

#[test]
fn sizes_that_do_not_rise_are_refused() {
    let model = mixed();
    let sample = images(&model, 1);
    let mut session = CpuSession::new();
    for radii in [&[0.1][..], &[0.0, 0.1], &[0.2, 0.1], &[]] {
        let settings = Settings { sample: &sample, radii, attack: attack() };
        let found = pollster::block_on(measure(&mut session, &model.network, "net", &settings, &mut |_, _| ()));
        assert!(found.expect_err("refused").to_string().contains("positive and rising"));
    }
    assert!(document(&whole(Vec::new())).is_err());
}
