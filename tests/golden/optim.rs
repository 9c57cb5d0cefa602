//! Adam, the L1 penalty, and three whole training steps.

use smallbox::device::{Session, read_state_f32, write_state_f32};
use smallbox::graph::Plan;
use smallbox::nn::state_name;
use smallbox::ops::{self, AdamSpec};
use smallbox::train::clip::clip_gradients;
use smallbox::train::regulariser::l1_penalty;
use smallbox::train::step::{self, Phase, RECORD, RECORD_COLUMNS, input, plan_step};
use smallbox::train::{Config, MethodKind, Optimizer};

use super::{Golden, one};
use crate::common::device;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// Constants that the README of the vectors gives for `adam`.
const LR: f64 = 5e-4;

#[test]
fn adam() {
    let Some(golden) = Golden::open("optim") else { return };
    device::each(|session| {
        for (prefix, weight_decay) in [("adam", 0.0), ("adam_wd", 0.01)] {
            let spec = AdamSpec { weight_decay, ..AdamSpec::default() };
            let p0 = golden.tensor("p0").clone();
            let zero = p0.map(|_| 0.0);
            let mut at = [p0, zero.clone(), zero];
            for t in 0..golden.count("g.") {
                let got = run(session, |c| {
                    let states = [c.state("p", &at[0]), c.state("m", &at[1]), c.state("v", &at[2])];
                    let grad = c.input(golden.tensor(&format!("g.{t}")));
                    let rates = spec.rates(LR, t as u64 + 1).map(f64::from);
                    let rates = c.input(&Tensor::new([2], rates.into()));
                    ops::adam(&mut c.graph, spec, states, grad, rates)
                });
                at = ["p", "m", "v"].map(|name| got.state(name));
                for (name, state) in ["p", "m", "v"].iter().zip(&at) {
                    golden.assert(&format!("{prefix}.{name}.{t}"), state);
                }
            }
        }
    });
}

/// Parameters after each of eight steps of `torch.optim.RAdam` (2.8, f64, lr 0.1) from (1, −2) along (t/2, −1/4): five plain ones,
/// then rectified ones.
const RADAM: [[f64; 2]; 8] = [
    [0.950000000, -1.975000000],
    [0.873684211, -1.950000000],
    [0.770178675, -1.925000000],
    [0.638614267, -1.900000000],
    [0.478128565, -1.875000000],
    [0.475607308, -1.872417890],
    [0.472375941, -1.869144010],
    [0.468508116, -1.865270184],
];

#[test]
fn radam() {
    device::each(|session| {
        let spec = AdamSpec::default();
        let mut at = [vec![1.0, -2.0], vec![0.0; 2], vec![0.0; 2]].map(|data| Tensor::new([2], data));
        for (i, want) in RADAM.iter().enumerate() {
            let t = i as u64 + 1;
            let got = run(session, |c| {
                let states = [c.state("p", &at[0]), c.state("m", &at[1]), c.state("v", &at[2])];
                let grad = c.input(&Tensor::new([2], vec![0.5 * t as f64, -0.25]));
                let rates = c.input(&Tensor::new([2], Optimizer::Radam.rates(0.1, t).map(f64::from).into()));
                ops::adam(&mut c.graph, spec, states, grad, rates)
            });
            at = ["p", "m", "v"].map(|name| got.state(name));
            for (got, want) in at[0].data.iter().zip(want) {
                // Some ten roundings a step, of numbers up to 2.
                let bound = 2.0 * 10.0 * t as f64 * f64::from(f32::EPSILON);
                assert!((got - want).abs() <= bound, "step {t}: {got} and {want}");
            }
        }
    });
    // Adam itself would be elsewhere from the first step on.
    assert_ne!(Optimizer::Adam.rates(0.1, 1), Optimizer::Radam.rates(0.1, 1));
}

