//! `smallbox eval`: accuracies of a trained model.

use smallbox::error::Result;
use smallbox::train::{EVALUATION_BATCH, Evaluator, checkpoint};

use super::format::{count, radius};
use super::model::ModelOptions;
use super::options::{DeviceOptions, SplitName};
use super::progress::Meter;
use super::{accuracies, output, parse};

/// Options of `eval`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
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
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Evaluates.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let found = args.model.find()?;
    let epsilon = found.epsilon(args.epsilon)?;
    let dataset = found.dataset()?;
    let split = args.split.of(&dataset)?;
    let network = found.network(Some(&dataset))?;
    let parameters = checkpoint::load_tensors(found.file(), &network)?;

    let mut config = found.config();
    config.eval_attack_steps = args.attack_steps.unwrap_or(config.eval_attack_steps);
    config.seed = args.seed.unwrap_or(config.seed);
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    checkpoint::write_tensors(session, &network, &parameters)?;
    let mut evaluator = Evaluator::new(session, &network, epsilon, &config.eval_attack(), args.batch, config.seed)?;
    let mut meter = Meter::new(args.quiet);
    let mut progress = |done: usize, of: usize| meter.set("images", done as u64, of as u64, "");
    let evaluation = pollster::block_on(evaluator.run(session, split, args.limit, &mut progress));
    meter.finish();
    let evaluation = evaluation?;

    let of =
        accuracies::Evaluated { model: found.argument(), dataset: &dataset.name, split: args.split.name(), epsilon };
    if args.json {
        return output::print_json(&accuracies::document(&of, &evaluation));
    }
    output::print(&format!(
        "{} on {}, ε = {}: {} {} images\n\n{}",
        network.name,
        of.dataset,
        radius(of.epsilon),
        count(evaluation.images as u64),
        of.split,
        accuracies::table(&evaluation, config.eval_attack_steps)
    ))
}
