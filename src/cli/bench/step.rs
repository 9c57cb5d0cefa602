//! `smallbox bench step`: whole training steps.

use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use smallbox::device::Session;
use smallbox::error::{Error, Result};
use smallbox::graph::Cost;
use smallbox::nn::ARCHITECTURES;
use smallbox::train::{Config, MethodKind, StepBench, Work};

use super::baseline::Gate;
use super::median_and_best;
use crate::cli::format::{bytes, count};
use crate::cli::options::DeviceOptions;
use crate::cli::{machine, parse};

/// Which step.
#[derive(clap::Args)]
pub struct StepOptions {
    /// Architecture
    #[arg(long, default_value = "cnn3", value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: String,
    /// Training method
    #[arg(long, default_value = "sabr", value_parser = PossibleValuesParser::new(MethodKind::ALL.map(MethodKind::name))
        .map(|name| name.parse::<MethodKind>().expect("only names of methods are let through")))]
    method: MethodKind,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = parse::positive)]
    batch: usize,
}

impl StepOptions {
    /// Its configuration.
    pub fn config(&self) -> Result<Config> {
        self.settings().resolve()
    }

    /// The same, not yet resolved.
    pub fn settings(&self) -> Config {
        Config { arch: self.arch.clone(), method: self.method, batch: self.batch, ..Config::default() }
    }
}

/// What `work` of `config` is called in tables.
pub fn row_name(config: &Config, work: Work) -> String {
    let (arch, batch) = (&config.arch, config.batch);
    match work {
        Work::Step => format!("step/{}/{arch}/{batch}", config.method.name()),
        Work::Attack => format!("attack/{arch}/{batch}"),
        Work::AttackAndChoice => format!("attack-and-choice/{arch}/{batch}"),
    }
}

/// An error if the loss of a step, or the mean pixel that an attack found, is not a number.
pub fn finite(step: u64, figure: f32) -> Result<()> {
    if figure.is_finite() {
        Ok(())
    } else {
        Err(Error::Diverged { step, what: format!("the figure read is {figure}") })
    }
}

/// Options of `bench step`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    step: StepOptions,
    #[command(flatten)]
    timing: Timing,
}

/// How many runs to time, and where.
#[derive(clap::Args)]
pub struct Timing {
    /// Runs to time, at least 5
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Runs before those
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    gate: Gate,
}

/// A median of fewer steps says little.
const FEWEST_STEPS: usize = 5;

/// Runs, timed.
pub struct Measured {
    name: String,
    batch: usize,
    median: f64,
    best: f64,
    cost: Cost,
    launches: usize,
    peak: usize,
}

/// Times `steps` runs of `work` after `warmup` others.
pub fn measure(
    session: &mut dyn Session,
    config: &Config,
    work: Work,
    warmup: usize,
    steps: usize,
) -> Result<Measured> {
    let mut bench = StepBench::new(session, config, work)?.keeping_parameters();
    let mut seconds = Vec::with_capacity(steps);
    for i in 0..warmup + steps {
        let begun = Instant::now();
        bench.queue(session)?;
        finite(i as u64 + 1, pollster::block_on(bench.wait(session))?)?;
        if i >= warmup {
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    let (median, best) = median_and_best(&mut seconds);
    let (peak, launches) = (session.memory().total(), session.program_info(bench.program()).launches.len());
    session.release(bench.program());
    let name = row_name(config, work);
    Ok(Measured { name, batch: config.batch, median, best, cost: bench.cost(), launches, peak })
}

impl Measured {
    fn gflops(&self) -> f64 {
        self.cost.flops as f64 / self.median / 1e9
    }

    fn samples_per_second(&self) -> f64 {
        self.batch as f64 / self.median
    }

    /// The row of a table.
    pub fn row(&self) -> Value {
        json!({
            "name": self.name, "median_ms": 1e3 * self.median, "min_ms": 1e3 * self.best, "gflops": self.gflops(),
            "gbytes_per_s": self.cost.bytes as f64 / self.median / 1e9, "of_roof": null,
            "samples_per_second": self.samples_per_second(), "peak_bytes": self.peak,
        })
    }
}

/// Times training steps.
pub fn run(args: &Args) -> Result<()> {
    time(&args.timing, &args.step.config()?, Work::Step)
}

/// Times `work` of `config` and prints the result.
pub fn time(timing: &Timing, config: &Config, work: Work) -> Result<()> {
    if timing.steps < FEWEST_STEPS {
        return Err(Error::Usage(format!("--steps {}: expected at least {FEWEST_STEPS}", timing.steps)));
    }
    timing.device.set_threads()?;
    let mut session = timing.device.open_or(None)?;
    let session = session.as_mut();
    let baseline = timing.gate.read(session.device())?;
    let measured = measure(session, config, work, timing.warmup, timing.steps)?;
    let (device, peak_rss) = (session.device(), machine::peak_rss_bytes());
    let document = json!({
        "device": device.id,
        "device_name": device.name,
        "rows": [measured.row()],
        "arch": config.arch, "batch": config.batch,
        // An attack is the same for every method that has one.
        "method": (work == Work::Step).then_some(config.method.name()),
        "steps": timing.steps, "warmup": timing.warmup, "threads": rayon::current_num_threads(),
        "flops": measured.cost.flops, "bytes": measured.cost.bytes, "launches": measured.launches,
        "peak_bytes": measured.peak, "peak_rss_bytes": peak_rss,
    });
    let rss = peak_rss.map_or_else(String::new, |rss| format!(", process {}", bytes(rss)));
    let text = format!(
        "{} on {} ({})\nmedian {:.2} ms, best {:.2} ms of {} runs; {:.1} GFLOP/s, {} samples/s\n\
         {} launches a run; peak device memory {}{rss}\n",
        measured.name,
        device.id,
        device.name,
        1e3 * measured.median,
        1e3 * measured.best,
        timing.steps,
        measured.gflops(),
        count(measured.samples_per_second().round() as u64),
        count(measured.launches as u64),
        bytes(measured.peak as u64)
    );
    timing.gate.finish(document, &text, baseline.as_ref(), true)
}
