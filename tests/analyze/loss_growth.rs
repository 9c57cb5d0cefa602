//! Robust loss against the box size: natural loss at 0, f64 intervals, sampled truth.

use smallbox::analyze::loss_growth::{Bound, Curve, LossGrowth, Point, Setting, curve};
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::figure::Mark;

use super::small::{Small, ball, loss, points, upper_margins};
use crate::certify::oracle;
use crate::common::device;
use crate::common::picture::assert_readable;
use crate::common::random::Random;

const EPSILON: f64 = 0.1;

fn setting() -> Setting {
    Setting { epsilon: EPSILON, lambdas: vec![0.0, 0.25, 0.5, 1.0, 1.25] }
}

fn curve_of(session: &mut dyn Session, small: &Small, bound: Bound) -> Vec<Point> {
    small.place(session);
    let networks = (&small.network, &small.relu_network);
    let mut heard = Vec::new();
    let mut progress = |done: usize, of: usize| heard.push((done, of));
    let points = pollster::block_on(curve(session, networks, &small.sample, &setting(), bound, &mut progress));
    assert_eq!(heard, [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5)]);
    points.expect("a curve")
}

/// Mean over the images of what `of` makes of image and label.
fn mean(small: &Small, of: impl Fn(&[f32], usize) -> f64) -> f64 {
    let all = (0..small.sample.len()).map(|i| of(small.sample.image(i), small.sample.labels[i] as usize));
    all.sum::<f64>() / small.sample.len() as f64
}

/// f32 sums of at most some hundred terms near 1, through four layers.
const NEAR: f64 = 2e-5;

#[test]
fn at_zero_the_loss_is_the_cross_entropy() {
    // 19 images: neither kind of bounds has a full last batch.
    let small = Small::new("cnn-tiny", 8, 19, 2.0, 1);
    let natural = mean(&small, |image, label| {
        let x: Vec<f64> = image.iter().map(|&p| f64::from(p)).collect();
        let z = oracle::evaluate(&small.relu_network, &x);
        z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[label]
    });
    device::each(|session| {
        for bound in [Bound::Ibp, Bound::Crown] {
            let first = curve_of(session, &small, bound)[0];
            assert!(first.lambda == 0.0 && (first.loss - natural).abs() < NEAR, "{bound:?}: {first:?}, {natural}");
        }
    });
}

#[test]
fn intervals_are_those_of_plain_loops_and_grow() {
    let small = Small::new("cnn-tiny", 8, 10, 2.0, 2);
    let points = curve_of(&mut CpuSession::new(), &small, Bound::Ibp);
    assert!(points.windows(2).all(|pair| pair[0].loss < pair[1].loss && pair[0].certified >= pair[1].certified));
    assert!(points[0].certified > points[4].certified, "{points:?}");
    let want = |radius: f64| {
        mean(&small, |image, label| {
            let (lower, upper) = ball(image, radius);
            loss(&upper_margins(&small.relu_network, &lower, &upper, label), label)
        })
    };
    let close = |point: &Point, radius: f64| (point.loss - want(radius)).abs() < NEAR;
    for point in &points {
        assert!(close(point, point.lambda * EPSILON), "{point:?}");
        // A box of a slightly other size is not taken for the same.
        assert!(point.lambda == 0.0 || !close(point, 0.98 * point.lambda * EPSILON), "{point:?}");
    }
}

