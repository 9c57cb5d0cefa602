//! The GPU device: training work by each set of kernels, kernels that differ in how they read or exchange values, what a dispatch costs
//! the host, and the first step of a process.
//!
//!     cargo bench --bench gpu
//!
//! Takes the first adapter of any kind. Only compare rows of one run on an idle machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smallbox::device::gpu::{GpuOptions, GpuSession, Selector};
use smallbox::device::{Feed, Program, Session, Store};
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::kernel::{GpuLimits, Variant, WIDE_TILES};
use smallbox::nn::architecture;
use smallbox::ops::{self, Conv2dSpec};
use smallbox::shape::{Shape, TensorType};
use smallbox::train::Config;
use smallbox::train::step::{Phase, input, plan_step};

const BATCH: usize = 256;
const REPEATS: usize = 5;

/// Files in memory: what a process leaves for the next one.
#[derive(Debug, Default)]
struct Shelf(Mutex<BTreeMap<String, Vec<u8>>>);

impl Store for Shelf {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().expect("no panic holds it").get(name).cloned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        self.0.lock().expect("no panic holds it").insert(name.into(), bytes.to_vec());
    }

    fn warn(&self, name: &str, message: &str) {
        eprintln!("{name}: {message}");
    }
}

fn open(limits: Option<GpuLimits>, store: Option<Arc<Shelf>>) -> Result<GpuSession> {
    let store = store.map(|store| store as _);
    let options = GpuOptions { selector: Selector::Index(0), limits, store, ..GpuOptions::default() };
    pollster::block_on(GpuSession::open(&options))
}

/// Loss and gradients of all parameters of a network on a batch of 28×28 images.
fn forward_backward(arch: &str, batch: usize) -> Result<Plan> {
    let network = architecture(arch, [1, 28, 28], 10, &[0.0], &[1.0])?;
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32(network.batch_shape(batch)))?;
    let labels = g.input("labels", TensorType::u32([batch]))?;
    let bound = network.bind(&mut g)?;
    let logits = bound.forward(&mut g, x)?;
    let losses = ops::cross_entropy(&mut g, logits, labels)?;
    let loss = ops::mean_all(&mut g, losses)?;
    g.output("loss", loss);
    for (i, grad) in ops::gradients(&mut g, loss, bound.values())?.into_iter().flatten().enumerate() {
        g.output(&format!("grad{i}"), grad);
    }
    Plan::new(g)
}

