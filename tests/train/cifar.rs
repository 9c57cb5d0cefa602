//! Steps on real CIFAR-10 batches: a network with batch norm, shrinking, augmentation, on both devices.

use smallbox::data::{Batches, LoadOptions, load};
use smallbox::device::cpu::CpuSession;
use smallbox::device::{Session, read_state_f32, write_state_f32};
use smallbox::nn::{initial_values, state_name};
use smallbox::ops::AdamSpec;
use smallbox::philox::{key, purpose};
use smallbox::train::step::{Phase, RECORD, input, plan_step};
use smallbox::train::{Config, MethodKind, network_for};

use crate::common::device;

const STEPS: usize = 20;
/// Small, since a software adapter takes seconds for a step of this network.
const BATCH: usize = 4;

/// Losses of [`STEPS`] SABR steps at full ε; `None` without the dataset.
fn losses(session: &mut dyn Session, seed: u64) -> Option<Vec<f64>> {
    let data_dir = std::path::PathBuf::from(std::env::var_os("SMALLBOX_DATA_DIR")?);
    if !data_dir.join("cifar10/test_batch.bin").is_file() {
        return None;
    }
    let options = LoadOptions { data_dir: Some(data_dir), limit: Some(1000), ..LoadOptions::default() };
    let dataset = load("cifar10", &options).expect("CIFAR-10");
    let config = Config {
        method: MethodKind::Sabr,
        arch: "cnn7-narrow".into(),
        dataset: "cifar10".into(),
        epsilon: 2.0 / 255.0,
        lambda: 0.1,
        relu_shrinkage: 0.8,
        batch: BATCH,
        attack_steps: 2,
        lr: 1e-4,
        ..Config::default()
    };
    let config = config.resolve().expect("settings");
    let network = network_for(&config, &dataset).expect("a network");
    let phase = Phase { natural: false, robust: true, annealing: false };
    let program = session.compile(&plan_step(&network, &config, phase).expect("a plan")).expect("a program");
    for (name, values) in initial_values(&network, true, seed) {
        write_state_f32(session, &state_name(&name), &values).expect("a state");
    }
    let mut batches =
        Batches::training(&dataset.train, BATCH, config.seed, 1, 0, config.augmentation()).expect("batches");
    let (mut images, mut labels) = (vec![0.0f32; BATCH * 3072], vec![0u32; BATCH]);
    let mut losses = Vec::new();
    for step in 0..STEPS {
        batches.next_into(&mut images, &mut labels).expect("a batch").expect("enough of them");
        let rates = AdamSpec::default().rates(config.lr, step as u64 + 1);
        let [low, high] = key(config.seed);
        let words = [low, high, step as u32, purpose::DEVICE_DRAW];
        let (epsilon, row) = (config.epsilon as f32, step as u32);
        let feeds = [
            (input::X, bytemuck::cast_slice(&images)),
            (input::LABELS, bytemuck::cast_slice(&labels)),
            (input::EPSILON, bytemuck::bytes_of(&epsilon)),
            (input::KAPPA, bytemuck::bytes_of(&0f32)),
            (input::FADE, bytemuck::bytes_of(&0f32)),
            (input::RATES, bytemuck::cast_slice(&rates)),
            (input::KEY, bytemuck::cast_slice(&words)),
            (input::ROW, bytemuck::bytes_of(&row)),
        ];
        session.run(program, &feeds).expect("a step");
    }
    let record = pollster::block_on(read_state_f32(session, RECORD)).expect("the record");
    losses.extend(record.chunks(record.len() / 32).take(STEPS).map(|row| f64::from(row[0])));
    session.release(program);
    Some(losses)
}

#[test]
fn twenty_steps_agree_on_both_devices() {
    let Some(native) = losses(&mut CpuSession::new(), 0) else {
        println!("skipped: no unpacked CIFAR-10 in SMALLBOX_DATA_DIR");
        return;
    };
    assert!(native.iter().all(|loss| loss.is_finite()) && native[0] != native[1]);
    // Rounding of one step is some 1e-5 of the loss. It is amplified where a gradient of nearly 0 has another sign: a pixel of the
    // attack that goes the other way, a parameter whose first steps of Adam do. Twenty steps of 1e-4 move the loss by far less
    // than 2 % in that way.
    let bound = |step: usize, loss: f64| 2e-2 * loss.abs() * (step + 1) as f64 / STEPS as f64 + 1e-4;
    device::each(|session| {
        let got = losses(session, 0).expect("the dataset was there");
        for (step, (a, b)) in native.iter().zip(&got).enumerate() {
            let name = session.device().name.clone();
            assert!((a - b).abs() <= bound(step, *a), "{name}, step {}: {a} and {b}", step + 1);
        }
    });
    // Other weights are further away than that.
    let other = losses(&mut CpuSession::new(), 1).expect("the dataset was there");
    assert!(native.iter().zip(&other).enumerate().any(|(step, (a, b))| (a - b).abs() > bound(step, *a)));
}
