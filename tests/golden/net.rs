//! The tiny net: forward, bounds of every layer, robust logits with and without elision, losses, all gradients.

use smallbox::error::Result;
use smallbox::graph::Value;
use smallbox::interval::{Bounds, Interval};
use smallbox::nn::{Bound, Layer, Network};
use smallbox::ops;

use super::{Golden, one, sequential};
use crate::common::device;
use crate::common::run::{Case, run};
use crate::common::tensor::Tensor;

/// A layer's weight, bias and geometry applied to a point or a box.
struct Walk<'a> {
    parameters: std::slice::Chunks<'a, Value>,
}

impl Walk<'_> {
    fn pair(&mut self) -> (Value, Value) {
        let pair = self.parameters.next().expect("weight and bias");
        (pair[0], pair[1])
    }

    fn point(&mut self, case: &mut Case, layer: &Layer, x: Value) -> Result<Value> {
        let g = &mut case.graph;
        match *layer {
            Layer::Conv2d { stride, padding, .. } => {
                let (w, b) = self.pair();
                ops::conv2d(g, x, w, Some(b), ops::Conv2dSpec::square(stride, padding))
            }
            Layer::Linear { .. } => {
                let (w, b) = self.pair();
                ops::linear(g, x, w, Some(b))
            }
            Layer::Relu => ops::relu(g, x),
            Layer::Flatten => flat(case, x),
            Layer::Normalize { .. } | Layer::BatchNorm => unreachable!("the tiny net has neither"),
        }
    }

    fn interval(&mut self, case: &mut Case, layer: &Layer, x: (Value, Value)) -> Result<(Value, Value)> {
        let g = &mut case.graph;
        match *layer {
            Layer::Conv2d { stride, padding, .. } => {
                let (w, b) = self.pair();
                ops::conv2d_interval(g, x, w, Some(b), ops::Conv2dSpec::square(stride, padding))
            }
            Layer::Linear { .. } => {
                let (w, b) = self.pair();
                ops::linear_interval(g, x, w, Some(b))
            }
            Layer::Relu => ops::relu_interval(g, x),
            Layer::Flatten => Ok((flat(case, x.0)?, flat(case, x.1)?)),
            Layer::Normalize { .. } | Layer::BatchNorm => unreachable!("the tiny net has neither"),
        }
    }
}

fn flat(case: &mut Case, x: Value) -> Result<Value> {
    let shape = case.graph.shape(x).clone();
    case.graph.reshape(x, [shape[0], shape.inner()])
}

#[test]
fn forward_layer_by_layer_and_gradients() {
    let Some(golden) = Golden::open("net") else { return };
    let network = golden.network();
    device::each(|session| {
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, "param");
            let (x, labels) = (c.input(golden.tensor("x")), c.labels(golden.labels("labels")));
            let mut walk = Walk { parameters: parameters.chunks(2) };
            let mut h = x;
            for (i, layer) in sequential(&network) {
                h = walk.point(c, layer, h)?;
                c.output(&format!("fwd.{i}"), h);
            }
            // The same through the network, fused, for loss and gradients.
            let logits = Bound::with_values(&network, parameters.clone()).forward(&mut c.graph, x)?;
            let losses = ops::cross_entropy(&mut c.graph, logits, labels)?;
            let loss = ops::mean_all(&mut c.graph, losses)?;
            c.output("logits", logits);
            c.output("ce", loss);
            let wrt: Vec<Value> = parameters.into_iter().chain([x]).collect();
            c.gradients(&[loss], &[one()], &wrt)
        });
        for (i, _) in sequential(&network) {
            golden.assert(&format!("fwd.{i}"), &got.tensor(&format!("fwd.{i}")));
        }
        let last = network.layers().len() - 1;
        golden.assert(&format!("fwd.{last}"), &got.tensor("logits"));
        golden.assert("ce", &got.tensor("ce"));
        golden.assert_gradients(&got, &network, "grad_ce", &["x"]);
    });
}

/// What robust logits are compared by.
#[derive(Clone, Copy, Debug)]
enum Robust {
    /// Last-layer elision, as SABR has it.
    Margin,
    /// Lower bound of the label, upper bounds of the others.
    Naive,
}

