//! Whole runs on tiny data: agreement of devices, determinism, resume, divergence, plans without waits.

use std::sync::Arc;

use smallbox::data::{Dataset, LoadOptions, load};
use smallbox::device::cpu::CpuSession;
use smallbox::device::{Feed, Session, read_state_f32};
use smallbox::error::{Error, Result};
use smallbox::nn::{Layer, Network, initial_values, state_name};
use smallbox::train::checkpoint::{load_tensors, write_tensors};
use smallbox::train::step::{Phase, RECORD, input, plan_step};
use smallbox::train::{
    BnStats, Config, EpochMetrics, MethodKind, Observer, Outcome, Progress, RunDirectory, SliceRates, SmallBox,
    StepBench, Stop, Trainer, Work,
};

use crate::common::device;
use crate::common::random::Random;
use crate::common::run::zeros;

fn dataset() -> Arc<Dataset> {
    let options = LoadOptions { limit: Some(96), validation: Some(32), ..LoadOptions::default() };
    Arc::new(load("embedded", &options).expect("the embedded dataset needs no files"))
}

/// Three epochs (natural, annealing, full) of three batches.
fn config(method: MethodKind) -> Config {
    let config = Config {
        method,
        epochs: 3,
        batch: 32,
        lr: 2e-3,
        epsilon_end_epoch: Some(3),
        eval_attack_steps: 2,
        taps_steps: 3,
        ..Config::default()
    };
    config.resolve().expect("a valid configuration")
}

/// Stops before step `at`, if given; keeps what it was told.
#[derive(Default)]
struct Watch {
    stop_at: Option<(u64, Stop)>,
    seen: std::cell::Cell<u64>,
    epochs: Vec<EpochMetrics>,
    last_loss: f64,
}

impl Observer for Watch {
    fn step(&mut self, progress: &Progress) {
        self.last_loss = progress.loss;
    }
    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.epochs.push(metrics.clone());
    }
    fn stop(&self) -> Stop {
        self.seen.set(self.seen.get() + 1);
        match self.stop_at {
            Some((at, stop)) if self.seen.get() > at => stop,
            _ => Stop::No,
        }
    }
}

fn train(config: &Config, session: Box<dyn Session>) -> Result<(Trainer, Outcome, Watch)> {
    let mut trainer = Trainer::new(config, dataset(), session, None)?;
    let mut watch = Watch::default();
    let outcome = pollster::block_on(trainer.run(&mut watch))?;
    Ok((trainer, outcome, watch))
}

/// All parameters and running statistics, as bits.
fn weights(trainer: &mut Trainer) -> Vec<u32> {
    let names: Vec<String> = trainer.network().tensors().map(|(name, _)| state_name(name)).collect();
    let read = |name: &String| pollster::block_on(read_state_f32(trainer.session(), name)).expect("a state");
    names.iter().flat_map(read).map(f32::to_bits).collect()
}

#[test]
fn every_method_trains_and_repeats_bit_for_bit() {
    for method in MethodKind::ALL {
        let config = config(method);
        let (mut first, outcome, watch) = train(&config, Box::new(CpuSession::new())).expect("a run");
        let (mut second, ..) = train(&config, Box::new(CpuSession::new())).expect("a run");
        assert_eq!(outcome.steps, 9);
        assert_eq!(watch.epochs.len(), 3);
        assert_eq!(weights(&mut first), weights(&mut second), "{}", method.name());
        let other = Config { seed: 1, ..config };
        let (mut third, ..) = train(&other, Box::new(CpuSession::new())).expect("a run");
        assert_ne!(weights(&mut first), weights(&mut third), "another seed must give other weights");
    }
}

