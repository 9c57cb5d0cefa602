//! Exact regions of two inputs against sampling, closed forms and the cascade; the pictures of trained networks.

use std::sync::Arc;

use smallbox::analyze::exact::{
    Attacked, Cell, Chosen, Exact, Place, Point, Polygon, Question, Regions, Study, Subject, attacked, ball, check,
    decisions, least_margin, ranges,
};
use smallbox::certify::cascade::{Claim, Method, Verdict};
use smallbox::certify::network::{Entry, Operation, ReluNetwork, Weights};
use smallbox::certify::proof::Prover;
use smallbox::certify::property::Property;
use smallbox::data::{LoadOptions, View, load};
use smallbox::device::cpu::CpuSession;
use smallbox::device::read_state_f32;
use smallbox::figure::Mark;
use smallbox::nn::state_name;
use smallbox::train::{Config, MethodKind, Observer, Outcome, SmallBox, Trainer};

use crate::certify::branch::{decide, settings};
use crate::certify::nets::{Builder, dense, values};
use crate::common::picture::assert_readable;
use crate::common::random::Random;

/// Sums of a few dozen products of numbers near 1: far above their rounding, far below anything that is wrong.
const SLACK: f64 = 1e-10;

/// Networks of every kind that two inputs allow.
fn networks() -> Vec<(&'static str, ReluNetwork)> {
    let residual = {
        let mut b = Builder::new(11, &[2]);
        b.linear(7);
        let first = b.relu();
        b.linear(7);
        b.relu();
        let branch = b.linear(7);
        b.add(branch, first);
        b.relu();
        b.linear(3);
        b.network
    };
    let scaled = {
        let entry =
            Entry { scale: vec![4.0, -2.0], scale_error: 0.0, shift: vec![-2.0, 1.0], shift_error: vec![0.0; 2] };
        let mut network = ReluNetwork::new([1, 1, 2], Some(entry)).expect("two inputs");
        for node in &dense(12, &[2, 9, 8, 2]).nodes()[1..] {
            network.push(node.operation.clone(), &node.inputs).expect("fits");
        }
        network
    };
    let picture = {
        let mut b = Builder::new(13, &[1, 1, 2]);
        b.conv(5, [1, 2], smallbox::ops::Conv2dSpec::square(1, 1));
        b.relu();
        b.linear(4);
        b.relu();
        b.linear(3);
        b.network
    };
    vec![
        ("shallow", dense(9, &[2, 12, 2])),
        ("deep", dense(10, &[2, 8, 7, 6, 4])),
        ("residual", residual),
        ("scaled", scaled),
        ("convolution", picture),
    ]
}

fn samples(random: &mut Random, (lower, upper): (Point, Point), count: usize) -> Vec<Point> {
    (0..count).map(|_| (random.uniform(lower.0, upper.0), random.uniform(lower.1, upper.1))).collect()
}

const BOX: (Point, Point) = ((-0.8, -0.6), (1.1, 0.9));

/// What is wrong with `cells`: points in none or in several, or where a layer's map isn't the network.
fn faults(network: &ReluNetwork, regions: &Regions<'_>, cells: &[Cell], shift: f64) -> Vec<String> {
    let mut faults = Vec::new();
    let area: f64 = cells.iter().map(|cell| cell.polygon.area()).sum();
    if (area - regions.whole.area()).abs() > SLACK {
        faults.push(format!("the parts have an area of {area} of {}", regions.whole.area()));
    }
    for at in samples(&mut Random::new(5), BOX, 1_500) {
        let holds = |slack: f64| cells.iter().filter(move |cell| cell.polygon.contains(at, slack));
        if holds(SLACK).count() == 0 || holds(-SLACK).count() > 1 {
            faults.push(format!("{at:?} lies in {} parts", holds(0.0).count()));
        }
        let truth = values(network, &[at.0, at.1]);
        for cell in holds(SLACK) {
            for (node, truth) in truth.iter().enumerate() {
                for (line, &z) in regions.lines(cell, node).iter().zip(truth) {
                    let claimed = line.at(at) + shift;
                    if (claimed - z).abs() > SLACK * (1.0 + z.abs()) {
                        faults.push(format!("node {node} at {at:?}: {claimed} instead of {z}"));
                    }
                }
            }
        }
    }
    faults
}

