//! The interval pass: boxes and middle points go forward, and every ReLU input is recorded.

use super::weights::{Placed, image};
use crate::certify::network::{Operation, ReluNetwork};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops;

/// What the pass found at one ReLU input, `[N,…]` each.
pub(super) struct Passed {
    pub(super) lower: Value,
    pub(super) upper: Value,
    pub(super) center: Value,
}

/// A value's middle and half width over the box, and its value at the box's middle.
#[derive(Clone, Copy)]
struct State {
    middle: Value,
    radius: Value,
    point: Value,
}

/// The pass for boxes with `center` and `radius` `[N,…input]`; returns what went into each ReLU node and the outputs `[N,K]` at the
/// middle of the boxes.
pub(super) fn pass(
    g: &mut Graph,
    network: &ReluNetwork,
    placed: &Placed,
    center: Value,
    radius: Value,
) -> Result<(Vec<Passed>, Value)> {
    let batch = g.shape(center)[0];
    let mut states: Vec<State> = Vec::new();
    let mut passed = Vec::new();
    for (index, node) in network.nodes().iter().enumerate() {
        let operand = |i: usize| states[node.inputs[i]];
        let state = match &node.operation {
            Operation::Input => State { middle: center, radius, point: center },
            Operation::Conv2d(_, spec) => {
                let ((w, b), x) = (placed.of(index), operand(0));
                let (middle, radius) = ops::conv2d_interval(g, (x.middle, x.radius), w, Some(b), *spec)?;
                State { middle, radius, point: ops::conv2d(g, x.point, w, Some(b), *spec)? }
            }
            Operation::Linear(weights) => {
                let ((w, b), x) = (placed.of(index), operand(0));
                let flat = |g: &mut Graph, v: Value| g.reshape(v, [batch, weights.shape[1]]);
                let (m, r, p) = (flat(g, x.middle)?, flat(g, x.radius)?, flat(g, x.point)?);
                let (middle, radius) = ops::linear_interval(g, (m, r), w, Some(b))?;
                State { middle, radius, point: ops::linear(g, p, w, Some(b))? }
            }
            Operation::Add => {
                let (a, b) = (operand(0), operand(1));
                State {
                    middle: ops::add(g, a.middle, b.middle)?,
                    radius: ops::add(g, a.radius, b.radius)?,
                    point: ops::add(g, a.point, b.point)?,
                }
            }
            Operation::Relu => {
                let x = operand(0);
                passed.push(Passed {
                    lower: ops::sub(g, x.middle, x.radius)?,
                    upper: ops::add(g, x.middle, x.radius)?,
                    center: x.point,
                });
                let (middle, radius) = ops::relu_interval(g, (x.middle, x.radius))?;
                State { middle, radius, point: ops::relu(g, x.point)? }
            }
        };
        states.push(state);
    }
    let output = states.last().expect("an input at least").point;
    let outputs = image(&network.nodes()[network.output()].shape).iter().product::<usize>();
    Ok((passed, g.reshape(output, [batch, outputs])?))
}
