//! Exact worst cases against the truth by enumeration of regions; approximations against plain loops.

use std::sync::Arc;
use std::time::Duration;

use smallbox::analyze::loss_precision::{
    Approximation, Approximations, Ball, Enclosure, Enclosures, ExactSettings, Image, LossPrecision, Model, errors,
};
use smallbox::certify::attack::{AttackSpec, Attacker, rows_that_fit};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::Prover;
use smallbox::certify::property::Property;
use smallbox::device::cpu::CpuSession;
use smallbox::figure::Mark;
use smallbox::train::Config;

use super::small::{self, Small, upper_margins};
use crate::certify::nets::dense;
use crate::certify::{oracle, regions};
use crate::common::device;
use crate::common::picture::assert_readable;
use crate::common::random::Random;

fn margin(network: &ReluNetwork, x: &[f64], label: u32) -> f64 {
    let z = oracle::evaluate(network, x);
    let others = (0..z.len()).filter(|&k| k != label as usize);
    others.map(|k| z[k] - z[label as usize]).fold(f64::NEG_INFINITY, f64::max)
}

fn settings(tolerance: f64, attack: AttackSpec) -> ExactSettings {
    ExactSettings { tolerance, timeout: Duration::from_secs(60), attack, seed: 0 }
}

/// Balls of two inputs of a network with three outputs.
fn balls(random: &mut Random, count: usize) -> Vec<Ball> {
    let ball = |_| {
        let center = [random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0)];
        let radius = [random.uniform(0.1, 1.5), random.uniform(0.1, 1.5)];
        let ends = |sign: f64| (0..2).map(|i| center[i] + sign * radius[i]).collect();
        Ball { lower: ends(-1.0), upper: ends(1.0), label: random.below(3) as u32, points: vec![center.to_vec()] }
    };
    (0..count).map(ball).collect()
}

#[test]
fn exact_margins_are_those_of_all_regions() {
    let tolerance = 1e-3;
    let (mut raised, mut single) = (0, 0);
    for seed in 0..12 {
        let network = dense(100 + seed, &[2, 8, 6, 3]);
        let balls = balls(&mut Random::new(seed), 6);
        // One step from one start finds the worst corner now and then only.
        let attack = if seed % 2 == 0 { AttackSpec::pgd(1, 1) } else { AttackSpec::pgd(50, 3) };
        let session = &mut CpuSession::new();
        let mut enclosures = Enclosures::new(session, &network, settings(tolerance, attack)).unwrap();
        let found = pollster::block_on(enclosures.of(session, &balls)).unwrap();
        enclosures.release(session);
        for (ball, found) in balls.iter().zip(found) {
            let property = Property::label(ball.lower.clone(), ball.upper.clone(), 3, ball.label as usize);
            let exact = -regions::least(&network, &property).0;
            let Enclosure { lower, upper, open, point, attack, claims } = found;
            let upper = upper.expect("decided");
            assert_eq!(open, None);
            assert!(
                lower <= exact + 1e-9 && exact < upper && upper - lower <= tolerance * 1.000_001,
                "{lower} {exact} {upper}"
            );
            assert!(attack <= lower && (margin(&network, &point, ball.label) - lower).abs() < 1e-9);
            assert!(point.iter().zip(ball.lower.iter().zip(&ball.upper)).all(|(x, (l, u))| l <= x && x <= u));
            // What is not the exact value is told from it.
            assert!(exact + 2.0 * tolerance >= upper && exact - 2.0 * tolerance <= lower);
            raised += usize::from(lower > attack);
            single += usize::from(claims == 1);
        }
    }
    assert!(raised > 3 && single > 20, "{raised} raised by the verifier, {single} shown by a single claim");
}

