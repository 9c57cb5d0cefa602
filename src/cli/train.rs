//! `smallbox train`: a run from its settings to the table of accuracies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use smallbox::data::{self, Dataset};
use smallbox::device::{DeviceInfo, Session};
use smallbox::error::{Error, Result};
use smallbox::nn::Network;
use smallbox::train::published::published;
use smallbox::train::{Config, Outcome, RunDirectory, Trainer, network_for};

use super::format::{bytes, count};
use super::options::{DataDir, DeviceOptions};
use super::progress::TrainProgress;
use super::settings::Settings;
use super::{accuracies, dry_run, interrupt, output, parse};

/// Options of `train`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    place: DataDir,
    #[command(flatten)]
    device: DeviceOptions,
    /// Directory of the run, new or empty `[default: runs/DATASET-METHOD-ARCH, with the next free number]`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in DIR, with its settings and, unless --device says otherwise, on its device
    #[arg(long, value_name = "DIR", conflicts_with_all = ["Settings", "out", "dry_run"])]
    resume: Option<PathBuf>,
    /// Stop training after this time (90s, 10m, 1h30m), save, evaluate; --resume goes on
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    max_time: Option<Duration>,
    /// Show nodes, kernels, launches, FLOPs, bytes and memory of each phase; train and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Trains.
pub fn run(args: &Args) -> Result<()> {
    let deadline = args.max_time.map(|time| Instant::now() + time);
    args.device.set_threads()?;
    let resumed = args.resume.as_deref().map(RunDirectory::open).transpose()?;
    let mut config = match &resumed {
        Some((_, config)) => config.clone(),
        None => args.settings.config()?,
    };
    config.deterministic |= args.device.is_deterministic();
    let dataset = Arc::new(data::load(&config.dataset, &config.load_options(args.place.folder()))?);
    let network = network_for(&config, &dataset)?;
    let recorded = resumed.as_ref().and_then(|(_, config)| config.run.as_ref()).map(|run| run.device.id.as_str());
    let session = args.device.open_as(recorded, config.deterministic)?;
    if args.dry_run {
        return dry_run::run(&config, dataset, session, args.json);
    }

    interrupt::install("finishing the step, then saving; Ctrl-C again stops at once")?;
    let device = session.device().clone();
    let (mut trainer, run) = match resumed {
        Some((run, _)) => (Trainer::resume(run.clone(), &config, dataset.clone(), session)?, run),
        None => start(args.out.as_deref(), &config, dataset.clone(), session)?,
    };
    let path = run.path();
    if !args.quiet {
        announce(&config, &device, &network, &dataset, path);
    }
    let mut progress = TrainProgress::new(args.quiet, deadline, config.batch);
    let outcome = pollster::block_on(trainer.run(&mut progress));
    progress.finish();
    let outcome = outcome?;
    if !outcome.complete && !args.quiet {
        output::note(&format!(
            "the time was over after {} of {} epochs; go on with --resume {}",
            outcome.epochs,
            config.epochs,
            path.display()
        ));
    }
    let first_step = progress.first_step_seconds();
    let result = document(&config, &device, path, &outcome, first_step);
    run.write_json("result.json", &result)?;
    if args.json { output::print_json(&result) } else { output::print(&summary(&config, path, &outcome, first_step)) }
}

/// A trainer at the beginning of a run in a new directory.
fn start(
    out: Option<&Path>,
    config: &Config,
    dataset: Arc<Dataset>,
    session: Box<dyn Session>,
) -> Result<(Trainer, RunDirectory)> {
    let device = session.device().clone();
    let mut trainer = Trainer::new(config, dataset, session, None)?;
    let path = match out {
        Some(path) => path.to_path_buf(),
        None => claim_default(config)?,
    };
    let run = RunDirectory::create(&path, config, &device)?;
    trainer.record_in(run.clone());
    Ok((trainer, run))
}

