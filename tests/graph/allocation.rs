//! A run of a compiled program on the native device takes no memory from the heap.

use smallbox::device::cpu::CpuSession;
use smallbox::device::{Feed, Session};
use smallbox::nn::architecture;
use smallbox::train::step::{Phase, plan_step};
use smallbox::train::{Config, MethodKind};

use crate::common::allocation;
use crate::common::run::zeros;

/// Heap allocations of a training step after the first: the fewest of five, since what a step needs it needs every time, while
/// a thread of the pool takes memory once, when it first looks for the work of another, which on a busy machine may be late.
fn allocations_of_steps(method: MethodKind) -> usize {
    let network = architecture("cnn3", [1, 28, 28], 10, &[0.1], &[0.3]).expect("a network");
    let config = Config { method, batch: 16, attack_steps: 3, taps_steps: 3, ..Config::default() };
    let config = config.resolve().expect("settings");
    // The phase of more work: with the regulariser, or with the attack in the latent box.
    let annealing = method.propagates_boxes() && !method.is_taps();
    let phase = Phase { natural: false, robust: true, annealing };
    let plan = plan_step(&network, &config, phase).expect("a plan");
    let zeros = zeros(&plan);
    let feeds: Vec<Feed<'_>> = zeros.iter().map(|(name, words)| (name.as_str(), bytemuck::cast_slice(words))).collect();
    let mut session = CpuSession::new();
    let program = session.compile(&plan).expect("a program");
    session.run(program, &feeds).expect("a step");
    let mut step = || {
        let before = allocation::counted();
        session.run(program, &feeds).expect("a step");
        allocation::counted() - before
    };
    (0..5).map(|_| step()).min().expect("five steps")
}

#[test]
fn a_training_step_allocates_nothing() {
    let watch = |_| allocation::watch_this_thread();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).start_handler(watch).build().expect("a pool");
    pool.install(|| {
        // The count counts.
        let before = allocation::counted();
        drop(std::hint::black_box(vec![1u8; 1000]));
        assert_eq!(allocation::counted() - before, 1);
        for method in MethodKind::ALL {
            assert_eq!(allocations_of_steps(method), 0, "{}", method.name());
        }
    });
}
