//! Which dispatches the variants make, and that they add in one order.

use std::collections::BTreeSet;

use smallbox::device::Session;
use smallbox::device::gpu::GpuOptions;
use smallbox::graph::{Graph, Plan};
use smallbox::kernel::{Dispatch, GpuLimits, TILES, Variant, WIDE_TILES};
use smallbox::ops::{Conv2dSpec, conv2d, gradients, shaders, sum_all};
use smallbox::shape::TensorType;

use super::workloads::{all, rounding_products, run};
use super::{session, variants};

/// Every dispatch of every workload under `limits`.
pub fn dispatches(limits: &GpuLimits) -> Vec<Dispatch> {
    let mut found = Vec::new();
    for w in all() {
        for step in Plan::new(w.graph).unwrap().steps {
            let call = step.op.gpu(&step.signature, limits).unwrap();
            found.extend(call.prepared.into_iter().flat_map(|form| form.dispatches));
            found.extend(call.dispatches);
        }
    }
    found
}

#[test]
fn the_variants_use_every_shader() {
    let used: BTreeSet<&str> =
        variants().iter().flat_map(|(_, limits)| dispatches(limits)).map(|d| d.shader.name).collect();
    let all: BTreeSet<&str> = shaders::ALL.iter().map(|s| s.name).collect();
    assert_eq!(used, all);
}

#[test]
fn every_dispatch_fits_the_portable_limits() {
    for d in dispatches(&GpuLimits::PORTABLE) {
        assert_eq!(d.binds.len(), d.shader.bindings.len(), "{}", d.shader.name);
        assert!(!d.shader.has_subgroups(), "{}: an optional feature", d.shader.name);
        let params = usize::from(!d.shader.params().is_empty() && !d.shader.has_uniform());
        assert!(d.binds.len() + params <= 8, "{}: 8 storage buffers are all that WebGPU guarantees", d.shader.name);
        assert!(d.groups.iter().all(|&g| (1..=65_535).contains(&g)), "{}: {:?}", d.shader.name, d.groups);
    }
}

/// What a tuner may choose among must not change a bit: the numbers here round at every step.
#[test]
fn all_variants_give_the_same_bits() {
    let portable = GpuLimits { workgroup_bytes: 32_768, invocations: 1024, ..GpuLimits::PORTABLE };
    let choices = [8, 32].map(|group| Variant::Register { group });
    let through_subgroups = choices.map(|variant| (variant, 8));
    let choices = choices.into_iter().chain([Variant::Plain]).chain(TILES.map(Variant::Tiled));
    let choices = choices.chain(WIDE_TILES.map(Variant::Wide)).map(|variant| (variant, 0));
    let mut results = Vec::new();
    for (variant, subgroups) in choices.chain(through_subgroups) {
        let limits = GpuLimits { variant: Some(variant), software: subgroups > 0, subgroups, ..portable };
        let shared = dispatches(&limits).iter().any(|d| d.shader.name == "matmul_subgroup");
        assert_eq!(shared, subgroups > 0, "{variant}");
        let Some(mut gpu) = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() }) else { return };
        if gpu.limits().subgroups < subgroups {
            println!("skipped: an adapter without subgroups of {subgroups}");
            continue;
        }
        let of = |w: &_| run(&mut gpu, w).unwrap_or_else(|e| panic!("{variant}: {e}"));
        results.push((variant, rounding_products().iter().map(of).collect::<Vec<_>>()));
    }
    let (first, want) = &results[0];
    for (variant, got) in &results[1..] {
        for ((w, got), want) in rounding_products().iter().zip(got).zip(want) {
            for ((name, _, got), (_, _, want)) in got.iter().zip(want) {
                let differing = got.iter().zip(want).filter(|(a, b)| a != b).count();
                assert_eq!(differing, 0, "{}: {name}: {variant} against {first}, of {}", w.name, got.len());
            }
        }
    }
    // Sums of numbers that don't round would be the same in every order: those compared fill their last bits.
    let words = want.iter().flatten().flat_map(|(_, _, words)| words);
    let full = words.clone().filter(|&&word| word & 0xff != 0).count();
    assert!(full > words.count() / 2, "{full} numbers with all their bits");
}

/// What goes through subgroups must be added in the order of what goes through workgroup memory: around every step of the tree, whatever
/// the size of a subgroup, in one piece and in several.
#[test]
fn sums_through_subgroups_give_the_same_bits() {
    let results = [0, 8].map(|subgroups| {
        let limits = GpuLimits { workgroup_bytes: 32_768, invocations: 1024, subgroups, ..GpuLimits::PORTABLE };
        let mut gpu = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() })?;
        if (gpu.limits().subgroups > 0) != (subgroups > 0) {
            println!("skipped: an adapter without subgroups");
            return None;
        }
        let (mut all, mut in_order) = (Vec::new(), Vec::new());
        for count in [1, 2, 3, 5, 7, 8, 9, 31, 33, 63, 65, 127, 129, 255, 256, 257, 1000, 40_000] {
            let mut g = Graph::new();
            let x = g.input("x", TensorType::f32([count])).unwrap();
            let sum = sum_all(&mut g, x).unwrap();
            g.output("sum", sum);
            let program = gpu.compile(&Plan::new(g).unwrap()).unwrap();
            let kernels: Vec<&str> = gpu.program_info(program).launches.iter().map(|launch| launch.kernel).collect();
            let kernel = if subgroups > 0 { "reduce_subgroup" } else { "reduce" };
            assert!(kernels.iter().all(|&k| k == kernel), "{count}: {kernels:?}");
            // Thirds of different sizes, so that the order of adding them shows.
            let words: Vec<f32> = (0..count).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 3.0).collect();
            gpu.run(program, &[("x", bytemuck::cast_slice(&words))]).unwrap();
            let sum = pollster::block_on(gpu.read(program, "sum")).unwrap()[0];
            let exact: f64 = words.iter().map(|&w| f64::from(w)).sum();
            let scale: f64 = words.iter().map(|&w| f64::from(w).abs()).sum();
            let error = (f64::from(f32::from_bits(sum)) - exact).abs();
            assert!(error <= count as f64 * f64::from(f32::EPSILON) * scale, "{count}: off by {error}");
            in_order.push(words.iter().sum::<f32>().to_bits());
            all.push(sum);
        }
        let elsewhere = all.iter().zip(&in_order).filter(|(tree, line)| tree != line).count();
        assert!(elsewhere > all.len() / 2, "another order gives other bits: {elsewhere} of {}", all.len());
        Some(all)
    });
    let [Some(through_memory), Some(through_subgroups)] = results else { return };
    assert_eq!(through_memory, through_subgroups);
}

