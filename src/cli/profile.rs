//! `smallbox profile`: where the time of a training step goes, kernel by kernel.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use smallbox::device::Session;
use smallbox::device::cpu::waited;
use smallbox::error::Result;
use smallbox::formats::atomic::write_atomically;
use smallbox::profile::{By, Profile, Roofs, Row, timeline};
use smallbox::train::{StepBench, Work};

use super::bench::{StepOptions, finite, median_and_best, row_name};
use super::format::{Side, bytes, count, table};
use super::options::DeviceOptions;
use super::{machine, output, parse};

/// Options of `profile`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    step: StepOptions,
    /// Steps to profile, in turn with as many that are not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse::positive)]
    steps: usize,
    /// Steps before those
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
    /// What shares a row: the launches of one kernel, or those of one kernel for one shape
    #[arg(long, value_enum, default_value_t = Rows::Kernel)]
    by: Rows,
    /// Write the steps as a timeline for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "F.json", value_parser = parse::new_file)]
    trace: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What shares a row.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rows {
    Kernel,
    Shape,
}

/// What was measured besides the profile.
struct Measured {
    name: String,
    roofs: Roofs,
    /// Seconds of steps without instruments.
    plain: Vec<f64>,
    plan_seconds: f64,
    compile_seconds: f64,
    /// Seconds of the first step, which meets everything cold.
    first_seconds: f64,
    /// Processor seconds per second of the whole process, over the steps without instruments; `None` where the system does not say.
    busy_cores: Option<f64>,
    /// Waits of the host per step without instruments.
    waits: f64,
    /// Device memory, and the process's where the system says it.
    peak: usize,
    peak_rss: Option<u64>,
}

/// Profiles training steps.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let config = args.step.config()?;
    let mut session = args.device.open_traced()?;
    let session = session.as_mut();
    let mut bench = StepBench::new(session, &config, Work::Step)?.keeping_parameters();
    let mut profile = Profile::new(session.program_info(bench.program()).launches);
    let mut step = 0;
    let mut seconds_of_step = |session: &mut dyn Session, bench: &mut StepBench| -> Result<f64> {
        step += 1;
        let begun = Instant::now();
        bench.queue(session)?;
        finite(step, pollster::block_on(bench.wait(session))?)?;
        Ok(begun.elapsed().as_secs_f64())
    };
    let first_seconds = seconds_of_step(session, &mut bench)?;
    for _ in 0..args.warmup {
        seconds_of_step(session, &mut bench)?;
    }
    let (mut plain, mut cpu, mut waits) = (Vec::with_capacity(args.steps), Some(0.0), 0);
    for _ in 0..args.steps {
        let work_seconds = || machine::cpu_seconds().map(|seconds| seconds - waited().as_secs_f64());
        let (cpu_before, waits_before) = (work_seconds(), session.host_waits());
        plain.push(seconds_of_step(session, &mut bench)?);
        let used = work_seconds().zip(cpu_before).map(|(after, before)| after - before);
        cpu = cpu.zip(used).map(|(sum, used)| sum + used);
        waits += session.host_waits() - waits_before;
        profile.add(pollster::block_on(bench.trace(session))?);
    }
    // Before the roofs take theirs.
    let (peak, peak_rss) = (session.memory().total(), machine::peak_rss_bytes());
    let measured = Measured {
        name: row_name(&config, Work::Step),
        roofs: pollster::block_on(Roofs::measure(session))?,
        busy_cores: cpu.map(|cpu| cpu / plain.iter().sum::<f64>()),
        plain,
        plan_seconds: bench.plan_seconds(),
        compile_seconds: bench.compile_seconds(),
        first_seconds,
        waits: waits as f64 / args.steps as f64,
        peak,
        peak_rss,
    };
    if let Some(file) = &args.trace {
        let text = timeline(&profile, session.device()).to_string();
        write_atomically(file, text.as_bytes())?;
    }
    let by = if args.by == Rows::Kernel { By::Kernel } else { By::Shape };
    let rows = profile.rows(by, &measured.roofs);
    if args.json {
        output::print_json(&document(session, &profile, &rows, &measured))
    } else {
        output::print(&text(session, &profile, &rows, &measured))
    }
}

/// How busy the threads were.
fn busy(cores: Option<f64>, threads: usize) -> String {
    match cores {
        Some(cores) => {
            let share = 100.0 * cores / threads as f64;
            format!("processor {cores:.2} cores busy of {threads} threads over a step, {share:.0} %\n")
        }
        None => "processor time unknown: the system does not tell it\n".to_string(),
    }
}

fn rate(per_second: f64) -> String {
    let value = per_second / 1e9;
    if value == 0.0 { "–".to_string() } else { format!("{value:.1}") }
}

fn row_cells(row: &Row) -> Vec<String> {
    let (flops, bytes) = (rate(row.flops_per_second()), rate(row.bytes_per_second()));
    vec![
        row.name.clone(),
        row.calls.to_string(),
        format!("{:.3}", 1e3 * row.total),
        format!("{:.1} %", 100.0 * row.share),
        format!("{:.1}", 1e6 * row.mean),
        format!("{:.1}", 1e6 * row.p95),
        flops,
        bytes,
        row.of_roof.map_or("–".to_string(), |of| format!("{:.0} %", 100.0 * of)),
        row.bound().name().to_string(),
    ]
}

