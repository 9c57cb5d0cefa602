//! `smallbox bench step`: whole training steps.

use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use smallbox::error::{Error, Result};
use smallbox::nn::ARCHITECTURES;
use smallbox::train::{Config, MethodKind, StepBench};

use super::median_and_best;
use crate::cli::format::{bytes, count};
use crate::cli::options::DeviceOptions;
use crate::cli::{machine, output, parse};

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
        Config { arch: self.arch.clone(), method: self.method, batch: self.batch, ..Config::default() }.resolve()
    }

    /// What it is called in tables.
    pub fn row_name(&self, config: &Config) -> String {
        format!("step/{}/{}/{}", config.method.name(), config.arch, config.batch)
    }
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
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A median of fewer steps says little.
const FEWEST_STEPS: usize = 5;

/// Times training steps.
pub fn run(args: &Args) -> Result<()> {
    if args.steps < FEWEST_STEPS {
        return Err(Error::Usage(format!("--steps {}: expected at least {FEWEST_STEPS}", args.steps)));
    }
    args.device.set_threads()?;
    let config = args.step.config()?;
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let mut bench = StepBench::new(session, &config)?;
    let mut seconds = Vec::with_capacity(args.steps);
    for i in 0..args.warmup + args.steps {
        let begun = Instant::now();
        bench.queue(session)?;
        finite(i as u64 + 1, pollster::block_on(bench.wait(session))?)?;
        if i >= args.warmup {
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    let (median, best) = median_and_best(&mut seconds);
    let (cost, device, peak) = (bench.cost(), session.device(), session.memory().total());
    let name = args.step.row_name(&config);
    let (gflops, gbytes) = (cost.flops as f64 / median / 1e9, cost.bytes as f64 / median / 1e9);
    let samples_per_second = config.batch as f64 / median;
    let peak_rss = machine::peak_rss_bytes();
    if args.json {
        return output::print_json(&json!({
            "device": device.id,
            "device_name": device.name,
            "rows": [{
                "name": name, "median_ms": 1e3 * median, "min_ms": 1e3 * best, "gflops": gflops,
                "gbytes_per_s": gbytes, "of_roof": null, "samples_per_second": samples_per_second,
            }],
            "arch": config.arch, "method": config.method.name(), "batch": config.batch,
            "steps": args.steps, "warmup": args.warmup, "threads": rayon::current_num_threads(),
            "flops": cost.flops, "bytes": cost.bytes,
            "peak_bytes": peak, "peak_rss_bytes": peak_rss,
        }));
    }
    let rss = peak_rss.map_or_else(String::new, |rss| format!(", process {}", bytes(rss)));
    output::print(&format!(
        "{name} on {} ({})\nmedian {:.2} ms, best {:.2} ms of {} steps; {gflops:.1} GFLOP/s, {} samples/s\n\
         peak device memory {}{rss}\n",
        device.id,
        device.name,
        1e3 * median,
        1e3 * best,
        args.steps,
        count(samples_per_second.round() as u64),
        bytes(peak as u64)
    ))
}