#[test]
fn every_variant_makes_dispatches_of_its_own() {
    let calls = |variant| {
        let limits = GpuLimits { workgroup_bytes: 32_768, invocations: 1024, variant, ..GpuLimits::PORTABLE };
        dispatches(&limits).iter().map(|d| format!("{} {:?}", d.shader.name, d.overrides)).collect::<Vec<_>>()
    };
    let choices = TILES.map(Variant::Tiled).into_iter().chain([Variant::Plain, Variant::Register { group: 8 }]);
    let choices: Vec<_> = choices.chain(WIDE_TILES.map(Variant::Wide)).collect();
    let all: Vec<_> = choices.iter().map(|&variant| calls(Some(variant))).collect();
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "{}", choices[i]);
    }
}

/// Weights are put in the order of wide loads once for all convolutions by them, and anew when they have changed.
#[test]
fn convolutions_share_the_form_of_their_weights() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32([2, 4, 6, 6])).unwrap();
    let w = g.input("w", TensorType::f32([4, 4, 3, 3])).unwrap();
    let twice = (0..2).fold(x, |x, _| conv2d(&mut g, x, w, None, Conv2dSpec::square(1, 1)).unwrap());
    let loss = sum_all(&mut g, twice).unwrap();
    let grad = gradients(&mut g, loss, &[x]).unwrap()[0].unwrap();
    g.output("grad", grad);
    g.output("loss", loss);
    let plan = Plan::new(g).unwrap();
    let numbers = |n: usize, step: usize| (0..n).map(|i| (i * step % 101) as f32 / 3.0 - 17.0).collect::<Vec<_>>();
    let (x, weights) = (numbers(2 * 4 * 36, 37), [numbers(4 * 4 * 9, 29), numbers(4 * 4 * 9, 53)]);
    let results = [(Variant::Tiled(TILES[0]), 0), (Variant::Wide(WIDE_TILES[0]), 2)].map(|(variant, forms)| {
        let limits = GpuLimits { variant: Some(variant), ..GpuLimits::PORTABLE };
        let mut gpu = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() })?;
        let program = gpu.compile(&plan).unwrap();
        let launches = gpu.program_info(program).launches;
        assert_eq!(launches.iter().filter(|launch| launch.kernel == "transpose").count(), forms, "{variant}");
        Some([0, 1, 0].map(|i| {
            gpu.run(program, &[("x", bytemuck::cast_slice(&x)), ("w", bytemuck::cast_slice(&weights[i]))]).unwrap();
            ["grad", "loss"].map(|name| pollster::block_on(gpu.read(program, name)).unwrap())
        }))
    });
    let [Some(tiled), Some(wide)] = results else { return };
    assert_eq!(tiled, wide);
    assert_ne!(wide[0], wide[1], "other weights give another result");
    assert_eq!(wide[0], wide[2]);
}

#[test]
fn tiles_stay_within_what_webgpu_guarantees() {
    for tile in TILES {
        assert!(tile.bytes([1, 1]) <= 16_384 && tile.invocations() <= 256, "{tile:?}");
    }
    assert_eq!(TILES.last().map(|tile| (tile.extent(), tile.depth)), Some(([128, 128], 16)));
}

#[test]
fn long_work_is_launched_in_short_dispatches() {
    let (x, w) = (TensorType::f32([8, 16, 8, 8]), TensorType::f32([32, 16, 3, 3]));
    let mut g = Graph::new();
    let (x, w) = (g.input("x", x).unwrap(), g.input("w", w).unwrap());
    let y = conv2d(&mut g, x, w, None, Conv2dSpec::square(1, 1)).unwrap();
    let loss = sum_all(&mut g, y).unwrap();
    for (i, grad) in gradients(&mut g, loss, &[x, w]).unwrap().into_iter().flatten().enumerate() {
        g.output(&format!("grad{i}"), grad);
    }
    g.output("loss", loss);
    let plan = Plan::new(g).unwrap();
    // Two samples of 0.6 MFLOP each stay below it, three don't.
    for (dispatch_flops, least) in [(1_300_000, 4), (u64::MAX, 1)] {
        let limits = GpuLimits { dispatch_flops, ..GpuLimits::PORTABLE };
        let Some(mut gpu) = session(GpuOptions { limits: Some(limits), ..GpuOptions::default() }) else { return };
        let program = gpu.compile(&plan).unwrap();
        let launches = gpu.program_info(program).launches;
        for op in ["conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"] {
            let of: Vec<_> = launches.iter().filter(|launch| launch.op == op && launch.cost.flops > 0).collect();
            assert_eq!(of.len(), least, "{op}");
            assert!(of.iter().all(|launch| launch.cost.flops <= dispatch_flops), "{op}: {of:?}");
        }
    }
}
