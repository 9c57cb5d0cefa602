//! Adam, the L1 penalty, and three whole training steps.

use smallbox::device::{Session, read_state_f32, write_state_f32};
use smallbox::graph::Plan;
use smallbox::nn::state_name;
use smallbox::ops::{self, AdamSpec};
use smallbox::train::regulariser::l1_penalty;
use smallbox::train::step::{self, Phase, RECORD, RECORD_COLUMNS, input, plan_step};
use smallbox::train::{Config, MethodKind};

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
    let phase = Phase { natural: false, robust: true, regularised: false };
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