#[test]
fn gradients_are_clipped_together() {
    let Some(golden) = Golden::open("optim") else { return };
    device::each(|session| {
        // The stored results are numbered in the order of clipping, g.1 first.
        let got = run(session, |c| {
            let grads = ["g.1", "g.0"].map(|name| c.input(golden.tensor(name)));
            let clipped = clip_gradients(&mut c.graph, &grads, 1.0)?;
            let loose = clip_gradients(&mut c.graph, &grads, 1e6)?;
            for (name, value) in ["clip.g0", "clip.g1", "loose.g1", "loose.g0"].iter().zip(clipped.iter().chain(&loose))
            {
                c.output(name, *value);
            }
            Ok(())
        });
        assert!(golden.scalar("clip.norm") > 1.0);
        for name in ["clip.g0", "clip.g1"] {
            golden.assert(name, &got.tensor(name));
        }
        // Gradients within the limit stay as they are.
        assert_eq!(&got.tensor("loose.g1"), golden.tensor("g.1"));
        assert_eq!(&got.tensor("loose.g0"), golden.tensor("g.0"));
    });
}

#[test]
fn l1() {
    let Some(golden) = Golden::open("optim") else { return };
    device::each(|session| {
        let got = run(session, |c| {
            let p = c.input(golden.tensor("p0"));
            let penalty = l1_penalty(&mut c.graph, &[p], 1.0)?;
            c.output("value", penalty);
            c.gradients(&[penalty], &[one()], &[p])
        });
        golden.assert("l1.value", &got.tensor("value"));
        golden.assert("l1.grad", &got.tensor("grad0"));
    });
}

/// The plan of a training step and its states, run three times.
#[test]
fn three_training_steps() {
    let Some(golden) = Golden::open("optim") else { return };
    let network = golden.network();
    let (epsilon, lr) = (0.1, 5e-3);
    let batch = golden.labels("train.labels").len();
    let config = Config { method: MethodKind::Ibp, batch, l1: 1e-3, epsilon, lr, ..Config::default() };
    let phase = Phase { natural: false, robust: true, annealing: false };
    let plan = plan_step(&network, &config, phase).expect("a plan");
    device::each(|session| check_steps(session, &golden, &plan, (epsilon as f32, lr)));
}

fn check_steps(session: &mut dyn Session, golden: &Golden, plan: &Plan, (epsilon, lr): (f32, f64)) {
    let network = golden.network();
    let program = session.compile(plan).expect("compiles");
    for p in network.parameters() {
        let start = golden.tensor(&format!("train.param0.{}", p.name)).to_f32();
        write_state_f32(session, &state_name(&p.name), &start).expect("a state of the plan");
    }
    let x = golden.tensor("train.x").to_f32();
    let steps = golden.count("train.loss.");
    assert!(steps > 0);
    for t in 0..steps {
        let rates = AdamSpec::default().rates(lr, t as u64 + 1);
        let feeds: Vec<(&str, &[u8])> = vec![
            (input::X, bytemuck::cast_slice(&x)),
            (input::LABELS, bytemuck::cast_slice(golden.labels("train.labels"))),
            (input::EPSILON, bytemuck::bytes_of(&epsilon)),
            (input::KAPPA, bytemuck::bytes_of(&0.0f32)),
            (input::FADE, bytemuck::bytes_of(&0.0f32)),
            (input::RATES, bytemuck::cast_slice(&rates)),
            (input::KEY, bytemuck::bytes_of(&[0u32; 4])),
            (input::ROW, bytemuck::bytes_of(&0u32)),
        ];
        session.run(program, &feeds).expect("runs");
        let record = pollster::block_on(read_state_f32(session, RECORD)).expect("the record");
        assert_eq!(record.len(), step::RECORD_ROWS * RECORD_COLUMNS);
        golden.assert(&format!("train.loss.{t}"), &Tensor::filled([1], f64::from(record[0])));
        for p in network.parameters() {
            let state = pollster::block_on(read_state_f32(session, &state_name(&p.name))).expect("a parameter");
            let got = Tensor::new(p.shape.dims(), state.into_iter().map(f64::from).collect());
            golden.assert(&format!("train.param{}.{}", t + 1, p.name), &got);
        }
    }
    session.release(program);
}