#[test]
fn a_run_interrupted_in_the_middle_of_an_epoch_resumes_bit_for_bit() {
    let config = config(MethodKind::Sabr);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut whole, outcome, _) = recorded(&config, &folder.path().join("whole"));
    let best = std::fs::read(folder.path().join("whole/best.safetensors")).expect("the best epoch's weights");
    for stop_at in [0, 1, 4, 8] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run");
        let session = CpuSession::new();
        let run = RunDirectory::create(&path, &config, session.device()).expect("a run directory");
        let mut trainer = Trainer::new(&config, dataset(), Box::new(session), Some(run)).expect("a trainer");
        let mut watch = Watch { stop_at: Some((stop_at, Stop::Interrupted)), ..Watch::default() };
        let stopped = pollster::block_on(trainer.run(&mut watch));
        assert!(matches!(stopped, Err(Error::Interrupted(_))), "stopped before step {stop_at}");

        let (run, stored) = RunDirectory::open(&path).expect("the run directory opens");
        assert_eq!(Config { run: None, ..stored.clone() }, config);
        let mut resumed =
            Trainer::resume(run, &stored, dataset(), Box::new(CpuSession::new())).expect("the run resumes");
        let again = pollster::block_on(resumed.run(&mut Watch::default())).expect("the run ends");
        assert_eq!(weights(&mut whole), weights(&mut resumed), "stopped before step {stop_at}");
        assert_eq!((outcome.loss.to_bits(), outcome.test), (again.loss.to_bits(), again.test));
        assert!(outcome.best.is_some() && outcome.best == again.best, "{:?} and {:?}", outcome.best, again.best);
        assert!(std::fs::read(path.join("best.safetensors")).expect("the best epoch's weights") == best);
        let lines = std::fs::read_to_string(path.join("metrics.jsonl")).expect("metrics");
        let epochs: Vec<u64> = lines
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["epoch"].as_u64().expect("a number"))
            .collect();
        assert_eq!(epochs, [1, 2, 3], "each epoch once");
    }
}

/// A whole run that is recorded in the directory `path`.
fn recorded(config: &Config, path: &std::path::Path) -> (Trainer, Outcome, Watch) {
    let session = CpuSession::new();
    let run = RunDirectory::create(path, config, session.device()).expect("a run directory");
    let mut trainer = Trainer::new(config, dataset(), Box::new(session), Some(run)).expect("a trainer");
    let mut watch = Watch::default();
    let outcome = pollster::block_on(trainer.run(&mut watch)).expect("the run ends");
    (trainer, outcome, watch)
}

/// A run whose learning rate falls to nothing keeps its best epoch when a worse one follows, across an interruption as well.
#[test]
fn the_best_epoch_is_chosen_by_the_validation_split_at_the_full_radius() {
    const EPOCHS: u32 = 12;
    let mut chosen = Vec::new();
    for (method, figure) in [
        (MethodKind::Ibp, (|rates: &SliceRates| rates.ibp) as fn(&SliceRates) -> f64),
        (MethodKind::Pgd, |rates: &SliceRates| rates.adversarial),
    ] {
        let config = Config { epsilon: 0.02, epochs: EPOCHS, batch: 16, lr: 1e-2, ..config(method) };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run");
        let (_, outcome, watch) = recorded(&config, &path);
        let at_full: Vec<&EpochMetrics> = watch.epochs.iter().filter(|m| m.epsilon == config.epsilon).collect();
        assert_eq!(at_full[0].epoch, 3, "epoch 3 is the first at the full radius");
        let rate = |m: &EpochMetrics| figure(&m.validation.expect("validation images"));
        let expected = at_full.iter().fold(at_full[0], |best, m| if rate(m) >= rate(best) { m } else { best });
        let best = outcome.best.expect("a best epoch");
        assert_eq!(best.epoch, expected.epoch, "{}", method.name());
        chosen.push(best.epoch);
        assert_eq!(SliceRates::from(best.validation()), expected.validation.expect("validation images"));

        // The file holds the weights of that epoch: those of a run that ends with it.
        let shorter = Config { epochs: best.epoch, ..config.clone() };
        recorded(&shorter, &folder.path().join("shorter"));
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a model");
        assert!(read("run/best.safetensors") == read("shorter/model.safetensors"), "{}", method.name());
    }
    assert!(chosen.iter().any(|&epoch| epoch < EPOCHS), "{chosen:?}: the last epoch is always the best here, no test");
}