#[test]
fn relaxation_bounds_what_is_sampled() {
    let small = Small::new("cnn-tiny", 8, 6, 2.0, 3);
    let crown = curve_of(&mut CpuSession::new(), &small, Bound::Crown);
    let ibp = curve_of(&mut CpuSession::new(), &small, Bound::Ibp);
    let sampled = |radius: f64| {
        mean(&small, |image, label| {
            let (lower, upper) = ball(image, radius);
            let mut worst = vec![f64::NEG_INFINITY; 3];
            for x in points(&mut Random::new(4), &lower, &upper, 2000) {
                let z = oracle::evaluate(&small.relu_network, &x);
                worst.iter_mut().zip(&z).for_each(|(worst, v)| *worst = worst.max(v - z[label]));
            }
            loss(&worst, label)
        })
    };
    for (crown, ibp) in crown.iter().zip(&ibp) {
        assert!(crown.loss > sampled(crown.lambda * EPSILON) - NEAR, "{crown:?}");
        assert!(crown.loss < ibp.loss + NEAR, "on two convolutions relaxation is not looser: {crown:?}, {ibp:?}");
    }
    assert!(crown[0].loss < sampled(EPSILON), "a box that is too small does not hold what is sampled");
}

fn outcome() -> LossGrowth {
    let points = |factor: f64| {
        let point = |&lambda: &f64| Point { lambda, loss: 0.1 + factor * lambda * lambda, certified: 7 };
        setting().lambdas.iter().map(point).collect::<Vec<Point>>()
    };
    let of = |model: &str, bound, own_lambda, factor| Curve {
        model: model.into(),
        bound,
        own_lambda,
        points: points(factor),
    };
    LossGrowth {
        dataset: "embedded".into(),
        split: "test".into(),
        images: 10,
        epsilon: EPSILON,
        curves: vec![
            of("ibp-run", Bound::Ibp, Some(1.0), 1.0),
            of("ibp-run", Bound::Crown, Some(1.0), 2.0),
            of("sabr, second", Bound::Ibp, Some(0.25), 30.0),
            of("sabr, second", Bound::Crown, Some(0.25), 3.0),
        ],
    }
}

#[test]
fn words_figure_and_sheet_say_the_numbers() {
    let outcome = outcome();
    let document = outcome.document();
    document.check().unwrap();
    let [figure] = &document.figures[..] else { panic!("one figure") };
    assert_readable(figure);
    assert_eq!(figure.charts.len(), 2);
    for chart in &figure.charts {
        let names: Vec<(&str, usize)> = chart.series.iter().map(|s| (s.name.as_str(), s.style)).collect();
        assert_eq!(names, [("ibp-run", 0), ("sabr, second", 1), ("λ of its own training", 6)], "{}", chart.title);
        let Mark::Dots(dots) = &chart.series[2].mark else { panic!("dots") };
        assert_eq!(dots.iter().map(|dot| dot.at.0).collect::<Vec<f64>>(), [1.0, 0.25]);
    }
    let Mark::Line(points) = &figure.charts[0].series[1].mark else { panic!("a line") };
    assert_eq!((points.len(), points[3]), (5, (1.0, 30.1)));

    let said = document.findings.join("\n");
    // Four times as much for twice the radius; CROWN is looser on one, tighter on the other.
    for part in [
        "sabr, second: the IBP loss is 0.1 at λ = 0, 7.6 at 0.5 and 30.1 at 1; twice the radius adds 4 times as much, more",
        "ibp-run: at λ = 1 CROWN's loss, 2.1, is not below that of intervals, 1.1.",
        "sabr, second: at λ = 1 CROWN takes the loss from 30.1 down to 3.1.",
        "ibp-run 1.1 at λ = 1, sabr, second 1.975 at λ = 0.25.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(document.tables[0].rows[2][..3], ["sabr, second", "IBP", "0.25"]);
    let csv = outcome.sheet().csv();
    assert_eq!(csv.lines().count(), 21);
    assert!(csv.starts_with("model,bound,lambda,loss,certified\nibp-run,IBP,0,0.1,0.7\n"), "{csv}");
    assert_eq!(document.data["curves"][2]["own_lambda"], 0.25);

    // A curve that does not rise is not said to.
    let mut flat = outcome;
    flat.curves.truncate(1);
    flat.curves[0].points.iter_mut().for_each(|point| point.loss = 0.5);
    let document = flat.document();
    assert!(document.findings[0].contains("does not rise"), "{:?}", document.findings);
    assert_readable(&document.figures[0]);
}
