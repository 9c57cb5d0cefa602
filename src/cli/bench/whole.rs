//! `smallbox bench run`: a whole run from the dataset to the table of accuracies.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use smallbox::data;
use smallbox::device::Session;
use smallbox::error::Result;
use smallbox::train::{Config, EpochMetrics, Observer, Trainer};

use super::baseline::Gate;
use super::median_and_best;
use super::step::StepOptions;
use crate::cli::format::{Side, table};
use crate::cli::options::DeviceOptions;
use crate::cli::parse;

/// Options of `bench run`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    step: StepOptions,
    /// The first N images of both splits of the embedded dataset
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 2000)]
    limit: usize,
    /// Passes over the training images
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 1)]
    epochs: usize,
    /// Runs to time, all alike
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    gate: Gate,
}

/// What a run's time goes to: drawing the dataset; network and first weights; the steps of all epochs, with the compilation of their
/// programs; the evaluations after each epoch and at the end; all of it.
const PARTS: [&str; 5] = ["load", "prepare", "train", "evaluate", "whole"];

/// Adds up the epochs' steps.
#[derive(Default)]
struct Steps {
    seconds: f64,
}

impl Observer for Steps {
    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.seconds += metrics.epoch_seconds;
    }
}

/// Times whole runs.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let config = Config { epochs: args.epochs as u32, limit: Some(args.limit), ..args.step.settings() }.resolve()?;
    let probe = args.device.open_or(None)?;
    let (device, baseline) = (probe.device().clone(), args.gate.read(probe.device())?);
    drop(probe);
    let mut seconds: [Vec<f64>; PARTS.len()] = Default::default();
    let mut images_per_second = Vec::with_capacity(args.runs);
    for _ in 0..args.runs {
        let session = args.device.open_or(None)?;
        let once = whole(&config, session)?;
        images_per_second.push(once.images / once.parts[2]);
        seconds.iter_mut().zip(once.parts).for_each(|(all, one)| all.push(one));
    }
    let name = |part: &str| format!("run/{part}/{}/{}/{}", config.method.name(), config.arch, config.batch);
    let rows: Vec<Value> = PARTS
        .iter()
        .zip(&mut seconds)
        .map(|(part, seconds)| {
            let (median, best) = median_and_best(seconds);
            json!({
                "name": name(part), "median_ms": 1e3 * median, "min_ms": 1e3 * best, "gflops": null, "gbytes_per_s": null,
                "of_roof": null,
            })
        })
        .collect();
    let (rate, _) = median_and_best(&mut images_per_second);
    let mut cells = vec![["part", "median ms", "best ms"].map(String::from).to_vec()];
    for row in &rows {
        let ms = |key: &str| format!("{:.1}", row[key].as_f64().unwrap_or(f64::NAN));
        cells.push(vec![row["name"].as_str().unwrap_or_default().to_string(), ms("median_ms"), ms("min_ms")]);
    }
    let text = format!(
        "{} of {} images on {} ({}), {}; {rate:.0} training images/s\n\n{}",
        if args.epochs == 1 { "1 epoch".to_string() } else { format!("{} epochs", args.epochs) },
        args.limit,
        device.id,
        device.name,
        if args.runs == 1 { "1 run".to_string() } else { format!("median of {} runs", args.runs) },
        table(&[Side::Left, Side::Right, Side::Right], &cells)
    );
    let document = json!({
        "device": device.id, "device_name": device.name, "arch": config.arch, "method": config.method.name(),
        "batch": config.batch, "epochs": config.epochs, "limit": args.limit, "runs": args.runs,
        "threads": rayon::current_num_threads(), "samples_per_second": rate, "rows": rows,
    });
    args.gate.finish(document, &text, baseline.as_ref(), true)
}

/// One run.
struct Once {
    /// Seconds, as [`PARTS`].
    parts: [f64; PARTS.len()],
    /// Images that steps took.
    images: f64,
}

fn whole(config: &Config, session: Box<dyn Session>) -> Result<Once> {
    let begun = Instant::now();
    let now = || begun.elapsed().as_secs_f64();
    let dataset = Arc::new(data::load(&config.dataset, &config.load_options(None))?);
    let load = now();
    let mut trainer = Trainer::new(config, dataset, session, None)?;
    let prepare = now() - load;
    let mut steps = Steps::default();
    let outcome = pollster::block_on(trainer.run(&mut steps))?;
    let (train, whole) = (steps.seconds, now());
    let parts = [load, prepare, train, whole - load - prepare - train, whole];
    Ok(Once { parts, images: outcome.steps as f64 * config.batch as f64 })
}