const HEAD: [&str; 10] =
    ["kernel", "calls", "total ms", "share", "mean µs", "p95 µs", "GFLOP/s", "GB/s", "of roof", "bound by"];

fn text(session: &dyn Session, profile: &Profile, rows: &[Row], measured: &Measured) -> String {
    let mut cells = vec![HEAD.map(String::from).to_vec()];
    cells.extend(rows.iter().map(row_cells));
    let mut sides = [Side::Right; HEAD.len()];
    (sides[0], sides[HEAD.len() - 1]) = (Side::Left, Side::Left);
    let (device, times, roofs) = (session.device(), profile.times(), &measured.roofs);
    let mut plain = measured.plain.clone();
    let mut traced: Vec<f64> = profile.runs().iter().map(|run| run.seconds()).collect();
    let (plain, traced) = (median_and_best(&mut plain).0, median_and_best(&mut traced).0);
    let milliseconds = |seconds: f64| format!("{:.3} ms", 1e3 * seconds);
    let streams = roofs.streams.iter().map(|s| format!("{} at {}", rate(s.bytes_per_second), bytes(s.bytes)));
    let cores = busy(measured.busy_cores, rayon::current_num_threads());
    let rss = measured.peak_rss.map_or_else(String::new, |rss| format!(", process {}", bytes(rss)));
    format!(
        "{} on {} ({}); {}; a row is a step's, mean of {} steps\n\n{}\n\
         sum of rows {}, gaps {}, upload {}, record and submit {}, wait {}\n\
         a step: {} without instruments, {} with them (medians); the sum of rows is {:.1} % of the former\n\
         {} launches, {:.1} waits of the host a step\n\
         roofs: {} GFLOP/s multiply-adds, GB/s of streams {}, {:.2} µs a launch\n\
         plan {}, compile {}, first step {}\n{cores}\
         peak device memory {}{rss}\n",
        measured.name,
        device.id,
        device.name,
        roofs.clock.words(),
        profile.runs().len(),
        table(&sides, &cells),
        milliseconds(times.launches),
        milliseconds(times.gaps),
        milliseconds(times.upload),
        milliseconds(times.record),
        milliseconds(times.wait),
        milliseconds(plain),
        milliseconds(traced),
        100.0 * times.launches / plain,
        count(profile.launches().len() as u64),
        measured.waits,
        rate(roofs.flops_per_second),
        streams.collect::<Vec<_>>().join(", "),
        1e6 * roofs.launch_seconds,
        milliseconds(measured.plan_seconds),
        milliseconds(measured.compile_seconds),
        milliseconds(measured.first_seconds),
        bytes(measured.peak as u64),
    )
}

fn row_document(row: &Row) -> Value {
    json!({
        "name": row.name,
        "calls": row.calls,
        "total_ms": 1e3 * row.total,
        "share": row.share,
        "mean_ms": 1e3 * row.mean,
        "median_ms": 1e3 * row.median,
        "min_ms": 1e3 * row.min,
        "p95_ms": 1e3 * row.p95,
        "flops": row.cost.flops,
        "bytes": row.cost.bytes,
        "gflops": row.flops_per_second() / 1e9,
        "gbytes_per_s": row.bytes_per_second() / 1e9,
        "of_roof": row.of_roof,
        "bound_by": row.bound(),
    })
}

fn document(session: &dyn Session, profile: &Profile, rows: &[Row], measured: &Measured) -> Value {
    let device = session.device();
    let times = profile.times();
    let mut plain = measured.plain.clone();
    let mut traced: Vec<f64> = profile.runs().iter().map(|run| run.seconds()).collect();
    let ((plain, plain_best), (traced, traced_best)) = (median_and_best(&mut plain), median_and_best(&mut traced));
    json!({
        "device": device.id,
        "device_name": device.name,
        "name": measured.name,
        "clock": profile.clock(),
        "steps": profile.runs().len(),
        "threads": rayon::current_num_threads(),
        "rows": rows.iter().map(row_document).collect::<Vec<_>>(),
        "step": {
            "plain_median_ms": 1e3 * plain,
            "plain_min_ms": 1e3 * plain_best,
            "traced_median_ms": 1e3 * traced,
            "traced_min_ms": 1e3 * traced_best,
            "traced_mean_ms": 1e3 * times.seconds,
            "rows_ms": 1e3 * times.launches,
            "gaps_ms": 1e3 * times.gaps,
            "upload_ms": 1e3 * times.upload,
            "record_ms": 1e3 * times.record,
            "wait_ms": 1e3 * times.wait,
            "launches": profile.launches().len(),
            "waits": measured.waits,
        },
        "roofs": super::bench::roofs_document(&measured.roofs),
        "plan_ms": 1e3 * measured.plan_seconds,
        "compile_ms": 1e3 * measured.compile_seconds,
        "first_step_ms": 1e3 * measured.first_seconds,
        "busy_cores": measured.busy_cores,
        "busy_share": measured.busy_cores.map(|cores| cores / rayon::current_num_threads() as f64),
        "peak_bytes": measured.peak,
        "peak_rss_bytes": measured.peak_rss,
    })
}

#[cfg(test)]
mod tests {
    use super::busy;

    #[test]
    fn how_busy_threads_were_is_said_or_that_nobody_knows() {
        assert_eq!(busy(Some(1.5), 2), "processor 1.50 cores busy of 2 threads over a step, 75 %\n");
        assert!(busy(None, 2).contains("unknown"));
    }
}
