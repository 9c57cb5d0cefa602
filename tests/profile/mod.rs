//! Traced runs: they do what runs do, their times add up, their costs are the plan's; timelines and roofs.

mod kernels;

use serde_json::json;
use smallbox::device::cpu::CpuSession;
use smallbox::device::gpu::GpuOptions;
use smallbox::device::{Clock, Feed, RunTrace, Session};
use smallbox::graph::{Cost, Plan};
use smallbox::nn::{Layer, architecture, described};
use smallbox::profile::{By, Profile, Roofs, timeline};
use smallbox::train::step::{Phase, plan_step};
use smallbox::train::{Config, MethodKind, StepBench, Work};

use crate::common::run::zeros;
use crate::common::{device, timeline as trace_file};

/// A step to trace: SABR on `cnn3` on the native device; on a GPU, whose software drivers take long to compile kernels, a few linear layers.
fn config(session: &dyn Session) -> Config {
    let config = Config { batch: 4, attack_steps: 2, ..Config::default() };
    let config = match session.device().backend.as_str() {
        "native" => Config { method: MethodKind::Sabr, ..config },
        _ => {
            let layers =
                vec![Layer::Flatten, Layer::Linear { outputs: 16 }, Layer::Relu, Layer::Linear { outputs: 10 }];
            Config { method: MethodKind::Std, arch: "mine".into(), layers: Some(layers), ..config }
        }
    };
    config.resolve().expect("settings")
}

fn plan(config: &Config) -> Plan {
    let network = match &config.layers {
        Some(layers) => described(&config.arch, layers, [1, 28, 28], 10, &[], &[]),
        None => architecture(&config.arch, [1, 28, 28], 10, &[], &[]),
    };
    let phase = Phase { natural: false, robust: true, annealing: false };
    plan_step(&network.expect("a network"), config, phase).expect("a plan")
}

/// Every device, the GPU with timestamps and without.
fn each(mut test: impl FnMut(&mut dyn Session, &[Clock])) {
    test(&mut CpuSession::new(), &[Clock::Host]);
    let timestamps = |options| GpuOptions { timestamps: true, ..options };
    // An adapter need not have them.
    device::gpu(timestamps, |session| test(session, &[Clock::Timestamps, Clock::Waits]));
    device::gpu(|options| options, |session| test(session, &[Clock::Waits]));
}

/// Holds that the times of a run are one after the other and within it.
fn check_times(trace: &RunTrace) -> Result<(), String> {
    let order = [trace.upload, trace.record, trace.wait];
    if order.iter().any(|span| span.end < span.begin) || order.windows(2).any(|pair| pair[1].begin < pair[0].end) {
        return Err(format!("upload, record, wait: {order:?}"));
    }
    for (i, span) in trace.launches.iter().enumerate() {
        let free = if i == 0 { f64::NEG_INFINITY } else { trace.launches[i - 1].end };
        if !(span.begin >= free && span.end >= span.begin && span.end <= trace.seconds()) {
            return Err(format!("launch {i} is {span:?}, the one before it ends at {free}"));
        }
    }
    Ok(())
}

#[test]
fn a_traced_step_does_what_a_step_does_and_its_times_add_up() {
    each(|session, clocks| {
        let plan = plan(&config(session));
        let program = session.compile(&plan).unwrap();
        let launches = session.program_info(program).launches;
        let mut cost = Cost::default();
        launches.iter().for_each(|launch| cost += launch.cost);
        assert_eq!(cost, plan.cost(), "the launches bear the plan's cost");
        assert!(launches.len() >= plan.steps.len());

        let zeros = zeros(&plan);
        let feeds: Vec<Feed<'_>> = zeros.iter().map(|(n, words)| (n.as_str(), bytemuck::cast_slice(words))).collect();
        let after = |session: &mut dyn Session, traced: bool| {
            for (name, ty) in session.states() {
                let ramp: Vec<f32> = (0..ty.elements()).map(|i| (i % 13) as f32 / 64.0 - 0.09).collect();
                session.write_state(&name, bytemuck::cast_slice(&ramp)).unwrap();
            }
            let trace = match traced {
                true => Some(pollster::block_on(session.run_traced(program, &feeds)).unwrap()),
                false => session.run(program, &feeds).map(|()| None).unwrap(),
            };
            let states = session.states();
            let read = |(name, _): (String, _)| pollster::block_on(session.read_state(&name)).unwrap();
            (states.into_iter().map(read).collect::<Vec<_>>(), trace)
        };
        let (plain, _) = after(session, false);
        let (states, trace) = after(session, true);
        assert!(plain == states, "a traced step leaves the same bits");
        let trace = trace.expect("a trace");
        assert!(clocks.contains(&trace.clock), "{:?}", trace.clock);
        assert_eq!(trace.launches.len(), launches.len());
        check_times(&trace).unwrap();
        assert!(trace.busy() > 0.0 && trace.busy() + trace.gaps() <= trace.seconds() * (1.0 + 1e-9), "{trace:?}");
        // The checks notice.
        let mut wrong = trace.clone();
        wrong.launches[1].begin = wrong.launches[0].begin - 1.0;
        assert!(check_times(&wrong).is_err(), "launches that overlap");
        let mut wrong = trace;
        wrong.record.begin = -1.0;
        assert!(check_times(&wrong).is_err(), "recorded before the upload ended");
    });
}

