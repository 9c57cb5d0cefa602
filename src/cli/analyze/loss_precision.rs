//! `smallbox analyze loss-precision`: what the training methods take for the worst case, against the exact one.

use std::time::Duration;

use smallbox::analyze::Sample;
use smallbox::analyze::loss_precision::{Approximations, Ball, Enclosures, ExactSettings, Image, LossPrecision, Model};
use smallbox::certify::attack::AttackSpec;
use smallbox::certify::property::Property;
use smallbox::error::{Error, Result};
use smallbox::train::{Config, checkpoint};

use super::models::{self, Loaded};
use super::place::Place;
use crate::cli::options::DeviceOptions;
use crate::cli::progress::Meter;
use crate::cli::{interrupt, parse};

/// Options of `analyze loss-precision`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: models::Options,
    /// Radius of SABR's small box relative to ε `[default: that of the first run trained with small boxes, else 0.4]`
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Only the first N images
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How close to the exact margin the proof comes
    #[arg(long, value_name = "F", value_parser = parse::number, default_value = "0.001", allow_negative_numbers = true)]
    tolerance: f64,
    /// Time for each claim about an image: mostly one is needed; images that it does not suffice for are left out
    #[arg(long, value_name = "T", value_parser = parse::duration, default_value = "30")]
    timeout: Duration,
    /// Gradient steps of each start of the strong attack
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 100)]
    attack_steps: usize,
    /// Random starts of the strong attack
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 3)]
    attack_restarts: usize,
    /// Seed of the attacks
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: Place,
}

/// Least tolerance: devices compute in f32.
const LEAST_TOLERANCE: f64 = 1e-5;
/// What bounds of devices may be off by, relative to their size.
const SLACK: f64 = 1e-4;

/// Analyzes.
pub fn run(args: &Args) -> Result<()> {
    if args.tolerance.is_nan() || args.tolerance < LEAST_TOLERANCE {
        return Err(Error::Usage(format!("--tolerance {}: expected at least {LEAST_TOLERANCE}", args.tolerance)));
    }
    args.device.set_threads()?;
    let loaded = args.models.load()?;
    let lambda = models::lambda(args.lambda, &loaded)?;
    let sample = args.models.sample(&loaded, args.limit)?;
    let epsilon = loaded[0].epsilon;
    let attack = AttackSpec::pgd(args.attack_steps, args.attack_restarts);
    let exact = ExactSettings { tolerance: args.tolerance, timeout: args.timeout, attack, seed: args.seed };
    let approximations = Approximations {
        epsilon,
        lambda,
        attack: Config::default().attack(),
        seed: args.seed,
        batch: Approximations::BATCH,
    };
    interrupt::install("stopping after these images; again to stop at once")?;
    let mut meter = Meter::new(args.place.quiet);
    let mut models = Vec::with_capacity(loaded.len());
    for model in &loaded {
        let images = images(args, model, &sample, &approximations, exact, &mut meter);
        if images.is_err() {
            meter.finish();
        }
        models.push(Model { model: model.label.clone(), images: images? });
    }
    meter.finish();
    let outcome = LossPrecision {
        dataset: loaded[0].dataset.name.clone(),
        split: args.models.split().into(),
        epsilon,
        lambda,
        tolerance: args.tolerance,
        attack: attack.describe(args.seed),
        timeout: args.timeout.as_secs_f64(),
        models,
    };
    args.place.put(outcome.document(), &outcome.sheet())
}

/// All images under one network.
fn images(
    args: &Args,
    model: &Loaded,
    sample: &Sample,
    approximations: &Approximations,
    exact: ExactSettings,
    meter: &mut Meter,
) -> Result<Vec<Image>> {
    let network = model.relu_network()?;
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    checkpoint::write_tensors(session, &model.network, &model.tensors)?;
    let approximated = pollster::block_on(approximations.of(session, (&model.network, &network), sample))?;
    let mut enclosures = Enclosures::new(session, &network, exact)?;
    let mut images: Vec<Image> = Vec::with_capacity(sample.len());
    let mut open = 0;
    let indices: Vec<usize> = (0..sample.len()).collect();
    for chunk in indices.chunks(Enclosures::batch()) {
        if interrupt::requested() {
            return Err(Error::Interrupted(String::new()));
        }
        meter.set("images", images.len() as u64, sample.len() as u64, &format!("{}, open {open}", model.label));
        let ball = |&index: &usize| {
            let image = sample.image(index);
            let (lower, upper) = Property::ball(image, approximations.epsilon);
            let natural = image.iter().map(|&p| f64::from(p)).collect();
            Ball { lower, upper, label: sample.labels[index], points: vec![natural, approximated[index].point.clone()] }
        };
        let balls: Vec<Ball> = chunk.iter().map(ball).collect();
        let enclosed = pollster::block_on(enclosures.of(session, &balls))?;
        for (&index, enclosed) in chunk.iter().zip(enclosed) {
            let image = Image::new(index, sample.labels[index], &approximated[index], enclosed);
            image.check(SLACK * image.ibp.abs().max(1.0))?;
            open += usize::from(image.open.is_some());
            images.push(image);
        }
    }
    enclosures.release(session);
    Ok(images)
}
