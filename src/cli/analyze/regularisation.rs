//! `smallbox analyze regularisation`: what training does to ReLUs, gradients and weights.

use smallbox::analyze::Attack;
use smallbox::analyze::regularisation::{Regularisation, Settings, document, measure, sheet};
use smallbox::error::{Error, Result};
use smallbox::train::{Config, MethodKind, checkpoint};

use super::{models, place};
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// λ where no run says one.
const LAMBDA: f64 = 0.4;

/// Options of `analyze regularisation`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: models::Options,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 200)]
    limit: usize,
    /// Gradients of the first N of them `[default: all]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    gradients: Option<usize>,
    /// Radius of the small boxes, relative to ε `[default: that of the first run by sabr or staps, else 0.4]`
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Gradient steps of the attack `[default: each run's, else 40]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    attack_steps: Option<usize>,
    /// Seed of the attack's start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images attacked and bounded at once
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 50)]
    batch: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: place::Place,
}

/// λ of the first run whose method has small boxes.
fn lambda_of(loaded: &[models::Loaded]) -> f64 {
    let small = |config: &&Config| matches!(config.method, MethodKind::Sabr | MethodKind::Staps);
    loaded.iter().filter_map(|model| model.config.as_ref()).find(small).map_or(LAMBDA, |config| config.lambda)
}

/// Measures what training did.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let loaded = args.models.load()?;
    let sample = args.models.sample(&loaded, args.limit)?;
    let gradient_images = args.gradients.unwrap_or(sample.len());
    if gradient_images > sample.len() {
        let most = sample.len();
        return Err(Error::Usage(format!("--gradients {gradient_images}: expected 1 to {most}, the number of images")));
    }
    let mut regularisation = Regularisation {
        dataset: loaded[0].dataset.name.clone(),
        split: args.models.split().into(),
        images: sample.len(),
        gradient_images,
        epsilon: loaded[0].epsilon,
        lambda: args.lambda.unwrap_or_else(|| lambda_of(&loaded)),
        models: Vec::new(),
    };
    for model in &loaded {
        let mut config = model.config.clone().unwrap_or_default();
        config.eval_attack_steps = args.attack_steps.unwrap_or(config.eval_attack_steps);
        let spec = config.eval_attack();
        let attack = Attack { epsilon: model.epsilon, spec, seed: args.seed, batch: args.batch };
        let settings = Settings { sample: &sample, gradient_images, lambda: regularisation.lambda, attack };
        // A session of its own: networks may have states of one name and different shapes.
        let mut session = args.device.open_or(None)?;
        let session = session.as_mut();
        checkpoint::write_tensors(session, &model.network, &model.tensors)?;
        let mut meter = Meter::new(args.place.quiet);
        let mut progress = |what: &str, done: usize, of: usize| meter.set(&model.label, done as u64, of as u64, what);
        let this = (model.label.as_str(), &model.network, &model.tensors[..]);
        let measured = pollster::block_on(measure(session, this, &settings, &mut progress));
        meter.finish();
        regularisation.models.push(measured?);
    }
    args.place.put(document(&regularisation)?, &sheet(&regularisation))
}
