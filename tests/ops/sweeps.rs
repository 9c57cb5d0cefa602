//! Passes that one loop does give the bits of their ops one by one: the forms that batch norm takes in training, over runs of any length.

use smallbox::device::cpu::CpuSession;
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::ops::{self, ReduceKind, UnaryKind};

use crate::common::random::{Data, Random};
use crate::common::run::{Case, Outcome, run_planned};

/// Shapes of images, large enough for ops that read the same to share a pass: pixels below and above where loops begin, whole and broken
/// vectors, one channel and many, several tasks.
const SHAPES: [[usize; 4]; 9] = [
    [12, 3, 11, 11],
    [3, 12, 8, 16],
    [20, 4, 10, 13],
    [3, 16, 14, 14],
    [2, 32, 13, 15],
    [5, 3, 28, 28],
    [40, 1, 15, 15],
    [1, 40, 12, 13],
    [2, 3, 131, 127],
];

/// Values over images and by channel that the forms are made of.
struct Operands {
    each: [Value; 4],
    of_channels: [Value; 4],
}

fn sum(c: &mut Case, name: &str, value: Value) -> Result<()> {
    let sum = ops::reduce_channels(&mut c.graph, ReduceKind::Sum, value)?;
    c.output(name, sum);
    Ok(())
}

fn scale_shift(g: &mut Graph, x: Value, s: Value, t: Value) -> Result<Value> {
    let scaled = ops::mul(g, x, s)?;
    ops::add(g, scaled, t)
}

type Form = fn(&mut Case, Operands) -> Result<()>;

/// What is done in one loop.
const FORMS: [(&str, Form); 9] = [
    ("scale and shift", |c, Operands { each: [x, ..], of_channels: [s, t, ..] }| {
        let y = scale_shift(&mut c.graph, x, s, t)?;
        c.output("y", y);
        Ok(())
    }),
    ("scale, shift and ReLU", |c, Operands { each: [x, ..], of_channels: [s, t, ..] }| {
        let y = scale_shift(&mut c.graph, x, s, t)?;
        let y = ops::relu(&mut c.graph, y)?;
        c.output("y", y);
        Ok(())
    }),
    ("the same of a box", |c, Operands { each: [m, r, ..], of_channels: [s, t, magnitude, _] }| {
        let center = scale_shift(&mut c.graph, m, s, t)?;
        let radius = ops::mul(&mut c.graph, r, magnitude)?;
        let (center, radius) = ops::relu_interval(&mut c.graph, (center, radius))?;
        c.output("center", center);
        c.output("radius", radius);
        Ok(())
    }),
    ("its gradients", |c, Operands { each: [m, r, of_center, of_radius], of_channels: [s, t, magnitude, _] }| {
        let g = &mut c.graph;
        let center = scale_shift(g, m, s, t)?;
        let radius = ops::mul(g, r, magnitude)?;
        let behind = ops::relu_interval(g, (center, radius))?;
        let (of_center, of_radius) = ops::relu_interval_backward(g, (of_center, of_radius), behind)?;
        let (of_m, of_r) = (ops::mul(g, of_center, s)?, ops::mul(g, of_radius, magnitude)?);
        let (of_s, of_magnitude) = (ops::mul(g, of_center, m)?, ops::mul(g, of_radius, r)?);
        c.output("m", of_m);
        c.output("r", of_r);
        sum(c, "s", of_s)?;
        sum(c, "t", of_center)?;
        sum(c, "magnitude", of_magnitude)
    }),
    ("gradients of a scale", |c, Operands { each: [grad, x, ..], of_channels: [s, ..] }| {
        let (of_x, of_s) = (ops::mul(&mut c.graph, grad, s)?, ops::mul(&mut c.graph, grad, x)?);
        c.output("x", of_x);
        sum(c, "s", of_s)
    }),
    ("gradients of scale and shift", |c, Operands { each: [grad, x, ..], of_channels: [s, ..] }| {
        let (of_x, of_s) = (ops::mul(&mut c.graph, grad, s)?, ops::mul(&mut c.graph, grad, x)?);
        c.output("x", of_x);
        sum(c, "s", of_s)?;
        sum(c, "t", grad)
    }),
    ("those of the parameters alone", |c, Operands { each: [grad, x, ..], .. }| {
        let of_s = ops::mul(&mut c.graph, grad, x)?;
        sum(c, "s", of_s)?;
        sum(c, "t", grad)
    }),
    (
        "gradient through statistics",
        |c, Operands { each: [x, grad, ..], of_channels: [pivot, s, of_square, shift] }| {
            let g = &mut c.graph;
            let centered = ops::sub(g, x, pivot)?;
            let twice = ops::unary(g, UnaryKind::Affine { scale: 2.0, shift: 0.0 }, centered)?;
            let through = scale_shift(g, twice, of_square, shift)?;
            let direct = ops::mul(g, grad, s)?;
            let y = ops::add(g, direct, through)?;
            c.output("y", y);
            Ok(())
        },
    ),
    ("statistics", |c, Operands { each: [x, ..], of_channels: [pivot, ..] }| {
        let centered = ops::sub(&mut c.graph, x, pivot)?;
        let squares = ops::unary(&mut c.graph, UnaryKind::Square, centered)?;
        sum(c, "differences", centered)?;
        sum(c, "squares", squares)
    }),
];

