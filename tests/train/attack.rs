//! The attack's rules, on networks small enough to follow by hand.

use smallbox::error::Result;
use smallbox::graph::Value;
use smallbox::interval::Bounds;
use smallbox::nn::{Bound, Layer, Network};
use smallbox::train::attack::{AttackSpec, attack_from};

use crate::common::device;
use crate::common::run::{Case, Outcome, run};
use crate::common::tensor::Tensor;

/// Two classes on one pixel: logits (0, gain · x + offset).
fn network() -> Network {
    let layers = vec![Layer::Flatten, Layer::Linear { outputs: 2 }];
    Network::new("line", [1, 1, 1], 2, layers).expect("the layers fit")
}

fn attacked(case: &mut Case, gain: f64, offset: f64, x: &[f64], noise: &[f64], spec: &AttackSpec) -> Result<()> {
    let network = network();
    let n = x.len();
    let w = case.input(&Tensor::new([2, 1], vec![0.0, gain]));
    let b = case.input(&Tensor::new([2], vec![0.0, offset]));
    let parameters: Vec<Value> = vec![w, b];
    let bound = Bound::with_values(&network, parameters);
    let vx = case.input(&Tensor::new([n, 1, 1, 1], x.to_vec()));
    let noise = case.input(&Tensor::new([n, 1, 1, 1], noise.to_vec()));
    let labels = case.labels(&vec![0; n]);
    let radius = case.input(&Tensor::new([1], vec![0.1]));
    let g = &mut case.graph;
    let ball = Bounds::ball(g, vx, radius)?;
    let found = attack_from(g, &bound, vx, labels, ball, spec, noise)?;
    case.output("point", found.point);
    case.output("last", found.last);
    case.output("found", found.found);
    Ok(())
}

fn check(gain: f64, offset: f64, x: &[f64], noise: &[f64], spec: &AttackSpec, expect: impl Fn(&Outcome)) {
    device::each(|session| expect(&run(session, |case| attacked(case, gain, offset, x, noise, spec))));
}

fn near(got: &Tensor, want: &[f64]) {
    for (g, w) in got.data.iter().zip(want) {
        assert!((g - w).abs() < 1e-6, "{:?} instead of {want:?}", got.data);
    }
}

#[test]
fn an_attack_without_success_returns_the_iterate_of_the_highest_loss_before_the_last() {
    // Class 1 never wins; its logit grows with x. From 0.5 two steps of 0.05: 0.5, 0.55, 0.6. The last is not looked at.
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false };
    check(1.0, -5.0, &[0.5], &[0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[0.0]);
        near(&outcome.tensor("point"), &[0.55]);
        near(&outcome.tensor("last"), &[0.6]);
    });
}

#[test]
fn a_misclassified_sample_returns_its_latest_iterate() {
    // The threshold is at 0.52: sample 0 crosses it with the first step, sample 1 (at 0.1) never does, so nobody stops.
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false };
    check(1.0, -0.52, &[0.5, 0.1], &[0.0, 0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[1.0, 0.0]);
        near(&outcome.tensor("point"), &[0.6, 0.15]);
    });
}

#[test]
fn the_attack_stops_when_every_sample_has_been_misclassified() {
    // Both are misclassified after the first step, so the second is not taken.
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false };
    check(1.0, -0.52, &[0.5, 0.49], &[0.0, 0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[1.0, 1.0]);
        near(&outcome.tensor("point"), &[0.55, 0.54]);
        near(&outcome.tensor("last"), &[0.55, 0.54]);
    });
}

#[test]
fn only_the_training_attack_starts_outside_the_clipped_ball() {
    // At x = 0.02 the ball is [0, 0.12]; noise −1/2 starts at 0.02 − 0.06 = −0.04, and a dead gradient leaves it there.
    let start = |project_start| AttackSpec { step_lengths: vec![0.5], project_start };
    check(0.0, -1.0, &[0.02], &[-0.5], &start(false), |outcome| near(&outcome.tensor("point"), &[-0.04]));
    check(0.0, -1.0, &[0.02], &[-0.5], &start(true), |outcome| near(&outcome.tensor("point"), &[0.0]));
}

#[test]
fn steps_are_relative_to_the_widest_half_of_the_batch_and_a_dead_gradient_does_not_move() {
    // Alone, x = 0 has the ball [0, 0.1] and the reach 0.05; beside x = 0.5 the reach is 0.1.
    let spec = AttackSpec { step_lengths: vec![0.5], project_start: true };
    check(1.0, -5.0, &[0.0], &[0.0], &spec, |outcome| near(&outcome.tensor("last"), &[0.025]));
    check(1.0, -5.0, &[0.0, 0.5], &[0.0, 0.0], &spec, |outcome| near(&outcome.tensor("last"), &[0.05, 0.55]));
    check(0.0, -5.0, &[0.3], &[0.0], &spec, |outcome| near(&outcome.tensor("last"), &[0.3]));
}

#[test]
fn the_training_schedule_drops_at_half_and_eight_tenths_and_nine_tenths() {
    let lengths = AttackSpec::training(8, 0.5).step_lengths;
    let want = [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005];
    for (got, want) in lengths.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() < 1e-8, "{lengths:?}");
    }
}
