//! The small box of SABR and the ball it lives in.

use smallbox::error::Result;
use smallbox::graph::{Graph, Value};
use smallbox::interval::{Bounds, Interval, small_box};

use crate::common::device;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// Images with many pixels at and near the border of [0,1], and points anywhere in their balls.
fn pixels(epsilon: f64) -> (Tensor, Tensor) {
    let x: Vec<f64> = [0.0, 1.0, 0.5, 0.03, 0.97, 1e-8, 0.999_999_9, 0.2].repeat(8);
    let place = |i: usize| ((i * 37 + 11) % 65) as f64 / 64.0;
    let point = x.iter().enumerate().map(|(i, &v)| {
        let (low, high) = ((v - epsilon).max(0.0), (v + epsilon).min(1.0));
        low + place(i) * (high - low)
    });
    let point: Vec<f64> = point.collect();
    (Tensor::new([1, 1, 8, 8], x), Tensor::new([1, 1, 8, 8], point))
}

/// Worst distance by which the small box sticks out of the ball, and the outcome's center and radius.
fn overhang(epsilon: f64, lambda: f64, faithful: bool) -> (f64, Tensor, Tensor) {
    let (x, point) = pixels(epsilon);
    let worst = std::cell::RefCell::new(None);
    device::each(|session| {
        let outcome = run(session, |case| {
            let (vx, vp) = (case.input(&x), case.input(&point));
            let radius = case.input(&Tensor::new([1], vec![epsilon]));
            let tau = case.input(&Tensor::new([1], vec![lambda * epsilon]));
            let g = &mut case.graph;
            let ball = Bounds::ball(g, vx, radius)?;
            let region = small_box(g, vp, ball, tau, faithful)?;
            for (name, value) in
                [("center", region.center), ("radius", region.radius), ("lower", ball.lower), ("upper", ball.upper)]
            {
                case.output(name, value);
            }
            Ok(())
        });
        let [c, r, l, u] = ["center", "radius", "lower", "upper"].map(|name| outcome.tensor(name));
        let out =
            (0..c.data.len()).map(|i| (l.data[i] - (c.data[i] - r.data[i])).max(c.data[i] + r.data[i] - u.data[i]));
        let out = out.fold(f64::NEG_INFINITY, f64::max);
        worst.replace(Some((out, c, r)));
    });
    worst.into_inner().expect("there is always the native device")
}

/// Rounding of a handful of operations on numbers up to 1.
const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;

#[test]
fn the_small_box_never_leaves_the_ball() {
    for epsilon in [0.1, 0.3, 2.0 / 255.0] {
        for lambda in [0.05, 0.4, 0.5, 0.6, 0.7, 1.0] {
            let (out, _, _) = overhang(epsilon, lambda, false);
            assert!(out <= ROUNDING, "epsilon {epsilon}, lambda {lambda}: sticks out by {out}");
        }
    }
}

#[test]
fn the_authors_box_leaves_the_ball_near_one() {
    // By up to (2λ − 1)·ε, and only for λ > 1/2: this is what the check above must be able to see.
    let (out, _, _) = overhang(0.3, 0.6, true);
    assert!((out - 0.2 * 0.3).abs() < 1e-6, "sticks out by {out}");
    let (out, _, _) = overhang(0.3, 0.4, true);
    assert!(out <= ROUNDING, "sticks out by {out}");
}

#[test]
fn below_one_half_the_radius_is_tau_even_at_the_border() {
    let (_, _, radius) = overhang(0.1, 0.4, false);
    for r in &radius.data {
        assert!((r - 0.04).abs() <= ROUNDING, "{r}");
    }
}

#[test]
fn lambda_one_is_the_ball_itself() {
    let (x, point) = pixels(0.1);
    device::each(|session| {
        let outcome = run(session, |case| {
            let (vx, vp) = (case.input(&x), case.input(&point));
            let radius = case.input(&Tensor::new([1], vec![0.1]));
            let g = &mut case.graph;
            let ball = Bounds::ball(g, vx, radius)?;
            let small = small_box(g, vp, ball, radius, false)?;
            let whole = ball.interval(g)?;
            case.output("small", small.center);
            case.output("whole", whole.center);
            Ok(())
        });
        let (small, whole) = (outcome.tensor("small"), outcome.tensor("whole"));
        for (a, b) in small.data.iter().zip(&whole.data) {
            assert!((a - b).abs() <= ROUNDING, "{a} and {b}");
        }
    });
}

/// A graph helper that several tests of this module share: no gradient may pass through a region.
#[test]
fn regions_are_constants_of_differentiation() -> Result<()> {
    let mut g = Graph::new();
    let x: Value = g.input("x", smallbox::shape::TensorType::f32([1, 1, 2, 2]))?;
    let radius = g.constant(&[0.1], [1])?;
    let region = Bounds::ball(&mut g, x, radius)?.interval(&mut g)?.detach(&mut g);
    let loss = smallbox::ops::sum_all(&mut g, region.center)?;
    assert_eq!(smallbox::ops::gradients(&mut g, loss, &[x])?, vec![None]);
    Ok(())
}

/// Boxes [lower, upper] before a ReLU: dead, touching 0 from below, unstable, touching from above, active.
const BEFORE: [[f64; 2]; 5] = [[-3.0, -1.0], [-2.0, 0.0], [-1.0, 3.0], [0.0, 2.0], [1.0, 3.0]];

#[test]
fn shrinking_scales_the_upper_end_of_unstable_relus_alone() {
    const FACTOR: f64 = 0.75;
    let [center, radius] =
        [0.5, -0.5].map(|sign| Tensor::new([5], BEFORE.iter().map(|[l, u]| 0.5 * u + sign * l).collect()));
    device::each(|session| {
        let got = run(session, |case| {
            let before = Interval { center: case.input(&center), radius: case.input(&radius) };
            let g = &mut case.graph;
            let (c, r) = smallbox::ops::relu_interval(g, (before.center, before.radius))?;
            let behind = Interval { center: c, radius: r }.shrink_unstable(g, before, FACTOR as f32)?;
            let ends = behind.bounds(g)?;
            case.output("lower", ends.lower);
            case.output("upper", ends.upper);
            // d(upper)/d(center), d(upper)/d(radius)
            let ones = Tensor::filled([5], 1.0);
            case.gradients(&[ends.upper], &[ones], &[before.center, before.radius])
        });
        assert_eq!(got.tensor("lower").data, [0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(got.tensor("upper").data, [0.0, 0.0, 3.0 * FACTOR, 2.0, 3.0]);
        // The upper end is center + radius, scaled where the ReLU is unstable, constant where it is dead.
        for grad in ["grad0", "grad1"] {
            assert_eq!(got.tensor(grad).data, [0.0, 0.0, FACTOR, 1.0, 1.0], "{grad}");
        }
    });
}
