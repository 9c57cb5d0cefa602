//! The speed that the register-tiled kernels owe to their size: on a software adapter, forward and backward of `cnn3`.

use std::time::Instant;

use smallbox::device::gpu::GpuOptions;
use smallbox::device::{Feed, Session};
use smallbox::graph::{Graph, Plan};
use smallbox::kernel::{GpuLimits, Variant};
use smallbox::ops::*;
use smallbox::shape::TensorType;

use super::session;

/// Logits of `cnn3` on a batch of 28×28 images, their loss, and the gradients of all parameters.
fn cnn3(batch: usize) -> Graph {
    let mut g = Graph::new();
    let parameter = |g: &mut Graph, name: &str, shape: &[usize]| g.state(name, TensorType::f32(shape)).unwrap();
    let shapes: [(&str, &[usize]); 4] =
        [("conv1", &[16, 1, 4, 4]), ("conv2", &[32, 16, 4, 4]), ("fc1", &[100, 1568]), ("fc2", &[10, 100])];
    let weights = shapes.map(|(name, shape)| parameter(&mut g, name, shape));
    let biases = shapes.map(|(name, shape)| parameter(&mut g, &format!("{name}.bias"), &shape[..1]));
    let x = g.input("x", TensorType::f32([batch, 1, 28, 28])).unwrap();
    let labels = g.input("labels", TensorType::u32([batch])).unwrap();
    let spec = Conv2dSpec::square(2, 1);
    let mut h = x;
    for i in 0..2 {
        h = conv2d(&mut g, h, weights[i], Some(biases[i]), spec).unwrap();
        h = relu(&mut g, h).unwrap();
    }
    h = g.reshape(h, [batch, 1568]).unwrap();
    h = linear(&mut g, h, weights[2], Some(biases[2])).unwrap();
    h = relu(&mut g, h).unwrap();
    let logits = linear(&mut g, h, weights[3], Some(biases[3])).unwrap();
    let losses = cross_entropy(&mut g, logits, labels).unwrap();
    let loss = mean_all(&mut g, losses).unwrap();
    g.output("loss", loss);
    let wrt: Vec<_> = weights.into_iter().chain(biases).collect();
    for (i, grad) in gradients(&mut g, loss, &wrt).unwrap().into_iter().flatten().enumerate() {
        g.output(&format!("grad{i}"), grad);
    }
    g
}

#[test]
fn register_tiles_are_three_times_as_fast_as_plain_kernels() {
    const BATCH: usize = 256;
    let plan = Plan::new(cnn3(BATCH)).unwrap();
    let images = vec![0.5f32; BATCH * 28 * 28];
    let labels = vec![3u32; BATCH];
    let feeds: [Feed<'_>; 2] = [("x", bytemuck::cast_slice(&images)), ("labels", bytemuck::cast_slice(&labels))];
    let mut best = Vec::new();
    for plain in [false, true] {
        let limits = GpuLimits { software: true, workgroup_bytes: 32_768, ..GpuLimits::PORTABLE };
        let limits = GpuLimits { variant: plain.then_some(Variant::Plain), ..limits };
        let Some(mut gpu) = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() }) else { return };
        let program = gpu.compile(&plan).unwrap();
        let mut time = || {
            let start = Instant::now();
            gpu.run(program, &feeds).unwrap();
            let recorded = start.elapsed();
            pollster::block_on(gpu.read(program, "loss")).unwrap();
            (start.elapsed(), recorded)
        };
        time();
        let runs: Vec<_> = (0..3).map(|_| time()).collect();
        let launches = gpu.program_info(program).launches.len();
        let (run, recorded) = (runs.iter().map(|r| r.0).min().unwrap(), runs.iter().map(|r| r.1).min().unwrap());
        println!("plain {plain}: {run:?} a run, {launches} launches, {recorded:?} to record and submit");
        best.push(run.as_secs_f64());
    }
    assert!(best[1] >= 3.0 * best[0], "{:.1} ms against {:.1} ms plain", 1e3 * best[0], 1e3 * best[1]);
}
