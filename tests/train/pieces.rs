//! The robust loss in pieces, statistics over a whole split, attacks from several starts.

use std::sync::Arc;

use smallbox::data::{Dataset, LoadOptions, load};
use smallbox::device::cpu::CpuSession;
use smallbox::device::read_state_f32;
use smallbox::nn::{Layer, state_name};
use smallbox::train::step::{Phase, moment_names, plan_step};
use smallbox::train::{BnStats, Config, MethodKind, Observer, Trainer, network_for};

struct Quiet;
impl Observer for Quiet {}

const BATCH: usize = 32;
/// Extents of the images behind the first convolution.
const SIDE: usize = 14;

fn dataset() -> Arc<Dataset> {
    let options = LoadOptions { limit: Some(BATCH), validation: Some(0), ..LoadOptions::default() };
    Arc::new(load("embedded", &options).expect("the embedded dataset needs no files"))
}

/// One step at the full ε on a network with batch norms behind a convolution and a linear layer.
fn config(method: MethodKind, pieces: usize) -> Config {
    let layers = vec![
        Layer::Conv2d { features: 4, kernel: 4, stride: 2, padding: 1 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 12 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Linear { outputs: 10 },
    ];
    let config = Config {
        method,
        pieces,
        arch: "tiny".into(),
        layers: Some(layers),
        batch: BATCH,
        epsilon: 0.02,
        epochs: 1,
        natural_epochs: 0,
        epsilon_end_epoch: Some(1),
        lr_milestones: Some(Vec::new()),
        bn_stats: Some(BnStats::Clean),
        attack_steps: 2,
        eval_attack_steps: 1,
        ..Config::default()
    };
    config.resolve().expect("a valid configuration")
}

/// A tenth of the gradient of the first step, of each parameter: Adam's first moment.
fn gradients(config: &Config) -> Vec<(String, Vec<f32>)> {
    let mut trainer = Trainer::new(config, dataset(), Box::new(CpuSession::new()), None).expect("a trainer");
    pollster::block_on(trainer.run(&mut Quiet)).expect("a step");
    let names: Vec<String> = trainer.network().parameters().iter().map(|p| p.name.clone()).collect();
    let read = |name: String| {
        let moment = pollster::block_on(read_state_f32(trainer.session(), &moment_names(&name)[0]));
        (name, moment.expect("a moment"))
    };
    names.into_iter().map(read).collect()
}

fn greatest(values: impl IntoIterator<Item = f32>) -> f32 {
    values.into_iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// Sums of no more terms than there are positions of a channel in the batch, each rounded once, relative to the largest entry.
const SLACK: f32 = (BATCH * SIDE * SIDE) as f32 * f32::EPSILON;

/// No random numbers are in the interval bounds, so the pieces must have the gradient of the whole batch: also through the
/// statistics, without which the bias before a batch norm would have one.
#[test]
fn pieces_have_the_gradient_of_the_whole_batch() {
    let whole = gradients(&config(MethodKind::Ibp, 1));
    for pieces in [2, 4, 32] {
        let parts = gradients(&config(MethodKind::Ibp, pieces));
        for ((name, whole), (_, parts)) in whole.iter().zip(&parts) {
            let scale = greatest(whole.iter().copied());
            let off = greatest(whole.iter().zip(parts).map(|(a, b)| a - b));
            // A bias before a batch norm has no gradient, only rounding; it is looked at below.
            if !["0.bias", "4.bias"].contains(&name.as_str()) {
                assert!(scale > 0.0 && off <= SLACK * scale, "{name} in {pieces} pieces: {off} of {scale}");
            }
        }
        let of = |wanted: &str| greatest(parts.iter().find(|(n, _)| n == wanted).expect("a layer").1.iter().copied());
        for (bias, weight) in [("0.bias", "0.weight"), ("4.bias", "4.weight")] {
            assert!(of(bias) <= SLACK * of(weight), "{bias} in {pieces} pieces: {} of {}", of(bias), of(weight));
        }
    }
}

/// The comparison sees a changed gradient: another ε, and statistics that are constants (then the bias has a gradient).
#[test]
fn another_gradient_is_noticed() {
    let whole = gradients(&config(MethodKind::Ibp, 1));
    let other = Config { epsilon: 0.0202, ..config(MethodKind::Ibp, 4) };
    let other = gradients(&other);
    let off = |index: usize| {
        let ((_, a), (_, b)) = (&whole[index], &other[index]);
        greatest(a.iter().zip(b).map(|(a, b)| a - b)) / greatest(a.iter().copied())
    };
    assert!(off(0) > SLACK, "{}", off(0));
    let plain = Config { layers: config(MethodKind::Ibp, 1).layers.map(without_norms), ..config(MethodKind::Ibp, 4) };
    let plain = gradients(&plain);
    assert!(greatest(plain[1].1.iter().copied()) > SLACK * greatest(plain[0].1.iter().copied()));
}

fn without_norms(layers: Vec<Layer>) -> Vec<Layer> {
    layers.into_iter().filter(|layer| !matches!(layer, Layer::BatchNorm)).collect()
}

#[test]
fn every_method_runs_in_pieces_and_pieces_save_memory() {
    for method in MethodKind::ALL {
        let config = Config { taps_steps: 2, ..config(method, 4) };
        let moments = gradients(&config);
        assert!(moments.iter().all(|(_, m)| m.iter().all(|v| v.is_finite())), "{}", method.name());
    }
    let bytes = |pieces: usize| {
        let config = Config { arch: "cnn7-narrow".into(), batch: 64, ..Config::default() };
        let config = Config { method: MethodKind::Sabr, pieces, ..config }.resolve().expect("settings");
        let network = network_for(&config, &dataset()).expect("a network");
        let phase = Phase { natural: false, robust: true, annealing: false };
        plan_step(&network, &config, phase).expect("a plan").slot_bytes()
    };
    assert!(bytes(8) < bytes(1) * 3 / 4, "{} {}", bytes(8), bytes(1));
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let refused = |config: Config, part: &str| {
        let error = config.resolve().expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(Config { pieces: 3, ..Config::default() }, "divisor");
    refused(Config { pieces: 0, ..Config::default() }, "pieces = 0");
    refused(Config { pieces: 2, method: MethodKind::Pgd, ..Config::default() }, "bn_stats");
}

/// A batch norm on the images themselves: its statistics over the split are those of the pixels.
#[test]
fn population_statistics_are_those_of_the_split() {
    let layers = vec![Layer::BatchNorm, Layer::Flatten, Layer::Linear { outputs: 10 }];
    let options = LoadOptions { limit: Some(100), validation: Some(0), ..LoadOptions::default() };
    let dataset = Arc::new(load("embedded", &options).expect("data"));
    let running = |population_statistics: bool| {
        let config = Config { population_statistics, layers: Some(layers.clone()), ..config(MethodKind::Std, 1) };
        let mut trainer = Trainer::new(&config, dataset.clone(), Box::new(CpuSession::new()), None).expect("a trainer");
        pollster::block_on(trainer.run(&mut Quiet)).expect("a run");
        ["0.running_mean", "0.running_var"]
            .map(|name| pollster::block_on(read_state_f32(trainer.session(), &state_name(name))).expect("a state")[0])
    };
    // Three whole batches; the last four images fill none.
    let (mut mean, mut variance) = (0.0, 0.0);
    for batch in dataset.train.images.chunks_exact(BATCH * 784) {
        let values: Vec<f64> = batch.iter().map(|&p| f64::from(p) / 255.0).collect();
        let m = values.iter().sum::<f64>() / values.len() as f64;
        mean += m / 3.0;
        variance += values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (values.len() - 1) as f64 / 3.0;
    }
    let slack = (BATCH * 784) as f64 * f64::from(f32::EPSILON);
    let [m, v] = running(true).map(f64::from);
    assert!((m - mean).abs() < slack * mean && (v - variance).abs() < slack * variance, "{m} {mean} {v} {variance}");
    let [m, _] = running(false).map(f64::from);
    assert!((m - mean).abs() > 0.1 * mean, "statistics that move by a tenth a step are far from it");
}
