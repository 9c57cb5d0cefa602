//! Batch norm: the training pass with its statistics and gradients, running statistics, evaluation, folding, and boxes with the
//! clean batch's statistics.

use smallbox::device::Session;
use smallbox::error::Result;
use smallbox::graph::Value;
use smallbox::interval::Interval;
use smallbox::nn::{Bound, Network, Statistics};
use smallbox::ops;

use super::{Golden, one};
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::run::{Case, Outcome, run};
use crate::common::tensor::Tensor;

/// Indices of the batch norms in the `nn.Sequential`.
const NORMS: [usize; 3] = [1, 4, 8];

/// The stored running statistics `before` or `after` the training pass.
fn running(c: &mut Case, golden: &Golden, when: &str) -> Vec<Statistics> {
    let mut stored = |kind: &str, i: usize| c.input(golden.tensor(&format!("{when}.running_{kind}.{i}")));
    NORMS.map(|i| Statistics { mean: stored("mean", i), variance: stored("var", i) }).to_vec()
}

/// Holds gradients against the stored ones, biases before a batch norm apart: their gradient under training statistics is
/// exactly 0, which f32 only reaches to rounding of the terms that cancel.
fn assert_gradients(golden: &Golden, network: &Network, got: &Outcome, prefix: &str, others: &[&str], cancels: bool) {
    let names: Vec<&str> = network.parameters().iter().map(|p| p.name.as_str()).chain(others.iter().copied()).collect();
    let largest = names.iter().map(|name| golden.tensor(&format!("{prefix}.{name}")).max_abs()).fold(0.0, f64::max);
    for (i, name) in names.iter().enumerate() {
        let (stored, got) = (format!("{prefix}.{name}"), got.tensor(&format!("grad{i}")));
        if cancels && ["0.bias", "3.bias", "7.bias"].contains(name) {
            let want = Reference::exact(golden.tensor(&stored).clone());
            // Of the largest gradient: 2⁻²⁴ for each of at most 400 terms, doubled.
            assert_close(&format!("bn {stored}"), &got, &want, Closeness::Within(5e-5 * largest));
        } else {
            golden.assert(&stored, &got);
        }
    }
}

#[test]
fn training_pass_statistics_and_gradients() {
    let Some(golden) = Golden::open("bn") else { return };
    let network = golden.network_with(true);
    device::each(|session| {
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, "param");
            let (x, labels) = (c.input(golden.tensor("x")), c.labels(golden.labels("labels")));
            let before = running(c, &golden, "before");
            let g = &mut c.graph;
            let bound = Bound::new(g, &network, parameters.clone(), &before)?;
            let pass = bound.training_pass(g, x)?;
            let after = pass.update(g, &before)?;
            let losses = ops::cross_entropy(g, pass.logits, labels)?;
            let loss = ops::mean_all(g, losses)?;
            for (i, (batch, after)) in NORMS.iter().zip(pass.statistics.iter().zip(&after)) {
                c.output(&format!("batch.mean.{i}"), batch.mean);
                c.output(&format!("batch.var_biased.{i}"), batch.variance);
                c.output(&format!("after.running_mean.{i}"), after.mean);
                c.output(&format!("after.running_var.{i}"), after.variance);
            }
            c.output("train.fwd.10", pass.logits);
            c.output("train.ce", loss);
            let wrt: Vec<Value> = parameters.into_iter().chain([x]).collect();
            c.gradients(&[loss], &[one()], &wrt)
        });
        for i in NORMS {
            for name in ["batch.mean", "batch.var_biased", "after.running_mean", "after.running_var"] {
                golden.assert(&format!("{name}.{i}"), &got.tensor(&format!("{name}.{i}")));
            }
        }
        golden.assert("train.fwd.10", &got.tensor("train.fwd.10"));
        golden.assert("train.ce", &got.tensor("train.ce"));
        assert_gradients(&golden, &network, &got, "train.grad_ce", &["x"], true);
    });
}

#[test]
fn evaluation_and_folding() {
    let Some(golden) = Golden::open("bn") else { return };
    let network = golden.network_with(true);
    device::each(|session| {
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, "param");
            let (x, labels) = (c.input(golden.tensor("x")), c.labels(golden.labels("labels")));
            let after = running(c, &golden, "after");
            let g = &mut c.graph;
            let bound = Bound::new(g, &network, parameters.clone(), &after)?;
            let logits = bound.forward(g, x)?;
            let losses = ops::cross_entropy(g, logits, labels)?;
            let loss = ops::mean_all(g, losses)?;
            let folded = bound.folded(g)?;
            let through_folded = folded.forward(g, x)?;
            c.output("logits", logits);
            c.output("folded logits", through_folded);
            c.output("ce", loss);
            for (p, &value) in network.parameters().iter().zip(folded.values()) {
                c.output(&p.name, value);
            }
            let wrt: Vec<Value> = parameters.into_iter().chain([x]).collect();
            c.gradients(&[loss], &[one()], &wrt)
        });
        golden.assert("eval.fwd.10", &got.tensor("logits"));
        golden.assert("eval.fwd.10", &got.tensor("folded logits"));
        golden.assert("eval.ce", &got.tensor("ce"));
        for i in [0, 3, 7] {
            for kind in ["weight", "bias"] {
                golden.assert(&format!("folded.{kind}.{i}"), &got.tensor(&format!("{i}.{kind}")));
            }
        }
        assert_gradients(&golden, &network, &got, "eval.grad_ce", &["x"], false);
    });
}