#[test]
fn without_validation_or_the_full_radius_there_is_no_best_epoch() {
    let settings = config(MethodKind::Sabr);
    let never_full = Config { epsilon_end_epoch: Some(4), ..settings.clone() };
    let (_, outcome, _) = train(&never_full, Box::new(CpuSession::new())).expect("a run");
    assert_eq!(outcome.best, None);

    let options = LoadOptions { limit: Some(96), validation: Some(0), ..LoadOptions::default() };
    let data = Arc::new(load("embedded", &options).expect("the embedded dataset needs no files"));
    let mut trainer = Trainer::new(&settings, data, Box::new(CpuSession::new()), None).expect("a trainer");
    let outcome = pollster::block_on(trainer.run(&mut Watch::default())).expect("the run ends");
    assert_eq!(outcome.best, None);
}

/// A small box lies within the ε box, so no fewer samples are certified over it; with λ = 1 it is the ε box.
#[test]
fn the_small_box_is_certified_at_least_as_often_as_the_whole_one() {
    let rates = |lambda| {
        let settings = config(MethodKind::Sabr);
        let config = Config { lambda, epsilon: 0.03, epochs: 10, batch: 16, lr: 5e-3, ..settings };
        let (_, _, watch) = train(&config, Box::new(CpuSession::new())).expect("a run");
        let last = watch.epochs.last().expect("epochs").clone();
        [last.train, last.validation.expect("validation images")]
    };
    for rates in rates(0.05) {
        assert!(rates.small_box.expect("sabr has a small box") > rates.ibp, "{rates:?}");
    }
    for rates in rates(1.0) {
        assert!(rates.ibp > 0.0 && rates.small_box == Some(rates.ibp), "{rates:?}");
    }
    for method in MethodKind::ALL {
        let has_one = matches!(method, MethodKind::Sabr | MethodKind::Staps);
        assert_eq!(SmallBox::of(&config(method)).is_some(), has_one, "{}", method.name());
    }
}

/// Running statistics belong to the checkpoint, move with every step, and are what the model file and the evaluation hold.
#[test]
fn a_network_with_batch_norm_resumes_bit_for_bit_and_reloads() {
    let config = Config { arch: "cnn7-narrow".into(), epochs: 2, ..config(MethodKind::Sabr) };
    let config = Config { epsilon_end_epoch: None, lr_milestones: None, ..config }.resolve().expect("settings");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run");
    let whole = || {
        let mut trainer = Trainer::new(&config, dataset(), Box::new(CpuSession::new()), None).expect("a trainer");
        let outcome = pollster::block_on(trainer.run(&mut Watch::default())).expect("a run");
        (trainer, outcome)
    };
    let (mut trainer, outcome) = whole();
    let read = |trainer: &mut Trainer, name: &str| {
        pollster::block_on(read_state_f32(trainer.session(), &state_name(name))).expect("a state")
    };
    assert!(read(&mut trainer, "1.running_mean").iter().all(|&m| m != 0.0));
    assert!(read(&mut trainer, "1.running_var").iter().all(|&v| v > 0.0 && v != 1.0));

    let session = CpuSession::new();
    let run = RunDirectory::create(&path, &config, session.device()).expect("a run directory");
    let mut cut = Trainer::new(&config, dataset(), Box::new(session), Some(run)).expect("a trainer");
    let mut watch = Watch { stop_at: Some((3, Stop::Interrupted)), ..Watch::default() };
    assert!(pollster::block_on(cut.run(&mut watch)).is_err());
    let (run, stored) = RunDirectory::open(&path).expect("the run directory opens");
    let mut resumed = Trainer::resume(run, &stored, dataset(), Box::new(CpuSession::new())).expect("the run resumes");
    let again = pollster::block_on(resumed.run(&mut Watch::default())).expect("the run ends");
    assert_eq!(weights(&mut trainer), weights(&mut resumed));
    assert_eq!(outcome.test, again.test);

    // What the file holds is the whole network.
    let network = trainer.network().clone();
    let loaded = load_tensors(&path.join("model.safetensors"), &network).expect("the model loads");
    let bits: Vec<u32> = loaded.iter().flat_map(|(_, values)| values.iter().map(|v| v.to_bits())).collect();
    assert_eq!(bits, weights(&mut trainer));
}

