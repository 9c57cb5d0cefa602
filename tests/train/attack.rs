//! The attack's rules, on networks small enough to follow by hand.

use smallbox::error::Result;
use smallbox::graph::Value;
use smallbox::interval::Bounds;
use smallbox::nn::{Bound, Layer, Network, architecture};
use smallbox::train::attack::{AttackSpec, attack, attack_from};
use smallbox::train::{Config, MethodKind, Work};

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
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false, restarts: 1 };
    check(1.0, -5.0, &[0.5], &[0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[0.0]);
        near(&outcome.tensor("point"), &[0.55]);
        near(&outcome.tensor("last"), &[0.6]);
    });
}

#[test]
fn a_misclassified_sample_returns_its_latest_iterate() {
    // The threshold is at 0.52: sample 0 crosses it with the first step, sample 1 (at 0.1) never does, so nobody stops.
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false, restarts: 1 };
    check(1.0, -0.52, &[0.5, 0.1], &[0.0, 0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[1.0, 0.0]);
        near(&outcome.tensor("point"), &[0.6, 0.15]);
    });
}

#[test]
fn the_attack_stops_when_every_sample_has_been_misclassified() {
    // Both are misclassified after the first step, so the second is not taken.
    let spec = AttackSpec { step_lengths: vec![0.5, 0.5], project_start: false, restarts: 1 };
    check(1.0, -0.52, &[0.5, 0.49], &[0.0, 0.0], &spec, |outcome| {
        near(&outcome.tensor("found"), &[1.0, 1.0]);
        near(&outcome.tensor("point"), &[0.55, 0.54]);
        near(&outcome.tensor("last"), &[0.55, 0.54]);
    });
}

#[test]
fn only_the_training_attack_starts_outside_the_clipped_ball() {
    // At x = 0.02 the ball is [0, 0.12]; noise −1/2 starts at 0.02 − 0.06 = −0.04, and a dead gradient leaves it there.
    let start = |project_start| AttackSpec { step_lengths: vec![0.5], project_start, restarts: 1 };
    check(0.0, -1.0, &[0.02], &[-0.5], &start(false), |outcome| near(&outcome.tensor("point"), &[-0.04]));
    check(0.0, -1.0, &[0.02], &[-0.5], &start(true), |outcome| near(&outcome.tensor("point"), &[0.0]));
}

#[test]
fn steps_are_relative_to_the_widest_half_of_the_batch_and_a_dead_gradient_does_not_move() {
    // Alone, x = 0 has the ball [0, 0.1] and the reach 0.05; beside x = 0.5 the reach is 0.1.
    let spec = AttackSpec { step_lengths: vec![0.5], project_start: true, restarts: 1 };
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

/// Of several starts, per sample, the first that succeeds counts, else the one of the highest loss; the choice is made here from
/// the attacks one by one.
#[test]
fn of_several_starts_the_best_counts() {
    let network = network();
    let n = 12;
    // Around the decision: some starts succeed, some do not.
    let x: Vec<f64> = (0..n).map(|i| 0.5 + 0.01 * i as f64).collect();
    device::each(|session| {
        let got = run(session, |case| {
            let w = case.input(&Tensor::new([2, 1], vec![0.0, 10.0]));
            let b = case.input(&Tensor::new([2], vec![0.0, -6.0]));
            let bound = Bound::with_values(&network, vec![w, b]);
            let vx = case.input(&Tensor::new([n, 1, 1, 1], x.clone()));
            let labels = case.labels(&vec![0; n]);
            let radius = case.input(&Tensor::new([1], vec![0.1]));
            let key = case.labels(&[1, 2, 3, 4]);
            let g = &mut case.graph;
            let ball = Bounds::ball(g, vx, radius)?;
            let spec = AttackSpec::training(2, 0.01);
            let mut of = |name: &str, spec: &AttackSpec, stream| {
                let found = attack(&mut case.graph, &bound, vx, labels, ball, spec, (key, stream))?;
                case.output(&format!("{name}.point"), found.point);
                case.output(&format!("{name}.found"), found.found);
                case.output(&format!("{name}.loss"), found.loss);
                Ok(())
            };
            for stream in 0..3 {
                of(&stream.to_string(), &spec, stream)?;
            }
            of("all", &spec.clone().restarted(3), 0)
        });
        let value = |name: String, i: usize| got.tensor(&name).data[i];
        let mut chosen = [0; 3];
        for i in 0..n {
            let successes: Vec<usize> = (0..3).filter(|s| value(format!("{s}.found"), i) == 1.0).collect();
            let highest =
                (0..3).fold(
                    0,
                    |best, s| {
                        if value(format!("{s}.loss"), i) > value(format!("{best}.loss"), i) { s } else { best }
                    },
                );
            let expected = successes.first().copied().unwrap_or(highest);
            chosen[expected] += 1;
            assert_eq!(value("all.point".into(), i), value(format!("{expected}.point"), i), "sample {i}");
            assert_eq!(value("all.found".into(), i), f64::from(u8::from(!successes.is_empty())), "sample {i}");
        }
        assert!(chosen.iter().all(|&c| c > 0), "every start is somebody's best: {chosen:?}");
    });
}

/// Kernels of a plan of `work` on cnn3: forward passes of layers, gradients of their inputs, gradients of their weights, and whatever
/// gives something of a weight's shape.
fn layers(work: Work, method: MethodKind) -> [usize; 4] {
    let network = architecture("cnn3", [1, 28, 28], 10, &[], &[]).expect("a network");
    let config = Config { method, batch: 3, ..Config::default() }.resolve().expect("settings");
    let plan = work.plan(&network, &config).expect("a plan");
    let weights: Vec<_> =
        network.parameters().iter().filter(|p| p.name.ends_with("weight")).map(|p| &p.shape).collect();
    let count = |part: &str| {
        let of_layer = |name: &str| name.starts_with("conv2d") || name.starts_with("linear");
        plan.steps.iter().filter(|step| of_layer(step.op.name()) && step.op.name().contains(part)).count()
    };
    let shaped = plan.steps.iter().filter(|step| step.signature.outputs.iter().any(|ty| weights.contains(&&ty.shape)));
    [count("forward"), count("backward_input"), count("backward_weight"), shaped.count()]
}

#[test]
fn an_attack_computes_gradients_of_images_only() {
    // Four layers, eight steps; the choice looks at the iterate after the last step too.
    assert_eq!(layers(Work::Attack, MethodKind::Sabr), [32, 32, 0, 0]);
    assert_eq!(layers(Work::AttackAndChoice, MethodKind::Sabr), [36, 32, 0, 0]);
    // A step on clean images has the gradients of four weights, and needs none of the images; one on attacked images has them once.
    let [forward, input, weight, shaped] = layers(Work::Step, MethodKind::Std);
    assert_eq!([forward, input, weight], [4, 3, 4]);
    assert!(shaped >= 4, "{shaped}");
    assert_eq!(layers(Work::Step, MethodKind::Pgd)[2], 4);
}
