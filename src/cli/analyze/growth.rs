//! `smallbox analyze growth`: how boxes grow through the layers.

use smallbox::analyze::growth::{Growth, Settings, document, measure, sheet};
use smallbox::error::{Error, Result};
use smallbox::train::checkpoint;

use super::{attack, models, place};
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// Options of `analyze growth`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: models::Options,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 100)]
    limit: usize,
    /// Radius of the smallest boxes, relative to ε
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true, default_value = "1/64")]
    smallest: f64,
    /// Radius of the largest boxes, relative to ε
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true, default_value = "4")]
    largest: f64,
    /// Number of sizes, in equal ratios
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 17)]
    sizes: usize,
    #[command(flatten)]
    attack: attack::Options,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: place::Place,
}

impl Args {
    /// Sizes of boxes relative to ε.
    fn lambdas(&self) -> Result<Vec<f64>> {
        let &Args { smallest, largest, sizes, .. } = self;
        if smallest <= 0.0 {
            return Err(Error::Usage(format!("--smallest {smallest}: expected a positive number")));
        }
        if largest <= smallest {
            return Err(Error::Usage(format!("--largest {largest}: expected more than --smallest {smallest}")));
        }
        if sizes < 2 {
            return Err(Error::Usage(format!("--sizes {sizes}: expected 2 at least, to see growth")));
        }
        let power = |i: usize| smallest * (largest / smallest).powf(i as f64 / (sizes - 1) as f64);
        Ok((0..sizes).map(power).collect())
    }
}

/// Measures growth.
pub fn run(args: &Args) -> Result<()> {
    let lambdas = args.lambdas()?;
    args.device.set_threads()?;
    let loaded = args.models.load()?;
    let sample = args.models.sample(&loaded, args.limit)?;
    let epsilon = loaded[0].epsilon;
    if epsilon == 0.0 {
        return Err(Error::Config("epsilon = 0: expected a positive radius, to see boxes grow".into()));
    }
    // Boxes are fed as f32.
    let radii: Vec<f64> = lambdas.iter().map(|lambda| f64::from((lambda * epsilon) as f32)).collect();
    let mut growth = Growth {
        dataset: loaded[0].dataset.name.clone(),
        split: args.models.split().into(),
        images: sample.len(),
        epsilon,
        lambdas,
        radii,
        models: Vec::new(),
    };
    for model in &loaded {
        let settings = Settings { sample: &sample, radii: &growth.radii, attack: args.attack.on(model) };
        // A session of its own: networks may have states of one name and different shapes.
        let mut session = args.device.open_or(None)?;
        let session = session.as_mut();
        checkpoint::write_tensors(session, &model.network, &model.tensors)?;
        let mut meter = Meter::new(args.place.quiet);
        let mut progress = |done: usize, of: usize| meter.set(&model.label, done as u64, of as u64, "batches");
        let measured = measure(session, &model.network, &model.label, &settings, &mut progress);
        let measured = pollster::block_on(measured);
        meter.finish();
        growth.models.push(measured?);
    }
    args.place.put(document(&growth)?, &sheet(&growth))
}