#[test]
fn every_point_lies_in_one_part_whose_maps_are_the_network() {
    for (name, network) in networks() {
        let regions = Regions::new(&network, BOX.0, BOX.1).expect("two inputs");
        let cells = regions.cells();
        assert!(cells.len() > 5, "{name}: {} parts", cells.len());
        assert_eq!(faults(&network, &regions, cells, 0.0), Vec::<String>::new(), "{name}");
        // Controls: a part that is missing, one that is there twice, maps that are a little off.
        assert!(!faults(&network, &regions, &cells[1..], 0.0).is_empty(), "{name}");
        let twice: Vec<Cell> = cells.iter().chain(&cells[..1]).cloned().collect();
        assert!(!faults(&network, &regions, &twice, 0.0).is_empty(), "{name}");
        assert!(!faults(&network, &regions, cells, 1e-8).is_empty(), "{name}");
    }
}

/// One neuron for each of n lines in general position parts the plane in 1 + n + n(n − 1)/2 regions; tangents of a circle meet within
/// a box that is large enough.
#[test]
fn a_layer_of_lines_has_the_regions_of_geometry() {
    for n in [1usize, 2, 5, 9] {
        let angle = |i: usize| 2.4 * i as f32;
        let weight: Vec<f32> = (0..n).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
        let mut network = ReluNetwork::new([2], None).expect("two inputs");
        network.push(Operation::Linear(Arc::new(Weights::exact([n, 2], &weight, &vec![0.1; n]))), &[0]).expect("fits");
        network.push(Operation::Relu, &[1]).expect("fits");
        let last = Weights::exact([2, n], &vec![1.0; 2 * n], &[0.0, 0.1]);
        network.push(Operation::Linear(Arc::new(last)), &[2]).expect("fits");
        let regions = Regions::new(&network, (-50.0, -50.0), (50.0, 50.0)).expect("two inputs");
        assert_eq!(regions.cells().len(), 1 + n + n * (n - 1) / 2, "{n} lines");
    }
}

/// |x| + |y| − 1 as a network: margins in closed form.
#[test]
fn margins_of_a_diamond_are_those_of_geometry() {
    let mut network = ReluNetwork::new([2], None).expect("two inputs");
    let first = Weights::exact([4, 2], &[1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0], &[0.0; 4]);
    network.push(Operation::Linear(Arc::new(first)), &[0]).expect("fits");
    network.push(Operation::Relu, &[1]).expect("fits");
    // Output 1 is |x| + |y| − 1, output 0 is 0.
    let last = Weights::exact([2, 4], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], &[0.0, -1.0]);
    network.push(Operation::Linear(Arc::new(last)), &[2]).expect("fits");
    let regions = Regions::new(&network, (-0.5, -0.5), (1.0, 1.0)).expect("two inputs");
    assert_eq!(regions.cells().len(), 4);
    let least = least_margin(&regions, 0);
    assert_eq!((least.margin, least.at, least.rival), (-1.0, (1.0, 1.0), 1));
    assert_eq!(least_margin(&regions, 1).margin, -1.0);
    // Beyond the diamond: a triangle of ½ at the corner (1, 1), two of ⅛ at its neighbours, nothing at the last, which touches it.
    let of = |class: usize| -> f64 {
        decisions(&regions).iter().filter(|part| part.class == class).map(|part| part.polygon.area()).sum()
    };
    assert!((of(1) - 0.75).abs() < SLACK && (of(0) - 1.5).abs() < SLACK, "{} and {}", of(0), of(1));
}

/// Greatest Σ|∂z/∂x| of a margin: what a step in any direction may change.
fn steepest(regions: &Regions<'_>, label: usize) -> f64 {
    let output = regions.output();
    let slopes = regions.cells().iter().flat_map(|cell| {
        let lines = regions.lines(cell, output);
        lines.iter().map(|line| lines[label].minus(line).slope).map(|(a, b)| a.abs() + b.abs()).collect::<Vec<f64>>()
    });
    slopes.fold(0.0, f64::max)
}