#[test]
fn without_time_images_stay_open() {
    let network = dense(7, &[2, 20, 20, 3]);
    let session = &mut CpuSession::new();
    let none = ExactSettings { timeout: Duration::ZERO, ..settings(1e-3, AttackSpec::pgd(1, 1)) };
    let mut enclosures = Enclosures::new(session, &network, none).unwrap();
    let balls = balls(&mut Random::new(3), 4);
    let found = pollster::block_on(enclosures.of(session, &balls)).unwrap();
    assert!(found.iter().any(|found| found.open.is_some()), "{found:?}");
    for (found, ball) in found.iter().zip(&balls) {
        assert!(found.upper.is_none_or(|upper| upper > margin(&network, &ball.points[0], ball.label)));
    }
}

#[test]
fn the_strongest_point_of_a_linear_network_is_a_corner() {
    let network = dense(5, &[3, 4]);
    let prover = Arc::new(Prover::new(&network).unwrap());
    let random = &mut Random::new(6);
    let ends: Vec<(Vec<f64>, Vec<f64>)> =
        (0..5).map(|_| (0..3).map(|_| (random.uniform(-1.0, 0.0), random.uniform(0.1, 1.0))).unzip()).collect();
    let properties: Vec<Property> =
        ends.iter().enumerate().map(|(i, (l, u))| Property::label(l.clone(), u.clone(), 4, i % 4)).collect();
    device::each(|session| {
        let mut attacker =
            Attacker::new(&network, Arc::clone(&prover), AttackSpec::pgd(40, 1), rows_that_fit(&network)).unwrap();
        let found = pollster::block_on(attacker.strongest(session, &properties, 0)).unwrap();
        for (i, (found, (lower, upper))) in found.iter().zip(&ends).enumerate() {
            let label = (i % 4) as u32;
            let corners = (0..8).map(|bits: usize| {
                let x: Vec<f64> = (0..3).map(|k| if bits >> k & 1 == 1 { upper[k] } else { lower[k] }).collect();
                margin(&network, &x, label)
            });
            let exact = corners.fold(f64::NEG_INFINITY, f64::max);
            let got = margin(&network, &found.point, label);
            assert!((got - exact).abs() < 1e-6 && (f64::from(found.margin) + exact).abs() < 1e-5, "{got}, {exact}");
            assert!(found.point.iter().zip(lower.iter().zip(upper)).all(|(x, (l, u))| l <= x && x <= u));
        }
        attacker.release(session);
    });
}

