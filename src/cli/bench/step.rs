//! `smallbox bench step`: whole training steps.

use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use smallbox::device::Session;
use smallbox::error::{Error, Result};
use smallbox::graph::Cost;
use smallbox::nn::ARCHITECTURES;
use smallbox::train::{Config, MethodKind, StepBench};

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

/// What the step of `config` is called in tables.
pub fn row_name(config: &Config) -> String {
    format!("step/{}/{}/{}", config.method.name(), config.arch, config.batch)
}

/// An error if the loss of a step is not a number.
pub fn finite(step: u64, loss: f32) -> Result<()> {
    if loss.is_finite() { Ok(()) } else { Err(Error::Diverged { step, what: format!("loss is {loss}") }) }
}

/// Options of `bench step`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    step: StepOptions,
    /// Steps to time, at least 5
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Steps before those
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    gate: Gate,
}

/// A median of fewer steps says little.
const FEWEST_STEPS: usize = 5;

/// Steps, timed.
pub struct Measured {
    name: String,
    batch: usize,
    median: f64,
    best: f64,
    cost: Cost,
    peak: usize,
}

/// Times `steps` steps after `warmup` others.
pub fn measure(session: &mut dyn Session, config: &Config, warmup: usize, steps: usize) -> Result<Measured> {
    let mut bench = StepBench::new(session, config)?;
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
    let peak = session.memory().total();
    session.release(bench.program());
    Ok(Measured { name: row_name(config), batch: config.batch, median, best, cost: bench.cost(), peak })
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
    if args.steps < FEWEST_STEPS {
        return Err(Error::Usage(format!("--steps {}: expected at least {FEWEST_STEPS}", args.steps)));
    }
    args.device.set_threads()?;
    let config = args.step.config()?;
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let baseline = args.gate.read(session.device())?;
    let measured = measure(session, &config, args.warmup, args.steps)?;
    let (device, peak_rss) = (session.device(), machine::peak_rss_bytes());
    let document = json!({
        "device": device.id,
        "device_name": device.name,
        "rows": [measured.row()],
        "arch": config.arch, "method": config.method.name(), "batch": config.batch,
        "steps": args.steps, "warmup": args.warmup, "threads": rayon::current_num_threads(),
        "flops": measured.cost.flops, "bytes": measured.cost.bytes,
        "peak_bytes": measured.peak, "peak_rss_bytes": peak_rss,
    });
    let rss = peak_rss.map_or_else(String::new, |rss| format!(", process {}", bytes(rss)));
    let text = format!(
        "{} on {} ({})\nmedian {:.2} ms, best {:.2} ms of {} steps; {:.1} GFLOP/s, {} samples/s\n\
         peak device memory {}{rss}\n",
        measured.name,
        device.id,
        device.name,
        1e3 * measured.median,
        1e3 * measured.best,
        args.steps,
        measured.gflops(),
        count(measured.samples_per_second().round() as u64),
        bytes(measured.peak as u64)
    );
    args.gate.finish(document, &text, baseline.as_ref(), true)
}