#[test]
fn the_least_margin_is_that_of_a_fine_grid_and_of_the_cascade() {
    const POINTS: usize = 60;
    let (mut certified, mut falsified) = (0, 0);
    for seed in 0..24 {
        let network = dense(100 + seed, &[2, 6, 5, 3]);
        let random = &mut Random::new(seed);
        let center = (random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0));
        let radius = [0.1, 0.3, 0.8][seed as usize % 3];
        let (lower, upper) = ((center.0 - radius, center.1 - radius), (center.0 + radius, center.1 + radius));
        let regions = Regions::new(&network, lower, upper).expect("two inputs");
        let margin = |(x, y): Point, label: usize| {
            let z = values(&network, &[x, y]).pop().expect("outputs");
            (0..3).filter(|&k| k != label).map(|k| z[label] - z[k]).fold(f64::INFINITY, f64::min)
        };
        let label = (0..3).max_by(|&a, &b| margin(center, a).total_cmp(&margin(center, b))).expect("a class");
        let least = least_margin(&regions, label);
        assert!((margin(least.at, label) - least.margin).abs() < SLACK, "it is reached where it is said to be");
        let step = 2.0 * radius / POINTS as f64;
        let places = (0..=POINTS).flat_map(|i| (0..=POINTS).map(move |j| (i as f64, j as f64)));
        let sampled = places.map(|(i, j)| margin((lower.0 + step * i, lower.1 + step * j), label));
        let sampled = sampled.fold(f64::INFINITY, f64::min);
        let between = 0.5 * step * steepest(&regions, label);
        assert!(
            least.margin <= sampled + SLACK && sampled - between <= least.margin + SLACK,
            "seed {seed}: {} is not the least of {sampled} − {between}",
            least.margin
        );

        let property = Property::label(vec![lower.0, lower.1], vec![upper.0, upper.1], 3, label);
        let claim = Claim { property, point: Some(vec![center.0, center.1]) };
        let outcome = decide(&mut CpuSession::new(), &network, &[claim], settings(Method::Bab)).remove(0);
        match outcome.verdict {
            Verdict::Certified => {
                assert!(least.margin > 0.0 && outcome.margin.is_some_and(|proved| proved <= least.margin + SLACK));
                certified += 1;
            }
            Verdict::Falsified => {
                assert!(least.margin <= SLACK, "seed {seed}: falsified with a least margin of {}", least.margin);
                falsified += 1;
            }
            verdict => panic!("seed {seed}: {verdict:?} on a network of eleven neurons"),
        }
    }
    assert!(certified > 3 && falsified > 3, "{certified} certified, {falsified} falsified");
}

#[test]
fn other_networks_are_refused_in_one_line() {
    let error = |network: &ReluNetwork| check(network).expect_err("refused").to_string();
    assert!(error(&dense(1, &[3, 4, 2])).contains("3 inputs"));
    assert!(error(&dense(1, &[2, 4, 1])).contains("1 class"));
    check(&dense(1, &[2, 4, 2])).expect("two inputs and two classes");
    assert!(Regions::new(&dense(1, &[3, 4, 2]), BOX.0, BOX.1).is_err());
}

/// Whether a place lies in one of the polygons, which may be turned over or without area.
fn inside(polygons: &[Vec<Point>], at: Point, slack: f64) -> bool {
    polygons.iter().any(|corners| {
        let side = |i: usize| {
            let ((ax, ay), (bx, by)) = (corners[i], corners[(i + 1) % corners.len()]);
            let length = (bx - ax).hypot(by - ay).max(1e-300);
            ((bx - ax) * (at.1 - ay) - (by - ay) * (at.0 - ax)) / length
        };
        let sides: Vec<f64> = (0..corners.len()).map(side).collect();
        let near = corners.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), c| (l.min(c.0), h.max(c.0)));
        let within = near.0 - slack <= at.0 && at.0 <= near.1 + slack;
        within && (sides.iter().all(|&s| s >= -slack) || sides.iter().all(|&s| s <= slack))
    })
}

/// A study of a random network whose point has label `label` or else its own class.
fn studied(network: &ReluNetwork, point: Point, epsilon: f64, label: usize) -> Study {
    let prover = Arc::new(Prover::new(network).expect("a network"));
    let (lower, _) = ball(point, epsilon);
    let found = Attacked { point: lower, lower, upper: (lower.0 + 0.8 * epsilon, lower.1 + 0.8 * epsilon) };
    Study::new(network, &prover, (point, label), epsilon, &found).expect("two inputs")
}

