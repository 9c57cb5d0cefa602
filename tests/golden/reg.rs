//! The bound regulariser with all its parts and gradients.

use smallbox::interval::Bounds;
use smallbox::nn::{Bound, Parameter, Role, Statistics};
use smallbox::ops;
use smallbox::train::regulariser::bound_regulariser;

use super::{Golden, one};
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::Reference;
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn bound_regulariser_with_parts_and_gradients() {
    let Some(golden) = Golden::open("reg") else { return };
    let network = golden.network();
    device::each(|session| {
        for case in ["a", "b", "c"] {
            let name = |part: &str| format!("{case}.{part}");
            let (epsilon, last_epsilon) = (golden.scalar(&name("eps")), golden.scalar(&name("max_eps")));
            let got = run(session, |c| {
                let parameters = golden.parameters(c, &network, &name("param"));
                let x = c.input(golden.tensor(&name("x")));
                let radius = c.input(&Tensor::filled([1], epsilon));
                let fade = c.input(&Tensor::filled([1], 1.0 - epsilon / last_epsilon));
                let region = Bounds::ball(&mut c.graph, x, radius)?.interval(&mut c.graph)?;
                let bound = Bound::with_values(&network, parameters.clone());
                let propagated = bound.propagate(&mut c.graph, region)?;
                let input_radius = ops::mean_all(&mut c.graph, propagated.normalized.radius)?;
                for (k, layer) in propagated.before_relu.iter().enumerate() {
                    let statistics = ops::bound_statistics(&mut c.graph, (layer.center, layer.radius))?;
                    let penalty = ops::bound_penalty(&mut c.graph, statistics, input_radius)?;
                    c.output(&format!("statistics{k}"), statistics);
                    c.output(&format!("penalty{k}"), penalty);
                }
                let total = bound_regulariser(&mut c.graph, &propagated, fade, 0.5)?;
                c.output("total", total);
                // The last layer is behind every ReLU: no gradient reaches it.
                let behind = parameters.len() - 2;
                c.gradients(&[total], &[one()], &parameters[..behind])
            });
            for k in 0..network.relu_layers() {
                check_layer(
                    &golden,
                    &name(&format!("l{k}")),
                    &got.tensor(&format!("statistics{k}")),
                    &got.tensor(&format!("penalty{k}")),
                );
            }
            golden.assert(&name("bound_reg"), &got.tensor("total"));
            let (front, last) = network.parameters().split_at(network.parameters().len() - 2);
            for (i, p) in front.iter().enumerate() {
                golden.assert(&name(&format!("grad.{}", p.name)), &got.tensor(&format!("grad{i}")));
            }
            for p in last {
                assert_eq!(golden.tensor(&name(&format!("grad.{}", p.name))).max_abs(), 0.0, "{}", p.name);
            }
        }
    });
}

/// The same with batch norms: boxes by the clean batch's statistics, through which gradients flow.
#[test]
fn bound_regulariser_with_batch_norm() {
    let Some(golden) = Golden::open("reg") else { return };
    let network = golden.network_with(true);
    let name = |part: &str| format!("bn.{part}");
    let (epsilon, last_epsilon) = (golden.scalar(&name("eps")), golden.scalar(&name("max_eps")));
    device::each(|session| {
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, &name("param"));
            let x = c.input(golden.tensor(&name("x")));
            let radius = c.input(&Tensor::filled([1], epsilon));
            let fade = c.input(&Tensor::filled([1], 1.0 - epsilon / last_epsilon));
            // Running statistics, which nothing here depends on.
            let buffers: Vec<_> =
                network.buffers().iter().map(|b| c.input(&Tensor::filled(b.shape.dims(), 1.0))).collect();
            let running: Vec<Statistics> =
                buffers.chunks(2).map(|b| Statistics { mean: b[0], variance: b[1] }).collect();
            let g = &mut c.graph;
            let bound = Bound::new(g, &network, parameters.clone(), &running)?;
            let statistics = bound.training_pass(g, x)?.statistics;
            let bound = bound.with_statistics(g, &statistics)?;
            let region = Bounds::ball(g, x, radius)?.interval(g)?;
            let propagated = bound.propagate(g, region)?;
            for (k, layer) in propagated.before_relu.iter().enumerate() {
                let statistics = ops::bound_statistics(g, (layer.center, layer.radius))?;
                g.output(&format!("statistics{k}"), statistics);
            }
            let total = bound_regulariser(g, &propagated, fade, 0.5)?;
            c.output("total", total);
            let behind = parameters.len() - 2;
            c.gradients(&[total], &[one()], &parameters[..behind])
        });
        golden.assert(&name("bound_reg"), &got.tensor("total"));
        let front = &network.parameters()[..network.parameters().len() - 2];
        let stored = |p: &Parameter| name(&format!("grad.{}", p.name));
        let largest = front.iter().map(|p| golden.tensor(&stored(p)).max_abs()).fold(0.0, f64::max);
        for (i, p) in front.iter().enumerate() {
            let gradient = got.tensor(&format!("grad{i}"));
            if p.role == Role::Bias {
                // Exactly 0 before a batch norm; f32 reaches that to rounding of the terms that cancel.
                let want = Reference::exact(golden.tensor(&stored(p)).clone());
                assert_close(&stored(p), &gradient, &want, Closeness::Within(5e-5 * largest));
            } else {
                golden.assert(&stored(p), &gradient);
            }
        }
    });
}

/// The stored parts of one ReLU layer: its ratios follow from the statistics, its term is tightness plus balance.
fn check_layer(golden: &Golden, layer: &str, statistics: &Tensor, penalty: &Tensor) {
    let s = &statistics.data;
    let folded = |q: f64| if q.is_finite() { q.min(1.0 / q.max(1e-12)) } else { -1.0 };
    for (part, ratio) in [("mean_ratio", s[1] / -s[2]), ("var_ratio", s[3] / s[4])] {
        golden.assert(&format!("{layer}.{part}"), &Tensor::filled([1], folded(ratio)));
    }
    let parts = ["tight", "balance"].map(|part| format!("{layer}.{part}"));
    let sum = parts.iter().map(|part| golden.scalar(part)).sum();
    let tolerance = parts.iter().map(|part| golden.tolerance(part)).sum();
    let want = Reference::exact(Tensor::filled([1], sum));
    assert_close(&format!("term of {layer}"), penalty, &want, Closeness::Within(tolerance));
}

/// A second way to the total: the parts summed by hand.
#[test]
fn the_total_is_the_faded_mean_of_the_parts() {
    let Some(golden) = Golden::open("reg") else { return };
    let layers = golden.network().relu_layers();
    for case in ["a", "b", "c"] {
        let value = |part: &str| golden.scalar(&format!("{case}.{part}"));
        let sum: f64 = (0..layers).map(|k| value(&format!("l{k}.tight")) + value(&format!("l{k}.balance"))).sum();
        let total = 0.5 * (1.0 - value("eps") / value("max_eps")) * sum / layers as f64;
        assert!(
            (total - value("bound_reg")).abs() <= golden.tolerance(&format!("{case}.bound_reg")),
            "{case}: {total}"
        );
    }
}
