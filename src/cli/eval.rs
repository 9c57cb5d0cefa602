//! `smallbox eval`: accuracies of a trained model.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use smallbox::data::{self, Dataset, LoadOptions};
use smallbox::error::{Error, Result};
use smallbox::nn::{ARCHITECTURES, Network, architecture};
use smallbox::train::attack::AttackSpec;
use smallbox::train::{Config, EVALUATION_BATCH, Evaluator, RunDirectory, checkpoint};

use super::format::count;
use super::options::{DataDir, DeviceOptions, SplitName};
use super::progress::Meter;
use super::{accuracies, output, parse};

/// Options of `eval`.
#[derive(clap::Args)]
pub struct Args {
    /// A run directory, or a .safetensors file
    model: PathBuf,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// The weights of the run's best epoch by its validation split, instead of the last ones
    #[arg(long)]
    best: bool,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    limit: Option<usize>,
    /// Gradient steps of the attack `[default: the run's, else 40]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    attack_steps: Option<usize>,
    /// Seed of the attack's start `[default: the run's, else 0]`
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Images evaluated at once
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = EVALUATION_BATCH)]
    batch: usize,
    /// Architecture of a file that doesn't say it
    #[arg(long, value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: Option<String>,
    /// Dataset `[default: the run's]`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    #[command(flatten)]
    place: DataDir,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// What the model argument leads to, with the settings that its options leave open.
struct Model {
    file: PathBuf,
    config: Config,
    epsilon: f64,
    dataset: String,
}

/// Evaluates.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let model = find(args)?;
    let config = &model.config;
    let options = LoadOptions { data_dir: args.place.data_dir.clone(), validation: config.validation, limit: None };
    let dataset = data::load(&model.dataset, &options)?;
    let split = args.split.of(&dataset)?;
    let network = network(&model.file, args.arch.as_deref(), &dataset)?;
    let parameters = checkpoint::load_tensors(&model.file, &network)?;

    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    checkpoint::write_tensors(session, &network, &parameters)?;
    let attack = AttackSpec::evaluation(config.eval_attack_steps, config.eval_attack_step_size);
    let mut evaluator = Evaluator::new(session, &network, model.epsilon, &attack, args.batch, config.seed)?;
    let mut meter = Meter::new(args.quiet);
    let mut progress = |done: usize, of: usize| meter.set("images", done as u64, of as u64, "");
    let evaluation = pollster::block_on(evaluator.run(session, split, args.limit, &mut progress));
    meter.finish();
    let evaluation = evaluation?;

    let of = accuracies::Evaluated {
        model: &args.model,
        dataset: &model.dataset,
        split: args.split.name(),
        epsilon: model.epsilon,
    };
    if args.json {
        return output::print_json(&accuracies::document(&of, &evaluation));
    }
    output::print(&format!(
        "{} on {}, ε = {}: {} {} images\n\n{}",
        network.name,
        of.dataset,
        of.epsilon,
        count(evaluation.images as u64),
        of.split,
        accuracies::table(&evaluation, config.eval_attack_steps)
    ))
}

fn find(args: &Args) -> Result<Model> {
    let (file, run) = if args.model.is_dir() {
        let (run, config) = RunDirectory::open(&args.model)?;
        (if args.best { run.best() } else { run.model() }, Some(config))
    } else if args.best {
        return Err(Error::Usage(format!("{}: --best needs a run directory", args.model.display())));
    } else {
        (args.model.clone(), None)
    };
    if !file.is_file() {
        let message = match run {
            Some(_) if args.best => {
                "no such file: no epoch at the full ε has ended yet, or the run has no validation images to choose by"
            }
            Some(_) => "no such file: this run has not come to its first checkpoint",
            None => "no such file: expected a run directory or a .safetensors file",
        };
        return Err(Error::model(file, message));
    }
    let needed = |option: &str| {
        Error::Usage(format!("{}: {option} is needed, for a file without its run directory", args.model.display()))
    };
    let recorded = run.as_ref();
    let epsilon = args.epsilon.or(recorded.map(|c| c.epsilon)).ok_or_else(|| needed("--epsilon"))?;
    let dataset = args.dataset.clone().or(recorded.map(|c| c.dataset.clone())).ok_or_else(|| needed("--dataset"))?;
    // The numbers of validation images of two datasets have nothing to do with each other.
    let validation = recorded.filter(|c| c.dataset == dataset).and_then(|c| c.validation);
    let mut config = run.unwrap_or_default();
    config.eval_attack_steps = args.attack_steps.unwrap_or(config.eval_attack_steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.validation = validation;
    if !(0.0..=1.0).contains(&epsilon) {
        return Err(Error::Config(format!("epsilon = {epsilon}: expected a radius in [0, 1]")));
    }
    Ok(Model { file, config, epsilon, dataset })
}

/// The network that the parameters of `file` belong to.
fn network(file: &Path, arch: Option<&str>, dataset: &Dataset) -> Result<Network> {
    let split = &dataset.train;
    let (input, classes) = ([split.channels, split.height, split.width], split.classes);
    let Some(info) = checkpoint::read_model_info(file)? else {
        let Some(arch) = arch else {
            return Err(Error::Usage(format!("{}: --arch is needed, the file does not say it", file.display())));
        };
        return architecture(arch, input, classes, &[], &[]);
    };
    if let Some(arch) = arch.filter(|arch| *arch != info.arch) {
        return Err(Error::model(file, format!("holds a network {}, not --arch {arch}", info.arch)));
    }
    if (info.input, info.classes) != (input, classes) {
        let text = |[c, h, w]: [usize; 3], classes: usize| format!("images of {c}×{h}×{w} in {classes} classes");
        let message =
            format!("is for {}; {} has {}", text(info.input, info.classes), dataset.name, text(input, classes));
        return Err(Error::model(file, message));
    }
    architecture(&info.arch, input, classes, &info.mean, &info.deviation)
}