/// Which statistics a stored box was propagated with.
#[derive(Clone, Copy, PartialEq)]
enum Norms {
    /// The running ones.
    Running,
    /// The clean batch's, gradients flowing through them.
    Attached,
    /// The clean batch's as constants.
    Detached,
}

/// Loss, gradients and bounds before every ReLU of the stored box `prefix`.c, .r.
fn check_box(session: &mut dyn Session, golden: &Golden, prefix: &str, norms: Norms) {
    let network = golden.network_with(true);
    let stored = |part: &str| format!("{prefix}.{part}");
    let got = run(session, |c| {
        let parameters = golden.parameters(c, &network, "param");
        let labels = c.labels(golden.labels("labels"));
        let x = c.input(golden.tensor("x"));
        let [center, radius] = ["c", "r"].map(|part| c.input(golden.tensor(&stored(part))));
        let after = running(c, golden, "after");
        let g = &mut c.graph;
        let bound = Bound::new(g, &network, parameters.clone(), &after)?;
        let bound = match norms {
            Norms::Running => bound,
            Norms::Attached | Norms::Detached => {
                let mut statistics = bound.training_pass(g, x)?.statistics;
                if norms == Norms::Detached {
                    for s in &mut statistics {
                        *s = Statistics { mean: g.detach(s.mean), variance: g.detach(s.variance) };
                    }
                }
                bound.with_statistics(g, &statistics)?
            }
        };
        let propagated = bound.propagate(g, Interval { center, radius })?;
        let logits = bound.margin_logits(g, propagated.before_last, labels)?;
        let losses = ops::cross_entropy(g, logits, labels)?;
        let loss = ops::mean_all(g, losses)?;
        for (i, layer) in NORMS.iter().zip(&propagated.before_relu) {
            output_ends(c, *i, *layer)?;
        }
        c.output("logits", logits);
        c.output("loss", loss);
        let wrt: Vec<Value> = parameters.into_iter().chain([center, radius]).collect();
        c.gradients(&[loss], &[one()], &wrt)
    });
    golden.assert(&stored("margin_logits"), &got.tensor("logits"));
    golden.assert(&stored("loss_margin"), &got.tensor("loss"));
    for i in NORMS.into_iter().filter(|i| golden.tensors.contains_key(&stored(&format!("lb.{i}")))) {
        for end in ["lb", "ub"] {
            golden.assert(&stored(&format!("{end}.{i}")), &got.tensor(&format!("{end}.{i}")));
        }
    }
    let cancels = norms == Norms::Attached;
    assert_gradients(golden, &network, &got, &stored("grad_margin"), &["c", "r"], cancels);
}

fn output_ends(c: &mut Case, i: usize, layer: Interval) -> Result<()> {
    let ends = layer.bounds(&mut c.graph)?;
    c.output(&format!("lb.{i}"), ends.lower);
    c.output(&format!("ub.{i}"), ends.upper);
    Ok(())
}

#[test]
fn boxes_by_running_statistics() {
    let Some(golden) = Golden::open("bn") else { return };
    device::each(|session| check_box(session, &golden, "eval_ibp", Norms::Running));
}

#[test]
fn boxes_by_statistics_of_the_clean_batch() {
    let Some(golden) = Golden::open("bn") else { return };
    device::each(|session| check_box(session, &golden, "box", Norms::Attached));
}

#[test]
fn boxes_by_constant_statistics() {
    let Some(golden) = Golden::open("bn") else { return };
    device::each(|session| check_box(session, &golden, "box_detached", Norms::Detached));
}

/// Whether gradients flow through the statistics must show: the stored gradients of the two ways differ beyond the tolerance.
#[test]
fn attached_and_constant_statistics_differ() {
    let Some(golden) = Golden::open("bn") else { return };
    let [attached, constant] = ["box", "box_detached"].map(|way| format!("{way}.grad_margin.0.weight"));
    let difference: Tensor = golden.tensor(&attached).zip(golden.tensor(&constant), |a, b| a - b);
    assert!(difference.max_abs() > 10.0 * golden.tolerance(&attached).max(golden.tolerance(&constant)));
}