#[test]
fn images_and_bounds_hold_every_sampled_point() {
    const SAMPLES: usize = 4_000;
    for (name, network) in networks() {
        let (point, epsilon) = ((0.4, 0.55), 0.25);
        let z = values(&network, &[point.0, point.1]).pop().expect("outputs");
        let label = (0..z.len()).max_by(|&a, &b| z[a].total_cmp(&z[b])).expect("a class");
        let study = studied(&network, point, epsilon, label);
        let relus = network.relus();
        let mut wrong = 0;
        for (in_small, ends) in [(false, ball(point, epsilon)), (true, (study.small.lower, study.small.upper))] {
            for at in samples(&mut Random::new(3), ends, SAMPLES) {
                let all = values(&network, &[at.0, at.1]);
                let outputs = all.last().expect("outputs");
                let turned = (0..outputs.len()).any(|k| outputs[k] > outputs[label]);
                wrong += usize::from(turned && !in_small);
                assert!(
                    !turned || inside(&study.inputs.adversarial, at, SLACK),
                    "{name}: {at:?} is turned and not drawn"
                );
                assert!(turned || !inside(&study.inputs.adversarial, at, -1e-9), "{name}: {at:?} is drawn as turned");
                for image in &study.images {
                    let node = relus.get(image.layer).copied().unwrap_or(network.output());
                    let [a, b] = image.shown.map(|i| all[node][i]);
                    let place = if node == network.output() { (a - b, a + b) } else { (a, b) };
                    let (images, bounds) =
                        if in_small { (&image.small, &image.small_bounds) } else { (&image.ball, &image.ball_bounds) };
                    assert!(inside(images, place, 1e-9), "{name}, layer {}: {place:?}", image.layer);
                    assert!(inside(std::slice::from_ref(bounds), place, 1e-9), "{name}, layer {}", image.layer);
                    assert!(!turned || in_small || inside(&image.adversarial, place, 1e-9), "{name}");
                    // Control: beyond the bounds.
                    let far = image.ball_bounds.iter().map(|c| c.0).fold(f64::NEG_INFINITY, f64::max) + 0.01;
                    assert!(
                        !inside(images, (far, place.1), 1e-9)
                            && !inside(std::slice::from_ref(bounds), (far, place.1), 1e-9)
                    );
                }
            }
        }
        // Five deviations of a sampled share.
        let share = wrong as f64 / SAMPLES as f64;
        let deviation = (share * (1.0 - share) / SAMPLES as f64).sqrt().max(1.0 / SAMPLES as f64);
        assert!((study.ball.adversarial - share).abs() < 5.0 * deviation, "{name}: {} {share}", study.ball.adversarial);
        for numbers in [&study.ball, &study.small] {
            assert!(numbers.interval_margin <= numbers.exact_margin, "{name}: a bound above the truth");
            assert!(numbers.layers.iter().all(|layer| layer.growth() >= 1.0 - 1e-12), "{name}: {numbers:?}");
        }
        assert!(study.small.exact_margin >= study.ball.exact_margin - SLACK);
    }
}

/// Extremes of a layer's elements against their closed form: the first layer of an affine map of a box is exact by intervals.
#[test]
fn intervals_of_the_first_layer_are_exact() {
    let network = dense(21, &[2, 6, 5, 3]);
    let study = studied(&network, (0.5, 0.5), 0.2, 0);
    let first = study.ball.layers[0];
    assert!((first.interval_width - first.exact_width).abs() < SLACK, "{first:?}");
    assert!(study.ball.layers[1].growth() > 1.0 + 1e-6);
    let regions = Regions::new(&network, study.ball.lower, study.ball.upper).expect("two inputs");
    let exact = ranges(&regions.images(1));
    let sampled = samples(&mut Random::new(8), (study.ball.lower, study.ball.upper), 2_000);
    let node = network.relus()[1];
    for at in sampled {
        for (&(low, high), z) in exact.iter().zip(&values(&network, &[at.0, at.1])[node]) {
            assert!(low - SLACK <= *z && *z <= high + SLACK);
        }
    }
}

struct Silent;
impl Observer for Silent {}