/// Best time of a run from its recording to its result, after one that compiles.
fn fastest(gpu: &mut GpuSession, plan: &Plan, feeds: &[Feed<'_>], output: &str) -> Result<(Duration, usize)> {
    let program = gpu.compile(plan)?;
    let mut best = Duration::MAX;
    for i in 0..=REPEATS {
        let start = Instant::now();
        gpu.run(program, feeds)?;
        pollster::block_on(gpu.read(program, output))?;
        if i > 0 {
            best = best.min(start.elapsed());
        }
    }
    Ok((best, gpu.program_info(program).launches.len()))
}

/// Seconds to record and submit a program of `count` dispatches on 64 words, best of many.
fn recording(gpu: &mut GpuSession, count: usize) -> Result<f64> {
    let mut g = Graph::new();
    let mut x = g.input("x", TensorType::f32([64]))?;
    let y = g.input("y", TensorType::f32([64]))?;
    for i in 0..count {
        // Two kernels in turn: consecutive dispatches differ in pipeline and bindings.
        x = if i % 2 == 0 { ops::maximum(&mut g, x, y)? } else { ops::sub(&mut g, y, x)? };
    }
    g.output("x", x);
    let program = gpu.compile(&Plan::unfused(g)?)?;
    assert_eq!(gpu.program_info(program).launches.len(), count);
    let words = [0.5f32; 64];
    let feeds: [Feed<'_>; 2] = [("x", bytemuck::cast_slice(&words)), ("y", bytemuck::cast_slice(&words))];
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        gpu.run(program, &feeds)?;
        best = best.min(start.elapsed().as_secs_f64());
        pollster::block_on(gpu.read(program, "x"))?;
    }
    Ok(best)
}

/// Times forward and backward of a network by each set of kernels.
fn sets(arch: &str, batch: usize, shelf: &Arc<Shelf>) -> Result<()> {
    let images = vec![0.5f32; batch * 28 * 28];
    let labels = vec![3u32; batch];
    let plan = forward_backward(arch, batch)?;
    let feeds: [Feed<'_>; 2] = [("x", bytemuck::cast_slice(&images)), ("labels", bytemuck::cast_slice(&labels))];
    let chosen = open(None, None)?.limits();
    let of = |variant| GpuLimits { variant, ..chosen };
    let sets = [
        ("tuned", of(None), Some(shelf.clone())),
        ("by rule", of(None), None),
        ("tiled", GpuLimits { software: false, ..chosen }, None),
        ("register", GpuLimits { software: true, ..chosen }, None),
        ("plain", of(Some(Variant::Plain)), None),
    ];
    println!("\n{arch}, batch {batch}, forward and backward, {:.2} GFLOP", plan.cost().flops as f64 / 1e9);
    for (name, limits, store) in sets {
        let (best, launches) = fastest(&mut open(Some(limits), store)?, &plan, &feeds, "loss")?;
        println!("{name:<10} {:>9.2} ms {launches:>5} dispatches", 1e3 * best.as_secs_f64());
    }
    Ok(())
}

/// A SABR step of `cnn3`: from opening the device to the end of the first, and the best of some more.
fn sabr_step(name: &str, store: Option<Arc<Shelf>>) -> Result<()> {
    let begun = Instant::now();
    let mut gpu = open(None, store)?;
    let plan = sabr_plan(BATCH)?;
    let program = gpu.compile(&plan)?;
    let compiled = begun.elapsed();
    let (mut first, mut best) = (Duration::ZERO, Duration::MAX);
    for i in 0..=REPEATS {
        let start = Instant::now();
        submit(&mut gpu, program, BATCH)?;
        pollster::block_on(gpu.read_state("record"))?;
        if i > 0 {
            best = best.min(start.elapsed());
        } else {
            first = begun.elapsed();
        }
    }
    println!(
        "{name:<12} first step done after {:.2} s ({:.2} s of it until compiled), then {:.1} ms a step of {} dispatches",
        first.as_secs_f64(),
        compiled.as_secs_f64(),
        1e3 * best.as_secs_f64(),
        gpu.program_info(program).launches.len(),
    );
    Ok(())
}

fn sabr_plan(batch: usize) -> Result<Plan> {
    let network = architecture("cnn3", [1, 28, 28], 10, &[0.0], &[1.0])?;
    let config = Config { batch, ..Config::default() }.resolve()?;
    plan_step(&network, &config, Phase { natural: false, robust: true, annealing: false })
}

/// Uploads the inputs of a SABR step, records it and submits it.
fn submit(gpu: &mut GpuSession, program: Program, batch: usize) -> Result<Duration> {
    let (images, labels) = (vec![0.5f32; batch * 28 * 28], vec![3u32; batch]);
    let (scalar, rates, key, row) = ([0.1f32], [1e-3f32, 1.0], [1u32, 2, 3, 4], [0u32]);
    let feeds: [Feed<'_>; 8] = [
        (input::X, bytemuck::cast_slice(&images)),
        (input::LABELS, bytemuck::cast_slice(&labels)),
        (input::EPSILON, bytemuck::cast_slice(&scalar)),
        (input::KAPPA, bytemuck::cast_slice(&scalar)),
        (input::FADE, bytemuck::cast_slice(&scalar)),
        (input::RATES, bytemuck::cast_slice(&rates)),
        (input::KEY, bytemuck::cast_slice(&key)),
        (input::ROW, bytemuck::cast_slice(&row)),
    ];
    let start = Instant::now();
    gpu.run(program, &feeds)?;
    Ok(start.elapsed())
}

/// What a SABR step costs the host. With two images there is so little to compute that a software adapter, which does it on the same
/// cores, leaves the host its caches.
fn host_cost() -> Result<()> {
    let mut gpu = open(None, None)?;
    let program = gpu.compile(&sabr_plan(2)?)?;
    let mut times = Vec::with_capacity(100);
    for _ in 0..100 {
        times.push(submit(&mut gpu, program, 2)?);
        pollster::block_on(gpu.read_state("record"))?;
    }
    times.sort();
    let (best, median) = (1e6 * times[0].as_secs_f64(), 1e6 * times[times.len() / 2].as_secs_f64());
    let at_a_teraflop = 1e6 * sabr_plan(BATCH)?.cost().flops as f64 / 1e12;
    println!(
        "\ncnn3, whole SABR step: {} dispatches recorded and submitted in {best:.0} µs at best, {median:.0} µs in the median: {:.1} and {:.1} % \
         of the {:.2} ms that a step of {BATCH} images takes at 1 TFLOP/s",
        gpu.program_info(program).launches.len(),
        100.0 * best / at_a_teraflop,
        100.0 * median / at_a_teraflop,
        1e-3 * at_a_teraflop,
    );
    Ok(())
}

/// A layer, x of one shape and w of another, with its gradients.
fn layer(
    x: impl Into<Shape>,
    w: impl Into<Shape>,
    apply: impl FnOnce(&mut Graph, Value, Value) -> Result<Value>,
) -> Result<Plan> {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32(x))?;
    let w = g.input("w", TensorType::f32(w))?;
    let y = apply(&mut g, x, w)?;
    let square = ops::mul(&mut g, y, y)?;
    let loss = ops::sum_all(&mut g, square)?;
    g.output("result", loss);
    for (i, grad) in ops::gradients(&mut g, loss, &[x, w])?.into_iter().flatten().enumerate() {
        g.output(&format!("grad{i}"), grad);
    }
    Plan::new(g)
}

/// A linear layer and a convolution with their gradients, and sums of 12.8 million numbers over all axes but one.
fn parts() -> Result<[(&'static str, Plan); 3]> {
    let linear = layer([BATCH, 1568], [512, 1568], |g, x, w| ops::linear(g, x, w, None))?;
    let spec = Conv2dSpec::square(1, 1);
    let conv = layer([8, 128, 16, 16], [128, 128, 3, 3], |g, x, w| ops::conv2d(g, x, w, None, spec))?;
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32([BATCH, 64, 784]))?;
    let sums = ops::reduce(&mut g, ops::ReduceKind::Sum, x)?;
    g.output("result", sums);
    Ok([
        ("linear layer, 256 × 1568 × 512", linear),
        ("convolution, 8 images of 128 × 16 × 16, 3 × 3", conv),
        ("sums of 256 × 64 × 784 numbers", Plan::new(g)?),
    ])
}

/// Times kernels that differ in how they read or exchange values, in turn, best of three rounds.
fn pairs() -> Result<()> {
    let chosen = open(None, None)?.limits();
    let (tile, portable) = (WIDE_TILES[1], GpuLimits { subgroups: 0, ..chosen });
    let of = |variant| GpuLimits { variant: Some(variant), ..chosen };
    let [linear, conv, sums] = parts()?;
    let words = [("tiled", of(Variant::Tiled(tile))), ("wide", of(Variant::Wide(tile)))];
    let pairs = [(linear, words), (conv, words), (sums, [("workgroup memory", portable), ("subgroups", chosen)])];
    for ((name, plan), ways) in pairs {
        let words: Vec<Vec<f32>> = plan.inputs.iter().map(|input| vec![0.5; input.ty.elements()]).collect();
        let feeds: Vec<Feed<'_>> =
            plan.inputs.iter().zip(&words).map(|(i, w)| (i.name.as_str(), bytemuck::cast_slice(w))).collect();
        let mut best = [Duration::MAX; 2];
        for _ in 0..3 {
            for (best, (_, limits)) in best.iter_mut().zip(ways) {
                *best = fastest(&mut open(Some(limits), None)?, &plan, &feeds, "result")?.0.min(*best);
            }
        }
        let [a, b] = best.map(|best| 1e3 * best.as_secs_f64());
        println!("{name}: {} {a:.2} ms, {} {b:.2} ms", ways[0].0, ways[1].0);
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut gpu = open(None, None)?;
    println!("{:?}\n", gpu.device());
    let counts = [100, 1100];
    let [few, many] = counts.map(|count| recording(&mut gpu, count));
    let (few, many) = (few?, many?);
    println!(
        "recording and submitting {} dispatches {:.0} µs, {} dispatches {:.0} µs",
        counts[0],
        1e6 * few,
        counts[1],
        1e6 * many
    );
    println!("host cost {:.2} µs per dispatch", 1e6 * (many - few) / (counts[1] - counts[0]) as f64);
    drop(gpu);
    pairs()?;

    let shelf = Arc::new(Shelf::default());
    println!("\ncnn3, batch {BATCH}, whole SABR step");
    sabr_step("cold", Some(shelf.clone()))?;
    sabr_step("warm", Some(shelf.clone()))?;
    sabr_step("by rule", None)?;
    host_cost()?;
    sets("cnn3", BATCH, &shelf)?;
    sets("cnn7-no-bn", 16, &shelf)
}