/// One step of any method moves the running statistics by the clean batch, once: all methods agree to the bit, and a second
/// step moves them again.
#[test]
fn running_statistics_follow_the_clean_batch_alone() {
    let layers = vec![
        Layer::Conv2d { features: 4, kernel: 3, stride: 2, padding: 1 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 6 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Linear { outputs: 10 },
    ];
    let network = Network::new("tiny", [1, 9, 9], 10, layers).expect("the layers fit");
    let random = &mut Random::new(11);
    let images = random.tensor([8, 1, 9, 9], 0.0, 1.0).to_f32();
    let labels = random.labels(8, 10);
    device::each(|session| {
        let id = session.device().id.clone();
        let mut seen: Vec<[Vec<f32>; 2]> = Vec::new();
        for method in MethodKind::ALL {
            for stats in [BnStats::Clean, BnStats::Adversarial] {
                let config = Config { bn_stats: Some(stats), batch: 8, attack_steps: 2, ..config(method) };
                let phase = Phase { natural: false, robust: true, annealing: method.propagates_boxes() };
                let plan = plan_step(&network, &config, phase).expect("a plan");
                let program = session.compile(&plan).expect("a program");
                let initial = initial_values(&network, true, 3);
                write_tensors(session, &network, &initial).expect("states");
                let mut feeds = zeros(&plan);
                for (name, words) in &mut feeds {
                    match name.as_str() {
                        input::X => words.copy_from_slice(bytemuck::cast_slice(&images)),
                        input::LABELS => words.copy_from_slice(&labels),
                        input::EPSILON | input::FADE => *words = vec![0.1f32.to_bits()],
                        _ => {}
                    }
                }
                let feeds: Vec<Feed<'_>> =
                    feeds.iter().map(|(name, words)| (name.as_str(), bytemuck::cast_slice(words))).collect();
                let mut after = || {
                    session.run(program, &feeds).expect("a step");
                    let mut read =
                        |name: &str| pollster::block_on(read_state_f32(session, &state_name(name))).expect("a state");
                    ["1.running_mean", "5.running_var"].map(&mut read)
                };
                let (once, twice) = (after(), after());
                assert_ne!(once, twice, "{} on {id}", method.name());
                seen.push(once);
                session.release(program);
            }
        }
        assert!(seen.windows(2).all(|w| w[0] == w[1]), "{id}: {seen:?}");
    });
}

#[test]
fn time_over_saves_and_still_evaluates() {
    let config = config(MethodKind::Ibp);
    let mut trainer = Trainer::new(&config, dataset(), Box::new(CpuSession::new()), None).expect("a trainer");
    let mut watch = Watch { stop_at: Some((4, Stop::TimeOver)), ..Watch::default() };
    let outcome = pollster::block_on(trainer.run(&mut watch)).expect("an outcome");
    assert!(!outcome.complete);
    assert_eq!((outcome.steps, outcome.epochs, outcome.test.images), (4, 1, 96));
}

#[test]
fn a_diverging_run_stops_and_names_step_and_layer() {
    let config = Config { lr: 1e30, ..config(MethodKind::Std) };
    match train(&config, Box::new(CpuSession::new())) {
        Err(error @ Error::Diverged { .. }) => {
            assert_eq!(error.exit_code(), 6);
            let text = error.to_string();
            assert!(text.contains("step") && (text.contains(".weight") || text.contains(".bias")), "{text}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("a learning rate of 1e30 must not train"),
    }
}

/// Steps that both devices take.
const STEPS: usize = 10;

/// Losses of [`STEPS`] steps of `method` on fixed random data.
fn losses(session: &mut dyn Session, method: MethodKind) -> Vec<f64> {
    let config =
        Config { method, batch: 16, lr: 1e-3, epsilon: 0.05, attack_steps: 3, taps_steps: 2, ..Config::default() };
    let mut bench = StepBench::new(session, &config.resolve().expect("valid"), Work::Step).expect("a step");
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        bench.queue(session).expect("queued");
        losses.push(f64::from(pollster::block_on(bench.wait(session)).expect("a loss")));
    }
    losses
}

#[test]
fn ten_steps_give_the_same_losses_on_both_devices() {
    // One session for all methods: their programs share most kernels, which a software adapter compiles slowly.
    let all = |session: &mut dyn Session| {
        MethodKind::ALL.map(|method| {
            for (name, ty) in session.states() {
                session.write_state(&name, &vec![0; ty.elements()]).expect("a state");
            }
            losses(session, method)
        })
    };
    let native = all(&mut CpuSession::new());
    device::each(|session| {
        for ((method, native), got) in MethodKind::ALL.iter().zip(&native).zip(all(session)) {
            for (step, (a, b)) in native.iter().zip(&got).enumerate() {
                // One step's loss is a sum over at most 1 568 products a layer: relative rounding of some 1e-5 in the worst
                // case; Adam's first steps have length lr whatever the gradient's size, so a gradient that is rounding noise
                // may go either way. Ten steps of 1e-3 stay well within 1 % of the loss.
                let bound = 1e-2 * a.abs() * (step + 1) as f64 / STEPS as f64 + 1e-4;
                let name = session.device().name.clone();
                assert!((a - b).abs() <= bound, "{} on {name}, step {}: {a} and {b}", method.name(), step + 1);
            }
        }
    });
    for losses in native {
        assert!(losses.windows(2).any(|w| w[0] != w[1]), "the parameters must move");
    }
}

#[test]
fn a_timed_step_can_keep_its_parameters() {
    device::each(|session| {
        let config = Config { method: MethodKind::Std, batch: 4, ..Config::default() }.resolve().expect("valid");
        let losses = |mut bench: StepBench, session: &mut dyn Session| {
            [(); 3].map(|()| {
                bench.queue(session).expect("queued");
                pollster::block_on(bench.wait(session)).expect("a loss")
            })
        };
        let bench = StepBench::new(session, &config, Work::Step).expect("a step").keeping_parameters();
        let kept = losses(bench, session);
        assert!(kept[0].is_finite() && kept.iter().all(|&loss| loss == kept[0]), "{kept:?}");
        let bench = StepBench::new(session, &config, Work::Step).expect("a step");
        let moved = losses(bench, session);
        assert!(moved[0] == kept[0] && moved[1] != moved[0], "the same network, that learns: {moved:?}");
    });
}

#[test]
fn a_step_is_one_program_without_a_wait_and_reuses_its_buffers() {
    let config = config(MethodKind::Sabr);
    let dataset = dataset();
    let network = smallbox::train::network_for(&config, &dataset).expect("a network");
    let phase = Phase { natural: false, robust: true, annealing: true };
    let plan = plan_step(&network, &config, phase).expect("a plan");
    let separate: usize = plan.steps.iter().flat_map(|s| s.signature.outputs.iter()).map(|t| t.bytes()).sum();
    assert!(plan.slot_bytes() * 3 < separate, "{} of {separate} bytes", plan.slot_bytes());
    device::each(|session| {
        let program = session.compile(&plan).expect("compiles");
        assert!(session.program_info(program).launches.len() >= plan.steps.len());
        let zeros = zeros(&plan);
        let feeds: Vec<Feed<'_>> =
            zeros.iter().map(|(name, words)| (name.as_str(), bytemuck::cast_slice(words))).collect();
        for _ in 0..3 {
            session.run(program, &feeds).expect("a step");
        }
        assert_eq!(session.host_waits(), 0);
        // Reading does wait, where the device is not the host itself.
        pollster::block_on(session.read_state(RECORD)).expect("the record");
        assert_eq!(session.host_waits(), usize::from(session.device().id != "cpu"));
        session.release(program);
    });
}