#[test]
fn a_missing_feed_is_named_by_a_traced_run_too() {
    each(|session, _| {
        let plan = plan(&config(session));
        let program = session.compile(&plan).unwrap();
        let error = pollster::block_on(session.run_traced(program, &[])).unwrap_err().to_string();
        assert!(error.contains("was not fed"), "{error}");
        session.release(program);
        let error = pollster::block_on(session.run_traced(program, &[])).unwrap_err().to_string();
        assert!(error.contains("released"), "{error}");
    });
}

#[test]
fn a_profile_of_steps_has_rows_that_add_up_and_a_timeline() {
    each(|session, _| {
        let config = config(session);
        let mut bench = StepBench::new(session, &config, Work::Step).unwrap();
        assert!(bench.plan_seconds() > 0.0 && bench.compile_seconds() > 0.0);
        let mut profile = Profile::new(session.program_info(bench.program()).launches);
        for _ in 0..3 {
            profile.add(pollster::block_on(bench.trace(session)).unwrap());
        }
        let roofs = pollster::block_on(Roofs::measure_up_to(session, 1 << 22)).unwrap();
        assert!(roofs.flops_per_second > 1e6 && roofs.launch_seconds > 0.0, "{roofs:?}");
        assert!(roofs.streams.len() == 3 && roofs.streams.iter().all(|s| s.bytes_per_second > 1e6), "{roofs:?}");
        for by in [By::Kernel, By::Shape] {
            let rows = profile.rows(by, &roofs);
            let total: f64 = rows.iter().map(|row| row.total).sum();
            let times = profile.times();
            assert!((total - times.launches).abs() <= 1e-9 * total, "{total} {times:?}");
            assert!(total <= times.seconds, "{total} {times:?}");
            assert_eq!(rows.iter().map(|row| row.calls).sum::<usize>(), profile.launches().len());
            let mut cost = Cost::default();
            rows.iter().for_each(|row| cost += row.cost);
            assert_eq!(cost, bench.cost());
            for row in &rows {
                assert!(row.min <= row.median && row.median <= row.p95, "{row:?}");
                assert!(row.of_roof.is_none_or(|of| of > 0.0), "{row:?}");
            }
        }
        let file: serde_json::Value =
            serde_json::from_str(&timeline(&profile, session.device()).to_string()).expect("JSON");
        let tracks = trace_file::check(&file).unwrap();
        assert_eq!(tracks["runs"].len(), 3);
        assert_eq!(tracks["kernels"].len(), 3 * profile.launches().len());
        let names = |count: usize| tracks["kernels"][..count].iter().map(|e| e["name"].as_str().unwrap().to_string());
        let launched = profile.launches().iter().map(|launch| launch.kernel);
        assert!(names(profile.launches().len()).eq(launched), "in the order of the program");
        assert!(tracks["host"].iter().any(|event| event["name"] == "upload"));
    });
}

#[test]
fn a_wrong_timeline_is_rejected() {
    let event = |ts: f64, dur: f64| json!({ "name": "a", "ph": "X", "ts": ts, "dur": dur, "pid": 1, "tid": 1 });
    let named = |what: &str| json!({ "name": what, "ph": "M", "pid": 1, "tid": 1, "args": { "name": "b" } });
    let file = |events: Vec<serde_json::Value>| json!({ "traceEvents": events });
    let heads = || vec![named("process_name"), named("thread_name")];
    let check = |more: Vec<serde_json::Value>| trace_file::check(&file([heads(), more].concat()));
    assert!(check(vec![event(0.0, 2.0), event(2.0, 1.0)]).is_ok());
    assert!(check(vec![event(0.0, 2.0), event(1.999, 1.0)]).is_err(), "overlap");
    assert!(check(vec![event(-1.0, 2.0)]).is_err(), "before the beginning");
    assert!(trace_file::check(&file(vec![named("process_name"), event(0.0, 1.0)])).is_err(), "a track without a name");
    assert!(trace_file::check(&json!([])).is_err(), "no events");
}