#[test]
fn approximations_are_those_of_plain_loops() {
    let small = Small::new("cnn-tiny", 8, 9, 2.0, 8);
    let of = |lambda: f64| {
        let attack = Config::default().attack();
        let approximations = Approximations { epsilon: 0.1, lambda, attack, seed: 3, batch: 4 };
        let session = &mut CpuSession::new();
        small.place(session);
        let networks = (&small.network, &small.relu_network);
        pollster::block_on(approximations.of(session, networks, &small.sample)).unwrap()
    };
    // f32 sums of some hundred terms near 1.
    let near = |a: f64, b: f64| (a - b).abs() < 2e-5;
    let greatest = |bounds: Vec<f64>, label: u32| {
        let others = bounds.into_iter().enumerate().filter(|(k, _)| *k != label as usize);
        others.map(|(_, bound)| bound).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut differ = 0;
    for lambda in [0.1, 0.4, 0.8, 1.0] {
        let found = of(lambda);
        assert_eq!(found.len(), 9);
        for (i, found) in found.iter().enumerate() {
            let (image, label) = (small.sample.image(i), small.sample.labels[i]);
            let (lower, upper) = small::ball(image, 0.1);
            let inside = |(x, (l, u)): (&f64, (&f64, &f64))| (l - 1e-7..=u + 1e-7).contains(x);
            assert!(found.point.iter().zip(lower.iter().zip(&upper)).all(inside), "image {i}");
            let bound =
                |l: &[f64], u: &[f64]| greatest(upper_margins(&small.relu_network, l, u, label as usize), label);
            assert!(near(found.ibp, bound(&lower, &upper)), "image {i}: {found:?}");
            let natural: Vec<f64> = image.iter().map(|&p| f64::from(p)).collect();
            assert!(near(found.natural, margin(&small.relu_network, &natural, label)));
            assert!(near(found.pgd, margin(&small.relu_network, &found.point, label)));
            assert!(found.pgd <= found.ibp && found.sabr <= found.ibp + 2e-5);
            // The small box: around the point, slid into the ball.
            let small_box = |tau: f64| -> (Vec<f64>, Vec<f64>) {
                let ends = |(&x, (&l, &u)): (&f64, (&f64, &f64))| {
                    let radius = tau.min(0.5 * (u - l));
                    let center = x.max(l + radius).min(u - radius);
                    (center - radius, center + radius)
                };
                found.point.iter().zip(lower.iter().zip(&upper)).map(ends).unzip()
            };
            let sabr = |tau: f64| {
                let (l, u) = small_box(tau);
                bound(&l, &u)
            };
            assert!(near(found.sabr, sabr(lambda * 0.1)), "image {i}, λ {lambda}: {found:?}");
            differ += usize::from(!near(found.sabr, sabr(0.9 * lambda * 0.1)));
        }
    }
    // A box of another size is told from it, but where no neuron is active.
    assert!(differ > 24, "{differ} of 36");
    assert_eq!(of(0.4), of(0.4), "the same seed");
}

/// An image whose exact value is −0.5, with these errors.
fn image(index: usize, ibp: f64, sabr: f64, pgd: f64) -> Image {
    let exact = -0.5;
    Image {
        index,
        label: 1,
        natural: -2.0,
        ibp: exact + ibp,
        sabr: exact + sabr,
        pgd: exact + pgd,
        attack: exact,
        lower: exact,
        upper: Some(exact + 0.001),
        open: None,
    }
}

#[test]
fn contradictions_are_refused() {
    let right = image(3, 0.2, -0.1, -0.3);
    right.check(1e-4).unwrap();
    let upper = right.upper;
    for (wrong, parts) in [
        (Image { ibp: -0.502, ..right.clone() }, ["image 3", "-0.502"]),
        (Image { pgd: -0.49, ..right.clone() }, ["attacked point", "-0.49"]),
        (Image { attack: -0.4, ..right.clone() }, ["strong attack", "-0.4"]),
        (Image { natural: 0.5, ..right.clone() }, ["the image", "0.5"]),
        (Image { lower: -0.4, ..right.clone() }, ["a point of the ball", "-0.4"]),
    ] {
        let error = wrong.check(1e-4).unwrap_err();
        assert_eq!(error.exit_code(), 7);
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
    // SABR's value is no bound, and without a proof a point contradicts nothing.
    Image { sabr: 9.0, ..right.clone() }.check(1e-4).unwrap();
    Image { upper: None, pgd: 0.5, lower: 0.6, ibp: 0.7, ..right.clone() }.check(1e-4).unwrap();
    assert_eq!(upper, Some(-0.499));
}

#[test]
fn statistics_are_those_of_the_known_images() {
    let mut images = vec![image(0, 1.0, 0.5, 0.0), image(1, 3.0, -0.5, -0.2), image(2, 2.0, 0.0005, -0.1)];
    images[2].lower = 0.5;
    images[2].upper = Some(0.5);
    [images[2].ibp, images[2].sabr, images[2].pgd, images[2].attack] = [2.5, 0.5005, 0.4, 0.5];
    images.push(Image { open: Some("the time ran out".into()), ibp: 100.0, ..image(3, 0.0, 0.0, 0.0) });
    let of = |approximation, robust| errors(&images, approximation, robust, 1e-3);
    let ibp = of(Approximation::Ibp, false);
    assert_eq!((ibp.images, ibp.mean, ibp.over, ibp.under), (3, 2.0, 3, 0));
    assert!((ibp.deviation - (2.0f64 / 3.0).sqrt()).abs() < 1e-12 && ibp.absolute == 2.0);
    // Within the tolerance is neither above nor below.
    let sabr = of(Approximation::Sabr, false);
    assert_eq!((sabr.over, sabr.under), (1, 1));
    assert!((sabr.absolute - 1.0005 / 3.0).abs() < 1e-12);
    assert_eq!(of(Approximation::Pgd, false).under, 2);
    // The third is not robust.
    assert_eq!(of(Approximation::Ibp, true).images, 2);
    assert_eq!(errors(&[], Approximation::Ibp, false, 1e-3).images, 0);
}

#[test]
fn words_figure_and_sheet_say_the_numbers() {
    let images: Vec<Image> =
        (0..20).map(|i| image(i, 0.1 + 0.01 * i as f64, 0.02 * (i as f64 - 9.5), -0.002 * i as f64)).collect();
    let mut some = images.clone();
    some[4].open = Some("the time ran out".into());
    let lost: Vec<Image> = images[..2]
        .iter()
        .map(|image| Image { open: Some("the time ran out".into()), upper: None, ..image.clone() })
        .collect();
    let model = |name: &str, images: &[Image]| Model { model: name.into(), images: images.to_vec() };
    let outcome = LossPrecision {
        dataset: "mnist".into(),
        split: "test".into(),
        epsilon: 0.05,
        lambda: 0.4,
        tolerance: 1e-3,
        attack: AttackSpec::pgd(100, 3).describe(0),
        timeout: 30.0,
        models: vec![model("ibp-run", &images), model("some", &some), model("lost", &lost)],
    };
    let document = outcome.document();
    document.check().unwrap();
    let [figure] = &document.figures[..] else { panic!("one figure") };
    assert_readable(figure);
    assert_eq!(figure.charts.len(), 3);
    for chart in &figure.charts {
        let names: Vec<(&str, usize)> = chart.series.iter().map(|s| (s.name.as_str(), s.style)).collect();
        assert_eq!(names, [("IBP bound", 0), ("SABR's small box, λ = 0.4", 1), ("PGD of training", 2)]);
    }
    for series in &figure.charts[0].series {
        let Mark::Histogram { edges, heights } = &series.mark else { panic!("a histogram") };
        assert!((heights.iter().sum::<f64>() - 100.0).abs() < 1e-9 && edges.contains(&0.0), "{}", series.name);
        // IBP is right of 0, PGD left of it.
        let left: f64 = edges.iter().zip(heights).filter(|(edge, _)| **edge < 0.0).map(|(_, height)| height).sum();
        let wanted = [0.0, 50.0, 95.0][series.style];
        assert!((left - wanted).abs() < 1e-9, "{}: {left}", series.name);
    }
    assert_eq!(document.tables[0].rows[0][..3], ["ibp-run", "all 20", "+0.195 ± 0.058 (100 %)"]);
    assert_eq!(document.tables[0].rows[4][1..3], ["all 0", "–"]);
    let said = document.findings.join("\n");
    for part in [
        "ibp-run: IBP is above the exact value by 0.195 on average",
        "(above on 50 %, below on 50 % of the images)",
        "some: the exact value of 1 of 20 images is not known",
        "lost: the exact value of 2 of 2 images is not known",
        "ibp-run: closest of these three, off by 0.019 on average: PGD of training.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("lost: IBP"), "{said}");
    let csv = outcome.sheet().csv();
    assert_eq!(csv.lines().count(), 43);
    assert!(csv.contains("\nlost,1,1,-2,-0.5,,the time ran out,"), "{csv}");
    assert_eq!(document.data["statistics"][1]["open"], 1);
    assert_eq!(document.data["statistics"][0]["all"]["ibp"]["images"], 20);
    assert_eq!(document.data["models"][0]["images"][3]["index"], 3);
}