/// Makes the first of `runs/NAME`, `runs/NAME-2`, … that does not exist yet.
fn claim_default(config: &Config) -> Result<PathBuf> {
    let folder = Path::new("runs");
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let name = format!("{}-{}-{}", config.dataset, config.method.name(), config.arch);
    let mut path = folder.join(&name);
    for number in 2.. {
        match std::fs::create_dir(&path) {
            // Another process may come at the same time; only one of them makes the directory.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                path = folder.join(format!("{name}-{number}"));
            }
            made => return made.map(|()| path.clone()).map_err(Error::io(&path)),
        }
    }
    unreachable!("numbers don't run out before names do")
}

fn announce(config: &Config, device: &DeviceInfo, network: &Network, dataset: &Dataset, path: &Path) {
    let (split, [channels, height, width]) = (&dataset.train, dataset.input());
    let validation = dataset.validation.as_ref().map_or(0, |split| split.len());
    let size = |n: usize| count(n as u64);
    output::note(&format!("device   {}: {} ({})", device.id, device.name, device.backend));
    output::note(&format!("network  {}, {} parameters", network.name, size(network.parameter_count())));
    output::note(&format!(
        "data     {}: {} training, {} validation, {} test images of {}×{}×{} in {} classes",
        dataset.name,
        size(split.len()),
        size(validation),
        size(dataset.test.len()),
        channels,
        height,
        width,
        split.classes
    ));
    output::note(&format!(
        "method   {}, {} epochs, batch {}, seed {}",
        accuracies::method(config),
        config.epochs,
        config.batch,
        config.seed
    ));
    output::note(&format!("run      {}", path.display()));
}

/// The table and the costs.
fn summary(config: &Config, path: &Path, outcome: &Outcome, first_step: Option<f64>) -> String {
    let title = format!(
        "{} on {}, {}, {} epochs: {} test images",
        config.arch,
        config.dataset,
        accuracies::method(config),
        outcome.epochs,
        count(outcome.test.images as u64)
    );
    let best = outcome.best.map_or(String::new(), |best| {
        let rates = best.validation();
        let percent = |rate: f64| format!("{:.1} %", 100.0 * rate);
        let (adversarial, ibp) = (percent(rates.adversarial.rate), percent(rates.ibp.rate));
        let rates = format!("adversarial {adversarial}, IBP-certified {ibp} of {} validation images", rates.images);
        format!("best epoch {}: {rates}; eval --best evaluates it\n", best.epoch)
    });
    let published = published(config).map_or(String::new(), |theirs| {
        let natural = theirs.natural.map_or(String::new(), |rate| format!("natural {:.2} %, ", 100.0 * rate));
        let certified = format!("certified {:.2} % by {}", 100.0 * theirs.certified, theirs.verifier);
        format!("published for cnn7 ({}): {natural}{certified}\n", theirs.source)
    });
    // None where a resumed run had no step left.
    let first_step = first_step.map_or(String::new(), |seconds| format!("first step after {seconds:.2} s, "));
    format!(
        "{title}\n\n{}\n{published}{best}{:.1} s, {first_step}{} samples/s, peak device memory {}, run directory {}\n",
        accuracies::table(&outcome.test, config.eval_attack_steps),
        outcome.seconds,
        count(outcome.samples_per_second.round() as u64),
        bytes(outcome.peak_bytes as u64),
        path.display()
    )
}

fn document(
    config: &Config,
    device: &DeviceInfo,
    path: &Path,
    outcome: &Outcome,
    first_step: Option<f64>,
) -> serde_json::Value {
    let of = accuracies::Evaluated { model: path, dataset: &config.dataset, split: "test", epsilon: config.epsilon };
    json!({
        "run": path,
        "method": config.method.name(),
        "arch": config.arch,
        "dataset": config.dataset,
        "epsilon": config.epsilon,
        "lambda": config.lambda,
        "seed": config.seed,
        "epochs": outcome.epochs,
        "complete": outcome.complete,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "first_step_seconds": first_step,
        "samples_per_second": outcome.samples_per_second,
        "peak_bytes": outcome.peak_bytes,
        "device": device.id,
        "device_name": device.name,
        "loss": outcome.loss,
        "best": outcome.best.as_ref().map(accuracies::best_document),
        "published": published(config),
        "test": accuracies::document(&of, &outcome.test),
    })
}
