//! Values in blocks of channels, which the native device chooses: what a program computes with them, and which they are.

use smallbox::device::cpu::CpuSession;
use smallbox::device::{Session, write_state_f32};
use smallbox::error::Result;
use smallbox::graph::plan::Named;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::kernel::Layout;
use smallbox::ops::simd::level;
use smallbox::ops::{self, Conv2dSpec, ReduceKind};
use smallbox::shape::TensorType;

const BATCH: usize = 3;
const PARAMETERS: [(&str, [usize; 4]); 3] =
    [("first", [16, 1, 3, 3]), ("second", [32, 16, 3, 3]), ("third", [16, 32, 4, 4])];

/// x `[N,C,H,W]` − its channels' means, divided by their mean squares.
fn normalised(g: &mut Graph, x: Value) -> Result<Value> {
    let shape = g.shape(x).clone();
    let share = shape[1] as f32 / shape.elements() as f32;
    let per_channel = |g: &mut Graph, v: Value| g.reshape(v, [1, shape[1], 1, 1]);
    let sum = ops::reduce_channels(g, ReduceKind::Sum, x)?;
    let mean = ops::scale(g, sum, share)?;
    let mean = per_channel(g, mean)?;
    let centered = ops::sub(g, x, mean)?;
    let squares = ops::unary(g, ops::UnaryKind::Square, centered)?;
    let sum = ops::reduce_channels(g, ReduceKind::Sum, squares)?;
    let spread = ops::affine(g, sum, share, 1.0)?;
    let spread = per_channel(g, spread)?;
    ops::div(g, centered, spread)
}

/// Three convolutions of points with norms between them, and of boxes without; the sum of squares of all that they make, and its gradient.
fn plan(fast: bool) -> Plan {
    let build = |g: &mut Graph| -> Result<()> {
        let image = TensorType::f32([BATCH, 1, 20, 20]);
        let (x, radius) = (g.input("x", image.clone())?, g.input("r", image)?);
        let specs = [Conv2dSpec::square(1, 1), Conv2dSpec::square(1, 1), Conv2dSpec::square(2, 1)];
        let (mut point, mut hull, mut weights) = (x, (x, radius), Vec::new());
        for ((name, shape), spec) in PARAMETERS.into_iter().zip(specs) {
            let w = g.state(name, TensorType::f32(shape))?;
            let b = g.state(&format!("{name}.bias"), TensorType::f32([shape[0]]))?;
            weights.extend([w, b]);
            point = ops::conv2d(g, point, w, Some(b), spec)?;
            point = normalised(g, point)?;
            point = ops::relu(g, point)?;
            hull = ops::conv2d_interval(g, hull, w, Some(b), spec)?;
            hull = ops::relu_interval(g, hull)?;
        }
        let mut terms = Vec::new();
        for (name, v) in [("point", point), ("center", hull.0), ("radius", hull.1)] {
            g.output(name, v);
            let squares = ops::unary(g, ops::UnaryKind::Square, v)?;
            terms.push(ops::mean_all(g, squares)?);
        }
        let loss = ops::add(g, terms[0], terms[1])?;
        let loss = ops::add(g, loss, terms[2])?;
        for (i, gradient) in ops::gradients(g, loss, &weights)?.into_iter().enumerate() {
            g.output(&format!("gradient {i}"), gradient.expect("the loss depends on all"));
        }
        Ok(())
    };
    let mut g = Graph::new();
    if fast { g.fast(build) } else { build(&mut g) }.expect("a legal graph");
    Plan::new(g).expect("a legal plan")
}