/// Loss and gradients over the stored box `prefix`.c, .r, with bounds after every layer where they are stored.
pub(super) fn check_box(session: &mut dyn smallbox::device::Session, golden: &Golden, prefix: &str) {
    let network = golden.network();
    let stored = |part: &str| format!("{prefix}.{part}");
    let classes = network.classes;
    for robust in [Robust::Margin, Robust::Naive] {
        let kind = format!("{robust:?}").to_lowercase();
        let got = run(session, |c| {
            let parameters = golden.parameters(c, &network, "param");
            let labels = golden.labels("labels");
            let [center, radius] = ["c", "r"].map(|part| c.input(golden.tensor(&stored(part))));
            let bound = Bound::with_values(&network, parameters.clone());
            let propagated = bound.propagate(&mut c.graph, Interval { center, radius })?;
            let label_values = c.labels(labels);
            let logits = match robust {
                Robust::Margin => bound.margin_logits(&mut c.graph, propagated.before_last, label_values)?,
                Robust::Naive => {
                    // Center + radius, or − radius at the label.
                    let mut signs = Tensor::filled([labels.len(), classes], 1.0);
                    labels.iter().enumerate().for_each(|(n, &y)| signs.data[n * classes + y as usize] = -1.0);
                    let signs = c.input(&signs);
                    let before = propagated.before_last;
                    let [w, b] = [parameters[parameters.len() - 2], parameters[parameters.len() - 1]];
                    let g = &mut c.graph;
                    let (center, radius) = ops::linear_interval(g, (before.center, before.radius), w, Some(b))?;
                    let signed = ops::mul(g, radius, signs)?;
                    ops::add(g, center, signed)?
                }
            };
            let losses = ops::cross_entropy(&mut c.graph, logits, label_values)?;
            let loss = ops::mean_all(&mut c.graph, losses)?;
            c.output("logits", logits);
            c.output("loss", loss);
            let wrt: Vec<Value> = parameters.into_iter().chain([center, radius]).collect();
            c.gradients(&[loss], &[one()], &wrt)
        });
        golden.assert(&stored(&format!("{kind}_logits")), &got.tensor("logits"));
        golden.assert(&stored(&format!("loss_{kind}")), &got.tensor("loss"));
        golden.assert_gradients(&got, &network, &stored(&format!("grad_{kind}")), &["c", "r"]);
    }
    if golden.tensors.contains_key(&stored("lb.0")) {
        check_layers(session, golden, &network, prefix);
    }
}

fn check_layers(session: &mut dyn smallbox::device::Session, golden: &Golden, network: &Network, prefix: &str) {
    let got = run(session, |c| {
        let parameters = golden.parameters(c, network, "param");
        let mut walk = Walk { parameters: parameters.chunks(2) };
        let mut at = ["c", "r"].map(|part| c.input(golden.tensor(&format!("{prefix}.{part}")))).into();
        for (i, layer) in sequential(network) {
            at = walk.interval(c, layer, at)?;
            let ends = Interval { center: at.0, radius: at.1 }.bounds(&mut c.graph)?;
            c.output(&format!("lb.{i}"), ends.lower);
            c.output(&format!("ub.{i}"), ends.upper);
        }
        Ok(())
    });
    for (i, _) in sequential(network) {
        for end in ["lb", "ub"] {
            golden.assert(&format!("{prefix}.{end}.{i}"), &got.tensor(&format!("{end}.{i}")));
        }
    }
}

#[test]
fn interval_bounds_losses_and_gradients() {
    let Some(golden) = Golden::open("net") else { return };
    device::each(|session| check_box(session, &golden, "ibp"));
}

/// The stored box is x ± ε cut with [0,1]; its widest pixel tells ε.
#[test]
fn the_box_is_the_ball_cut_with_the_unit_cube() {
    let Some(golden) = Golden::open("net") else { return };
    let epsilon = golden.tensor("ibp.r").max_abs();
    device::each(|session| {
        let got = run(session, |c| {
            let (x, epsilon) = (c.input(golden.tensor("x")), c.input(&Tensor::filled([1], epsilon)));
            let ball = Bounds::ball(&mut c.graph, x, epsilon)?.interval(&mut c.graph)?;
            c.output("c", ball.center);
            c.output("r", ball.radius);
            Ok(())
        });
        golden.assert("ibp.c", &got.tensor("c"));
        golden.assert("ibp.r", &got.tensor("r"));
    });
}
