//! SABR's attack, step by step and whole, and its small box.

use smallbox::graph::Value;
use smallbox::interval::{Bounds, small_box};
use smallbox::nn::Bound;
use smallbox::ops::{self, PgdRegion, ReduceKind};
use smallbox::train::attack::{AttackSpec, attack_from};

use super::Golden;
use super::net::check_box;
use crate::common::device;
use crate::common::run::{Case, run};
use crate::common::tensor::Tensor;

fn hyper(golden: &Golden, key: &str) -> f64 {
    golden.info["hyper"][key].as_f64().unwrap_or_else(|| panic!("hyper without {key}"))
}

fn steps(golden: &Golden) -> Vec<f32> {
    let steps = golden.info["hyper"]["rel_steps"].as_array().expect("rel_steps");
    steps.iter().map(|s| s.as_f64().expect("a number") as f32).collect()
}

fn scalar(case: &mut Case, x: f64) -> Value {
    case.input(&Tensor::filled([1], x))
}

#[test]
fn the_region_is_the_ball_cut_with_the_unit_cube() {
    let Some(golden) = Golden::open("sabr") else { return };
    device::each(|session| {
        let got = run(session, |c| {
            let (x, epsilon) = (c.input(golden.tensor("x")), scalar(c, hyper(&golden, "eps")));
            let ball = Bounds::ball(&mut c.graph, x, epsilon)?;
            c.output("lower", ball.lower);
            c.output("upper", ball.upper);
            Ok(())
        });
        golden.assert("pgd.lb", &got.tensor("lower"));
        golden.assert("pgd.ub", &got.tensor("upper"));
    });
}

/// Each step from the stored iterate, so that errors don't build up.
#[test]
fn every_attack_step_from_its_stored_iterate() {
    let Some(golden) = Golden::open("sabr") else { return };
    let network = golden.network();
    let lengths = steps(&golden);
    device::each(|session| {
        for i in 0..golden.count("pgd.x.") {
            let name = |part: &str| format!("pgd.{part}.{i}");
            let got = run(session, |c| {
                let parameters = golden.parameters(c, &network, "param");
                let labels = c.labels(golden.labels("labels"));
                let [x, lower, upper] =
                    [name("x").as_str(), "pgd.lb", "pgd.ub"].map(|stored| c.input(golden.tensor(stored)));
                let logits = Bound::with_values(&network, parameters).forward(&mut c.graph, x)?;
                let losses = ops::cross_entropy(&mut c.graph, logits, labels)?;
                c.output("logits", logits);
                c.output("ce", losses);
                let Some(&length) = lengths.get(i) else { return Ok(()) };
                let g = &mut c.graph;
                let sum = ops::sum_all(g, losses)?;
                let grad = ops::gradients(g, sum, &[x])?[0].expect("the loss depends on x");
                let width = ops::sub(g, upper, lower)?;
                let widest = ops::reduce_all(g, ReduceKind::Max, width)?;
                let reach = ops::scale(g, widest, 0.5)?;
                let done = ops::fill(g, 0.0, [1])?;
                let next = ops::pgd_step(g, x, grad, PgdRegion { lower, upper, reach }, done, length)?;
                c.output("grad", grad);
                c.output("next", next);
                Ok(())
            });
            golden.assert(&name("logits"), &got.tensor("logits"));
            golden.assert(&name("ce"), &got.tensor("ce"));
            if i < lengths.len() {
                golden.assert(&name("grad"), &got.tensor("grad"));
                golden.assert(&format!("pgd.x.{}", i + 1), &got.tensor("next"));
            }
        }
    });
}

/// The whole attack from the stored noise: its last iterate, and the point that training uses.
#[test]
fn the_whole_attack() {
    let Some(golden) = Golden::open("sabr") else { return };
    let network = golden.network();
    let spec = AttackSpec { step_lengths: steps(&golden), project_start: false, restarts: 1 };
    device::each(|session| {
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, "param");
            let labels = c.labels(golden.labels("labels"));
            let [x, noise] = ["x", "noise"].map(|stored| c.input(golden.tensor(stored)));
            let epsilon = scalar(c, hyper(&golden, "eps"));
            let region = Bounds::ball(&mut c.graph, x, epsilon)?;
            let bound = Bound::with_values(&network, parameters);
            let attacked = attack_from(&mut c.graph, &bound, x, labels, region, &spec, noise)?;
            c.output("last", attacked.last);
            c.output("point", attacked.point);
            Ok(())
        });
        golden.assert("pgd.last", &got.tensor("last"));
        golden.assert("pgd.best", &got.tensor("point"));
    });
}

#[test]
fn step_lengths_are_the_training_attacks() {
    let Some(golden) = Golden::open("sabr") else { return };
    assert_eq!(AttackSpec::training(steps(&golden).len(), 0.5).step_lengths, steps(&golden));
}

/// From the stored point to box, losses and gradients.
#[test]
fn small_boxes_of_the_last_and_the_chosen_iterate() {
    let Some(golden) = Golden::open("sabr") else { return };
    let tau = hyper(&golden, "tau");
    device::each(|session| {
        for which in ["last", "best"] {
            for faithful_border in [false, true] {
                let got = run(session, |c| {
                    let [point, lower, upper] =
                        [&format!("pgd.{which}"), "pgd.lb", "pgd.ub"].map(|stored| c.input(golden.tensor(stored)));
                    let tau = scalar(c, tau);
                    let region = Bounds { lower, upper };
                    let small = small_box(&mut c.graph, point, region, tau, faithful_border)?;
                    c.output("c", small.center);
                    c.output("r", small.radius);
                    Ok(())
                });
                golden.assert(&format!("{which}.c"), &got.tensor("c"));
                golden.assert(&format!("{which}.r"), &got.tensor("r"));
            }
            check_box(session, &golden, which);
        }
    });
}