/// All outputs of the plan, run with its operands in these layouts.
fn run(plan: &Plan, layouts: &[Vec<Layout>]) -> Vec<Vec<f32>> {
    let mut bits = 1_u64;
    let mut numbers = |n: usize| -> Vec<f32> {
        let next = |_| {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (bits >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(next).collect()
    };
    let mut session = CpuSession::new();
    let program = session.compile_in(plan, layouts).expect("a program");
    for (name, shape) in PARAMETERS {
        write_state_f32(&mut session, name, &numbers(shape.iter().product())).expect("a state");
        write_state_f32(&mut session, &format!("{name}.bias"), &numbers(shape[0])).expect("a state");
    }
    let x = numbers(BATCH * 400);
    let radius: Vec<f32> = numbers(x.len()).into_iter().map(f32::abs).collect();
    session.run(program, &[("x", bytemuck::cast_slice(&x)), ("r", bytemuck::cast_slice(&radius))]).expect("a run");
    let mut read = |named: &Named| {
        let words = pollster::block_on(session.read(program, &named.name)).expect("an output");
        words.into_iter().map(f32::from_bits).collect()
    };
    plan.outputs.iter().map(|(named, _)| read(named)).collect()
}

fn in_blocks(layouts: &[Vec<Layout>]) -> usize {
    layouts.iter().flatten().filter(|&&layout| layout == Layout::Blocks).count()
}

/// The greatest difference of two runs, relative to the greatest element of each output.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let of_output = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let greatest = a.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs() / greatest)
            .fold(0.0, |most: f32, d| if d.is_nan() { d } else { most.max(d) })
    };
    a.iter().zip(b).map(of_output).fold(0.0, |most: f32, d| if d.is_nan() { d } else { most.max(d) })
}

/// Only sums over the pixels of a channel are taken in another order: 1200 of them for statistics and biases, each rounded by itself.
#[test]
fn a_program_in_blocks_computes_what_one_in_planes_does() {
    let plan = plan(true);
    let (planes, blocks) = (CpuSession::layouts(&plan, usize::MAX), CpuSession::layouts(&plan, level().lanes()));
    assert_eq!(in_blocks(&planes), 0);
    assert!(in_blocks(&blocks) > 30, "{} operands in blocks", in_blocks(&blocks));
    let (a, b) = (run(&plan, &planes), run(&plan, &blocks));
    let most = 1200.0 * f32::EPSILON;
    assert!(difference(&a, &b) <= most, "{} of {most}", difference(&a, &b));
    let mut other = b.clone();
    other[0].rotate_left(1);
    assert!(difference(&a, &other) > most, "pixels in other places must be noticed");
}

#[test]
fn what_gains_nothing_by_blocks_stays_in_planes() {
    let plan = plan(false);
    assert_eq!(in_blocks(&CpuSession::layouts(&plan, level().lanes())), 0);
}

/// A value that an op reads in planes only, or under another shape, or that is an output, is in planes; so are those that go with it.
#[test]
fn one_reader_of_planes_keeps_its_group_there() {
    let of = |end: &dyn Fn(&mut Graph, Value) -> Result<Value>| {
        let mut g = Graph::new();
        let built = g.fast(|g| -> Result<Value> {
            let x = g.input("x", TensorType::f32([2, 32, 12, 12]))?;
            let [a, b] = ["a", "b"].map(|name| g.state(name, TensorType::f32([32, 32, 3, 3])));
            let y = ops::conv2d(g, x, a?, None, Conv2dSpec::square(1, 1))?;
            let y = end(g, y)?;
            ops::conv2d(g, y, b?, None, Conv2dSpec::square(1, 1))
        });
        g.output("z", built.expect("a legal graph"));
        let plan = Plan::new(g).expect("a legal plan");
        in_blocks(&CpuSession::layouts(&plan, level().lanes()))
    };
    assert_eq!(of(&|_, y| Ok(y)), 2, "written and read");
    assert_eq!(of(&|g, y| ops::relu(g, y)), 2, "on the way out");
    assert_eq!(of(&|g, y| ops::unary(g, ops::UnaryKind::Abs, y)), 4, "written, read twice, written");
    let seen = |g: &mut Graph, y: Value| {
        g.output("y", y);
        Ok(y)
    };
    assert_eq!(of(&seen), 0);
    let turned = |g: &mut Graph, y: Value| {
        let flat = g.reshape(y, [2, 32 * 144])?;
        let w = g.state("w", TensorType::f32([4, 32 * 144]))?;
        let read = ops::linear(g, flat, w, None)?;
        g.output("read", read);
        Ok(y)
    };
    assert_eq!(of(&turned), 0);
    let other = |g: &mut Graph, y: Value| {
        let y = g.reshape(y, [1, 64, 12, 12])?;
        let y = ops::unary(g, ops::UnaryKind::Abs, y)?;
        g.reshape(y, [2, 32, 12, 12])
    };
    assert_eq!(of(&other), 0, "images of more channels");
}
