//! The same program gives the same bits: run twice, compiled anew, on any number of threads, with and without checks in shaders.

use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::device::gpu::GpuOptions;
use smallbox::graph::Value;
use smallbox::interval::Interval;
use smallbox::nn::{Bound, Layer, Network};
use smallbox::ops::{self, Distribution};

use crate::common::device;
use crate::common::random::Random;
use crate::common::run::{Outcome, run, run_times};

/// A net whose layers exceed one piece of work in every direction.
fn network() -> Network {
    let layers = vec![
        Layer::Conv2d { features: 20, kernel: 3, stride: 1, padding: 1 },
        Layer::Relu,
        Layer::Conv2d { features: 33, kernel: 4, stride: 2, padding: 1 },
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 70 },
        Layer::Relu,
        Layer::Linear { outputs: 10 },
    ];
    Network::new("wide", [3, 17, 15], 10, layers).expect("the layers fit")
}

/// Points and boxes through the net, losses, all gradients, statistics and random numbers.
fn program(session: &mut dyn Session, times: usize) -> Outcome {
    let network = network();
    let n = 37;
    run_times(session, times, |c| {
        let random = &mut Random::new(1);
        let parameters: Vec<Value> =
            network.parameters().iter().map(|p| c.input(&random.tensor(p.shape.dims(), -0.1, 0.1))).collect();
        let x = c.input(&random.tensor(network.batch_shape(n).dims(), 0.0, 1.0));
        let labels = c.labels(&random.labels(n, 10));
        let key = c.labels(&[1, 2, 3, 4]);
        let g = &mut c.graph;
        let noise =
            ops::random(g, Distribution::Normal { mean: 0.0, deviation: 0.01 }, key, 0, network.batch_shape(n))?;
        let center = ops::add(g, x, noise)?;
        let radius = ops::fill(g, 0.01, network.batch_shape(n))?;
        let bound = Bound::with_values(&network, parameters.clone());
        let logits = bound.forward(g, center)?;
        let natural = ops::cross_entropy(g, logits, labels)?;
        let propagated = bound.propagate(g, Interval { center, radius })?;
        let margins = bound.margin_logits(g, propagated.before_last, labels)?;
        let robust = ops::cross_entropy(g, margins, labels)?;
        let losses = ops::add(g, natural, robust)?;
        let loss = ops::mean_all(g, losses)?;
        let layer = propagated.before_relu[0];
        let statistics = ops::bound_statistics(g, (layer.center, layer.radius))?;
        let wrt: Vec<Value> = parameters.into_iter().chain([center]).collect();
        let grads = ops::gradients(g, loss, &wrt)?;
        for (i, grad) in grads.into_iter().enumerate() {
            c.output(&format!("grad{i}"), grad.expect("the loss depends on everything"));
        }
        c.output("loss", loss);
        c.output("margins", margins);
        c.output("statistics", statistics);
        Ok(())
    })
}

#[track_caller]
fn assert_same_bits(a: &Outcome, b: &Outcome) {
    for (named, _) in &a.plan.outputs {
        assert_eq!(a.words(&named.name), b.words(&named.name), "{}", named.name);
    }
}

#[test]
fn a_program_repeats_bit_for_bit() {
    device::each(|session| {
        let first = program(session, 1);
        assert!(first.tensor("loss").data[0].is_finite());
        // Run again with buffers full of the last run, and compiled anew beside it.
        assert_same_bits(&first, &program(session, 3));
    });
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let outcomes = [1, 2, 3, 8].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| program(&mut CpuSession::new(), 1))
    });
    for other in &outcomes[1..] {
        assert_same_bits(&outcomes[0], other);
    }
}

#[test]
fn checks_in_shaders_do_not_change_a_bit() {
    let mut checked = None;
    device::gpu(|options| GpuOptions { shader_checks: true, ..options }, |session| checked = Some(program(session, 1)));
    let Some(checked) = checked else { return };
    device::gpu(|options| options, |session| assert_same_bits(&checked, &program(session, 1)));
}

/// The limits that every WebGPU implementation guarantees are enough.
#[test]
fn portable_limits_give_the_same_bits() {
    let mut own = None;
    device::gpu(|options| options, |session| own = Some(program(session, 1)));
    let Some(own) = own else { return };
    device::gpu(
        |options| GpuOptions { portable: true, ..options },
        |session| {
            assert_same_bits(&own, &program(session, 1));
        },
    );
}

/// A short feed, a missing feed and a wild name are one clear error each.
#[test]
fn wrong_feeds_are_refused() {
    use smallbox::graph::{Graph, Plan};
    use smallbox::shape::TensorType;
    device::each(|session| {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::f32([4])).unwrap();
        let y = ops::scale(&mut g, x, 2.0).unwrap();
        g.output("y", y);
        let program = session.compile(&Plan::new(g).unwrap()).unwrap();
        let four: &[u8] = bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 4.0]);
        let missing = session.run(program, &[]).unwrap_err().to_string();
        assert!(missing.contains("'x' was not fed"), "{missing}");
        let short = session.run(program, &[("x", &four[..12])]).unwrap_err().to_string();
        assert!(short.contains("'x' needs 16 bytes"), "{short}");
        session.run(program, &[("x", four)]).unwrap();
        let unknown = pollster::block_on(session.read(program, "z")).unwrap_err().to_string();
        assert!(unknown.contains("'z'"), "{unknown}");
        session.release(program);
        assert!(session.run(program, &[("x", four)]).is_err(), "a released program");
    });
}

/// Outcomes of different programs do differ: the comparison above is not of nothing.
#[test]
fn another_program_gives_other_bits() {
    let session = &mut CpuSession::new();
    let first = program(session, 1);
    assert!(first.plan.outputs.len() > 10);
    let scaled = run(session, |c| {
        let x = c.input(&first.tensor("margins").map(|m| m * (1.0 + 1e-6)));
        let y = ops::scale(&mut c.graph, x, 1.0)?;
        c.output("margins", y);
        Ok(())
    });
    assert_ne!(first.words("margins"), scaled.words("margins"));
}