/// Trains on the plane with the default settings.
fn trained(method: MethodKind) -> (Subject, Outcome, Vec<Place>) {
    let options = LoadOptions::default();
    let dataset = Arc::new(load("plane", &options).expect("the plane needs no files"));
    let config = Config { method, dataset: "plane".into(), arch: "planar".into(), ..Config::default() };
    let config = config.resolve().expect("valid settings");
    let mut trainer = Trainer::new(&config, dataset.clone(), Box::new(CpuSession::new()), None).expect("a run");
    let outcome = pollster::block_on(trainer.run(&mut Silent)).expect("a trained network");
    let network = trainer.network().clone();
    let read = |name: &str, session: &mut dyn smallbox::device::Session| {
        pollster::block_on(read_state_f32(session, &state_name(name))).expect("a tensor")
    };
    let names: Vec<String> = network.tensors().map(|(name, _)| name.to_string()).collect();
    let tensors: Vec<(String, Vec<f32>)> =
        names.iter().map(|name| (name.clone(), read(name, trainer.session()))).collect();
    let test = &dataset.test;
    let places: Vec<Place> = (0..test.len())
        .map(|index| {
            let mut pixels = [0.0; 2];
            test.write_view(index, View::middle(test), &mut pixels);
            let [x, y] = pixels.map(f64::from);
            Place { index: Some(index), point: (x, y), label: usize::from(test.labels[index]) }
        })
        .collect();
    let points: Vec<f32> = places.iter().flat_map(|p| [p.point.0 as f32, p.point.1 as f32]).collect();
    let labels: Vec<u32> = places.iter().map(|p| p.label as u32).collect();
    let small = SmallBox { lambda: 0.4, faithful_border: false };
    let spec = config.attack();
    let found = attacked(trainer.session(), &network, (&points, &labels), 0.1, small, (&spec, 0));
    let found = pollster::block_on(found).expect("attacked points");
    let network = ReluNetwork::from_model(&network, &tensors).expect("a network");
    (Subject { name: method.name().into(), network, attacked: found }, outcome, places)
}