#[test]
fn forms_of_batch_norm_keep_their_bits() {
    for (name, form) in FORMS {
        for shape in SHAPES {
            for by_channel in [true, false] {
                let random = &mut Random::new(shape[3] as u64);
                let each = [(); 4].map(|()| Data::Reals.signed(random, shape));
                let factor = if by_channel { vec![1, shape[1], 1, 1] } else { vec![1] };
                let of_channels = [(); 4].map(|()| Data::Reals.signed(random, factor.clone()));
                let [fused, apart] = both(|c| {
                    let each = each.each_ref().map(|t| c.input(t));
                    let of_channels = of_channels.each_ref().map(|t| c.input(t));
                    form(c, Operands { each, of_channels })
                });
                assert_eq!(
                    fused.steps(),
                    ["elementwise"],
                    "{name}, {shape:?}, by channel: {by_channel}: {:?}",
                    apart.steps()
                );
                assert_same(&fused, &apart, &format!("{name}, {shape:?}, by channel: {by_channel}"));
            }
        }
    }
}

/// Weights that are scaled feature by feature, and the sum of all their magnitudes: a sum that goes on across changes of the factor.
#[test]
fn scaled_weights_and_their_magnitudes_keep_their_bits() {
    for shape in [[40, 160], [300, 160], [64, 392], [7, 4096], [3, 20000]] {
        let random = &mut Random::new(shape[0] as u64);
        let [x, scale] = [shape, [shape[0], 1]].map(|shape| Data::Reals.signed(random, shape));
        let [fused, apart] = both(|c| {
            let [x, scale] = [&x, &scale].map(|t| c.input(t));
            let y = ops::mul(&mut c.graph, x, scale)?;
            let magnitudes = ops::abs(&mut c.graph, x)?;
            let sum = ops::sum_all(&mut c.graph, magnitudes)?;
            c.output("y", y);
            c.output("sum", sum);
            Ok(())
        });
        assert_eq!(fused.steps(), ["elementwise"], "{shape:?}");
        assert_same(&fused, &apart, &format!("{shape:?}"));
    }
}

/// What `build` gives with and without passes, in this order.
fn both(build: impl Fn(&mut Case) -> Result<()>) -> [Outcome; 2] {
    [Plan::new, Plan::unfused].map(|plan| run_planned(&mut CpuSession::new(), 1, plan, &build))
}

#[track_caller]
fn assert_same(fused: &Outcome, apart: &Outcome, context: &str) {
    for ((output, fused), (_, apart)) in fused.everything().into_iter().zip(apart.everything()) {
        assert!(fused == apart, "{output} of {context}");
    }
}
