//! `smallbox bench crown`: bounds of a model's margins on real images.

use std::time::Instant;

use serde_json::{Value, json};
use smallbox::certify::bounds::{Boxes, Objective, Relaxer};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::property::Property;
use smallbox::device::Session;
use smallbox::error::{Error, Result};

use super::baseline::Gate;
use super::median_and_best;
use crate::cli::certify::claim;
use crate::cli::format::bytes;
use crate::cli::model::ModelOptions;
use crate::cli::options::DeviceOptions;
use crate::cli::{machine, parse};

/// Options of `bench crown`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// The first N test images
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 64)]
    limit: usize,
    /// Images bounded at once
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 16)]
    batch: usize,
    /// Passes over the images to time
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 3)]
    passes: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    gate: Gate,
}

/// Passes over the images, timed, and what came of them.
pub struct Measured {
    images: usize,
    median: f64,
    best: f64,
    /// Unstable neurons of all images.
    unstable: usize,
    mean_margin: f64,
    /// Images with all margins positive in f32.
    positive: usize,
    peak: usize,
}

/// Times CROWN: bounds of every ReLU's input that is not stable by intervals, then of all margins.
pub fn measure(
    session: &mut dyn Session,
    network: &ReluNetwork,
    properties: &[Property],
    batch: usize,
    passes: usize,
) -> Result<Measured> {
    let batch = batch.min(properties.len());
    let mut relaxer = Relaxer::new(session, network, batch)?;
    let mut seconds = Vec::with_capacity(passes);
    let (mut unstable, mut sum, mut positive) = (0, 0.0, 0);
    // The pass before those that count makes the programs and the buffers.
    for pass in 0..=passes {
        (unstable, sum, positive) = (0, 0.0, 0);
        let begun = Instant::now();
        for chunk in properties.chunks(batch) {
            let ends: Vec<(&[f64], &[f64])> = chunk.iter().map(|p| (&p.lower[..], &p.upper[..])).collect();
            let boxes = Boxes::new(network, &ends);
            let mut bounds = pollster::block_on(relaxer.interval(session, &boxes))?;
            pollster::block_on(relaxer.tighten(session, &mut bounds, false))?;
            let objectives: Vec<Objective> = chunk
                .iter()
                .enumerate()
                .flat_map(|(sample, p)| p.clauses.iter().map(move |c| Objective::of(sample, &c[0])))
                .collect();
            let lower = pollster::block_on(relaxer.lower_bounds(session, &bounds, &objectives))?;
            unstable += (0..chunk.len()).map(|sample| bounds.unstable(sample).iter().sum::<usize>()).sum::<usize>();
            sum += lower.iter().map(|&l| f64::from(l)).sum::<f64>();
            positive += lower.chunks(lower.len() / chunk.len()).filter(|l| l.iter().all(|&l| l > 0.0)).count();
        }
        if pass > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    relaxer.release(session);
    let (median, best) = median_and_best(&mut seconds);
    let (images, peak) = (properties.len(), session.memory().total());
    let mean_margin = sum / (images * (network.outputs() - 1)) as f64;
    Ok(Measured { images, median, best, unstable, mean_margin, positive, peak })
}

impl Measured {
    fn images_per_second(&self) -> f64 {
        self.images as f64 / self.median
    }

    /// The row of a table.
    pub fn row(&self, name: &str) -> Value {
        json!({
            "name": name, "median_ms": 1e3 * self.median, "min_ms": 1e3 * self.best, "gflops": null, "gbytes_per_s": null,
            "of_roof": null, "images": self.images, "images_per_second": self.images_per_second(), "unstable": self.unstable,
        })
    }
}

/// Times the bounds of a model's margins.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let found = args.model.find()?;
    let epsilon = found.epsilon(args.epsilon)?;
    let dataset = found.dataset()?;
    let split = &dataset.test;
    if args.limit > split.len() {
        return Err(Error::Usage(format!("--limit {}: there are {} test images", args.limit, split.len())));
    }
    let network = found.relu_network(Some(&dataset))?;
    let properties: Vec<Property> = (0..args.limit).map(|index| claim(split, index, epsilon).property).collect();

    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let baseline = args.gate.read(session.device())?;
    let batch = args.batch.min(args.limit);
    let m = measure(session, &network, &properties, batch, args.passes)?;
    let (rate, rss, device) = (m.images_per_second(), machine::peak_rss_bytes(), session.device());
    let name = format!("crown/{}/{}/{batch}", found.title(&dataset)?, args.limit);
    let document = json!({
        "device": device.id, "device_name": device.name, "model": found.argument(), "epsilon": epsilon,
        "images": args.limit, "batch": batch, "passes": args.passes, "threads": rayon::current_num_threads(),
        "median_seconds": m.median, "min_seconds": m.best, "images_per_second": rate,
        "unstable": m.unstable, "mean_margin": m.mean_margin, "positive": m.positive,
        "peak_bytes": m.peak, "peak_rss_bytes": rss, "rows": [m.row(&name)],
    });
    let rss = rss.map_or_else(String::new, |rss| format!(", process {}", bytes(rss)));
    let text = format!(
        "CROWN of {} images, {batch} at once, ε = {epsilon}, on {} ({})\n\
         median {:.3} s, best {:.3} s of {} passes: {rate:.1} images/s\n\
         {:.0} unstable neurons an image, mean margin ≥ {:.4}, all margins positive on {} (in f32: not proved)\n\
         peak device memory {}{rss}\n",
        args.limit,
        device.id,
        device.name,
        m.median,
        m.best,
        args.passes,
        m.unstable as f64 / m.images as f64,
        m.mean_margin,
        m.positive,
        bytes(m.peak as u64),
    );
    args.gate.finish(document, &text, baseline.as_ref(), true)
}