#[test]
fn four_methods_on_the_plane() {
    let methods = [MethodKind::Std, MethodKind::Pgd, MethodKind::Ibp, MethodKind::Sabr];
    let (mut subjects, mut outcomes, mut points) = (Vec::new(), Vec::new(), Vec::new());
    for method in methods {
        let (subject, outcome, places) = trained(method);
        subjects.push(subject);
        outcomes.push(outcome);
        points = places;
    }
    let small = SmallBox { lambda: 0.4, faithful_border: false };
    let counted = points.len();
    let question =
        Question { points_of: "plane, test split".into(), points, counted, drawn: None, epsilon: 0.1, small };
    let mut heard = Vec::new();
    let exact = Exact::new(&subjects, &question, &mut |done, of| heard.push((done, of))).expect("an outcome");
    assert_eq!(heard, [(1, 4), (2, 4), (3, 4), (4, 4)]);

    for (model, outcome) in exact.models.iter().zip(&outcomes) {
        let (s, name) = (model.survey, &model.model);
        // The engine computes in f32: a margin within its rounding of 0 may fall on either side.
        assert!(s.natural.abs_diff(outcome.test.natural.count) <= 2, "{name}: {s:?} {outcome:?}");
        assert!(s.interval.abs_diff(outcome.test.ibp.count) <= 4, "{name}: {s:?} {outcome:?}");
        assert!(s.interval <= s.robust && s.robust <= s.natural, "{name}: {s:?}");
        // The evaluation's attack is stronger than that of training, and neither turns a point that is robust.
        assert!(s.robust <= s.withstood + 1 && s.robust <= outcome.test.adversarial.count + 1, "{name}: {s:?}");
        // The small box is what the robust losses certify.
        assert!(s.small >= s.interval, "{name}: {s:?}");
    }
    let survey = |i: usize| exact.models[i].survey;
    let points = survey(0).points;
    assert_eq!(points, 2_000);
    assert!(survey(0).natural > points * 9 / 10 && survey(0).robust < points * 4 / 5, "{:?}", survey(0));
    assert!(survey(3).interval > survey(0).interval + points / 4, "{:?} {:?}", survey(0), survey(3));
    assert!(survey(3).robust > survey(0).robust + points / 20, "{:?} {:?}", survey(0), survey(3));

    // The point: right for all, vulnerable for the first network, robust for the last, and the first such.
    assert_eq!(exact.chosen, Chosen::Telling);
    let study = |i: usize| &exact.models[i].study;
    assert!((0..4).all(|i| study(i).class == exact.label));
    assert!(study(0).ball.exact_margin < 0.0 && study(0).ball.adversarial > 0.0);
    assert!(study(3).ball.exact_margin > 0.0 && study(3).ball.adversarial == 0.0);
    let (lower, upper) = (study(0).small.lower, study(0).small.upper);
    assert!((study(0).small.area - (upper.0 - lower.0) * (upper.1 - lower.1)).abs() < 1e-12);

    let document = exact.document();
    document.check().expect("a document");
    assert_eq!(document.tables.len(), 3);
    assert!(document.findings.iter().any(|f| f.starts_with("std: ") && f.contains("are adversarial examples")));
    assert!(
        document.findings.iter().any(|f| f.starts_with("sabr has no adversarial example")),
        "{:?}",
        document.findings
    );
    assert_eq!(document.data["models"][3]["survey"]["robust"], survey(3).robust);
    let [square, layers] = &document.figures[..] else { panic!("two figures") };
    document.figures.iter().for_each(assert_readable);
    assert_eq!((square.charts.len(), layers.charts.len(), layers.columns), (4, 16, 4));
    let titles: Vec<&str> = layers.charts[..4].iter().map(|chart| chart.title.as_str()).collect();
    assert_eq!(titles, ["std: inputs", "std: hidden layer 1", "std: hidden layer 2", "std: outputs"]);
    // What is drawn as adversarial has the area that the table states.
    let series = |chart: usize, name: &str| layers.charts[chart].series.iter().find(|series| series.name == name);
    let Some(Mark::Areas(drawn)) = series(0, "adversarial examples").map(|series| &series.mark) else {
        panic!("adversarial examples of std")
    };
    let doubled = |c: &Vec<Point>| {
        (0..c.len()).map(|i| (c[i], c[(i + 1) % c.len()])).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>()
    };
    let area: f64 = drawn.iter().map(doubled).sum::<f64>() / 2.0;
    assert!((area / study(0).ball.area - study(0).ball.adversarial).abs() < 1e-9);
    assert!(series(12, "adversarial examples").is_none() && series(12, "small box").is_some());
    let rows = exact.sheet().rows;
    let row = rows.iter().find(|row| row[..3] == ["sabr", "ball", "exact_margin"]).expect("a row");
    assert_eq!(row[4].parse::<f64>().expect("a number"), study(3).ball.exact_margin);

    // A robust network first: no point is telling, and the words say so.
    subjects.swap(0, 3);
    let vulnerable =
        Exact::new(&subjects[..1], &Question { counted: 200, ..question.clone() }, &mut |_, _| ()).expect("an outcome");
    assert!(matches!(vulnerable.chosen, Chosen::Clear | Chosen::Vulnerable | Chosen::First), "{:?}", vulnerable.chosen);
    let robust = exact.index.expect("a point of the split");
    let alone = Question { drawn: Some(robust), ..question.clone() };
    let alone = Exact::new(&subjects[..1], &alone, &mut |_, _| ()).expect("an outcome");
    assert_eq!((alone.chosen, alone.index), (Chosen::Given, Some(robust)));
    assert!(alone.document().findings[1].contains("no adversarial example"), "{:?}", alone.document().findings);
    alone.figures().iter().for_each(assert_readable);
    // No box, no picture.
    let flat = Question { epsilon: 0.0, ..question };
    assert!(Exact::new(&subjects, &flat, &mut |_, _| ()).expect_err("refused").to_string().contains("epsilon = 0"));
}

#[test]
fn polygons_are_cut_where_the_line_is() {
    // Random cuts of a box leave parts whose areas are those of it, on the right sides.
    let random = &mut Random::new(77);
    for _ in 0..200 {
        let mut parts = vec![Polygon::rectangle(BOX.0, BOX.1)];
        for _ in 0..6 {
            let line = smallbox::analyze::exact::Line {
                slope: (random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0)),
                offset: random.uniform(-0.5, 0.5),
            };
            parts = parts
                .iter()
                .flat_map(|part| {
                    let (below, above) = part.split(&line);
                    assert!(
                        below.iter().all(|p| line.at(p.middle()) < 1e-12)
                            && above.iter().all(|p| line.at(p.middle()) > -1e-12)
                    );
                    [below, above]
                })
                .flatten()
                .collect();
        }
        let area: f64 = parts.iter().map(Polygon::area).sum();
        assert!((area - Polygon::rectangle(BOX.0, BOX.1).area()).abs() < 1e-12);
    }
}
