//! GFLOP/s of the native kernels of the heavy ops, layer by layer, beside the machine's measured multiply-add peak.
//!
//!     cargo bench --bench native [-- LAYER]
//!
//! The layers are those of `cnn3` at batch 256 and `cnn7` at batch 64. A row is the fastest of the runs that fit in half a
//! second, at least three; a multiply-add counts as two operations, padding counts as work. Only compare rows of one run
//! on an idle machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan, Value};
use smallbox::ops::{self, Conv2dSpec};
use smallbox::shape::TensorType;

/// A layer over `batch` samples.
enum Layer {
    /// Channels, features, extent of the image, kernel, stride, padding.
    Conv([usize; 6]),
    /// Inputs, outputs.
    Linear([usize; 2]),
}

const LAYERS: [(&str, usize, Layer); 9] = [
    ("cnn3.conv1", 256, Layer::Conv([1, 16, 28, 4, 2, 1])),
    ("cnn3.conv2", 256, Layer::Conv([16, 32, 14, 4, 2, 1])),
    ("cnn3.fc1", 256, Layer::Linear([1568, 100])),
    ("cnn3.fc2", 256, Layer::Linear([100, 10])),
    ("cnn7.conv1", 64, Layer::Conv([1, 64, 28, 3, 1, 1])),
    ("cnn7.conv2", 64, Layer::Conv([64, 64, 28, 3, 1, 1])),
    ("cnn7.conv3", 64, Layer::Conv([64, 128, 28, 3, 2, 1])),
    ("cnn7.conv4", 64, Layer::Conv([128, 128, 14, 3, 1, 1])),
    ("cnn7.fc1", 64, Layer::Linear([25088, 512])),
];

const DIRECTIONS: [&str; 6] = [
    "forward",
    "backward_input",
    "backward_weight",
    "interval_forward",
    "interval_backward_input",
    "interval_backward_weight",
];

/// Seconds of the fastest run.
fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    for round in 0.. {
        if round >= 3 && begin.elapsed() > Duration::from_millis(500) {
            break;
        }
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Adds the layer in one direction to the graph; its operands are states, so that a run copies nothing in or out.
fn build(graph: &mut Graph, batch: usize, layer: &Layer, direction: usize) -> Result<()> {
    let (x, w, y) = match *layer {
        Layer::Conv([c, o, extent, kernel, stride, padding]) => {
            let out = (extent + 2 * padding - kernel) / stride + 1;
            (vec![batch, c, extent, extent], vec![o, c, kernel, kernel], vec![batch, o, out, out])
        }
        Layer::Linear([f, g]) => (vec![batch, f], vec![g, f], vec![batch, g]),
    };
    let mut state = |name: &str, dims: &[usize]| graph.state(name, TensorType::f32(dims));
    let (center, radius, weight) = (state("x", &x)?, state("r", &x)?, state("w", &w)?);
    let grad = state("gy", &y)?;
    let interval = direction >= 3;
    let outputs: Vec<Value> = match *layer {
        Layer::Conv([.., stride, padding]) => {
            let spec = Conv2dSpec::square(stride, padding);
            if interval {
                ops::conv2d_interval(graph, (center, radius), weight, None, spec).map(|(c, r)| vec![c, r])?
            } else {
                vec![ops::conv2d(graph, center, weight, None, spec)?]
            }
        }
        Layer::Linear(_) if interval => {
            ops::linear_interval(graph, (center, radius), weight, None).map(|(c, r)| vec![c, r])?
        }
        Layer::Linear(_) => vec![ops::linear(graph, center, weight, None)?],
    };
    // The gradient of a box's center alone takes the same kernel, with zeros as the radius's gradient.
    let results = match direction % 3 {
        0 => outputs,
        1 => ops::gradients_from(graph, outputs[0], grad, &[center])?.into_iter().flatten().collect(),
        _ => ops::gradients_from(graph, outputs[0], grad, &[weight])?.into_iter().flatten().collect(),
    };
    for (i, value) in results.into_iter().enumerate() {
        graph.output(&format!("out{i}"), value);
    }
    Ok(())
}

/// Operations per second of the kernel in a chain of independent multiply-adds on all cores: what no kernel can exceed.
/// Plain code compiled for the machine's best instruction set, through the library's own wrapper.
fn peak() -> Result<f64> {
    const ROUNDS: usize = 1 << 20;
    let threads = rayon::current_num_threads();
    let seconds = fastest(|| {
        (0..threads).into_par_iter().for_each(|_| {
            black_box(ops::simd::multiply_adds(black_box(ROUNDS)));
        });
        Ok(())
    })?;
    Ok((threads * ROUNDS * ops::simd::MULTIPLY_ADDS * 2) as f64 / seconds)
}

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let peak = peak()?;
    println!("{:<40} {:>10} {:>10} {:>8}", "kernel", "ms", "GFLOP/s", "of peak");
    println!("{:<40} {:>10} {:>10.1} {:>8}", "multiply-add peak", "", peak / 1e9, "");
    for (name, batch, layer) in &LAYERS {
        for (direction, what) in DIRECTIONS.iter().enumerate().filter(|_| name.contains(&filter)) {
            for way in ["", "fast "] {
                let mut graph = Graph::new();
                match way {
                    "" => build(&mut graph, *batch, layer, direction)?,
                    _ => graph.fast(|g| build(g, *batch, layer, direction))?,
                }
                let plan = Plan::new(graph)?;
                let flops = plan.cost().flops as f64;
                let mut session = CpuSession::new();
                let program = session.compile(&plan)?;
                let seconds = fastest(|| session.run(program, &[]))?;
                let rate = flops / seconds;
                println!(
                    "{:<40} {:>10.3} {:>10.1} {:>7.1}%",
                    format!("{way}{name}.{what}"),
                    seconds * 1e3,
                    rate / 1e9,
                    100.0 * rate / peak
                );
            }
        }
    }
    Ok(())
}
