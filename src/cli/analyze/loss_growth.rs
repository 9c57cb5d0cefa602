//! `smallbox analyze loss-growth`: the robust loss against the size of the box.

use smallbox::analyze::loss_growth::{Bound, Curve, LossGrowth, Setting, curve, own_lambda};
use smallbox::error::{Error, Result};
use smallbox::train::checkpoint;

use super::models;
use super::place::Place;
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// Which bounds.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BoundsName {
    /// Interval arithmetic alone
    Ibp,
    /// Linear relaxation alone
    Crown,
    /// Both
    Both,
}

/// Options of `analyze loss-growth`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: models::Options,
    /// Only the first N images
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// How margins are bounded
    #[arg(long, value_enum, default_value_t = BoundsName::Both)]
    bounds: BoundsName,
    /// Distance between the box sizes λ, from 0 to 1.25
    #[arg(long, value_name = "F", value_parser = parse::number, default_value = "0.05", allow_negative_numbers = true)]
    step: f64,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: Place,
}

/// Least distance between two box sizes.
const LEAST_STEP: f64 = 0.001;

/// Analyzes.
pub fn run(args: &Args) -> Result<()> {
    if !(LEAST_STEP..=Setting::GREATEST).contains(&args.step) {
        let (step, greatest) = (args.step, Setting::GREATEST);
        return Err(Error::Usage(format!("--step {step}: expected {LEAST_STEP} to {greatest}")));
    }
    args.device.set_threads()?;
    let loaded = args.models.load()?;
    let sample = args.models.sample(&loaded, args.limit)?;
    let own: Vec<Option<f64>> = loaded.iter().map(|model| model.config.as_ref().and_then(own_lambda)).collect();
    let also: Vec<f64> = own.iter().flatten().copied().collect();
    let setting = Setting::new(loaded[0].epsilon, args.step, &also);
    let bounds: &[Bound] = match args.bounds {
        BoundsName::Ibp => &[Bound::Ibp],
        BoundsName::Crown => &[Bound::Crown],
        BoundsName::Both => &[Bound::Ibp, Bound::Crown],
    };
    let mut curves = Vec::new();
    let mut meter = Meter::new(args.place.quiet);
    for (model, own_lambda) in loaded.iter().zip(own) {
        let relu_network = model.relu_network()?;
        let mut session = args.device.open_or(None)?;
        checkpoint::write_tensors(session.as_mut(), &model.network, &model.tensors)?;
        for &bound in bounds {
            let message = format!("{}, {}", model.label, bound.name());
            let mut progress = |done: usize, of: usize| meter.set("box sizes", done as u64, of as u64, &message);
            let networks = (&model.network, &relu_network);
            let points = curve(session.as_mut(), networks, &sample, &setting, bound, &mut progress);
            let points = pollster::block_on(points)?;
            curves.push(Curve { model: model.label.clone(), bound, own_lambda, points });
        }
    }
    meter.finish();
    let outcome = LossGrowth {
        dataset: loaded[0].dataset.name.clone(),
        split: args.models.split().into(),
        images: sample.len(),
        epsilon: setting.epsilon,
        curves,
    };
    args.place.put(outcome.document(), &outcome.sheet())
}
