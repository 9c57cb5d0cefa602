//! `smallbox analyze regularisation`: what training does to ReLUs, gradients and weights.

use smallbox::analyze::regularisation::{Regularisation, Settings, document, measure, sheet};
use smallbox::error::{Error, Result};
use smallbox::train::checkpoint;

use super::{attack, models, place};
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

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
    /// Radius of the small boxes, relative to ε `[default: that of the first run trained with small boxes, else 0.4]`
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true)]
    lambda: Option<f64>,
    #[command(flatten)]
    attack: attack::Options,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: place::Place,
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
        lambda: models::lambda(args.lambda, &loaded)?,
        models: Vec::new(),
    };
    for model in &loaded {
        let attack = args.attack.on(model);
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
