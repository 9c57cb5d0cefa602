//! `smallbox bench scaling`: whether a step's time is in proportion to its work, over batch sizes, widths and threads.

use std::collections::BTreeMap;
use std::time::Instant;

use smallbox::analyze::scaling::{Axis, Point, Scaling, Series, document, sheet};
use smallbox::error::{Error, Result};
use smallbox::graph::Cost;
use smallbox::profile::{Bound, By, Profile, Roofs};
use smallbox::train::{Config, StepBench, Work};

use super::median_and_best;
use super::step::{StepOptions, finite};
use crate::cli::analyze::place::Place;
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// Options of `bench scaling`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    step: StepOptions,
    /// What to vary
    #[arg(long, value_name = "AXIS", value_enum, value_delimiter = ',', default_values_t = [Over::Batch, Over::Width, Over::Threads])]
    over: Vec<Over>,
    /// Batch sizes `[default: an eighth of --batch to twice it]`
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse::positive)]
    batches: Vec<usize>,
    /// Factors of the network's features and hidden units
    #[arg(long, value_name = "W", value_delimiter = ',', value_parser = parse::number, default_values_t = [0.5, 0.75, 1.0, 1.5, 2.0])]
    widths: Vec<f64>,
    /// Steps to time at each point in each pass
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse::positive)]
    steps: usize,
    /// Steps before those
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
    /// Passes over all points, so that all of them meet the machine in every mood
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = parse::positive)]
    passes: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: Place,
}

/// What can be varied.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Over {
    /// Images of a step
    Batch,
    /// Factor of features and hidden units
    Width,
    /// Threads of the native device, from 1 to --threads
    Threads,
}

/// One point before it is measured.
struct Planned {
    axis: Axis,
    at: f64,
    config: Config,
    threads: usize,
}

/// What was measured of it so far.
#[derive(Default)]
struct Samples {
    seconds: Vec<f64>,
    compute_shares: Vec<f64>,
    cost: Cost,
}

/// Measures all points and writes what came out.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let threads = rayon::current_num_threads();
    let device = args.device.open_or(None)?.device().clone();
    let config = args.step.config()?;
    let planned = plan(args, &config, threads, device.backend == "native")?;

    let mut meter = Meter::new(args.place.quiet);
    let samples = measure_all(args, &planned, &mut meter);
    meter.finish();

    let mut series: Vec<Series> = Vec::new();
    for (planned, mut samples) in planned.iter().zip(samples?) {
        let point = samples.point(planned);
        match series.iter_mut().find(|series| series.axis == planned.axis) {
            Some(series) => series.points.push(point),
            None => series.push(Series { axis: planned.axis, points: vec![point] }),
        }
    }
    let scaling = Scaling {
        device: device.id,
        device_name: device.name,
        method: config.method.name().into(),
        arch: config.arch,
        batch: config.batch,
        threads,
        steps: args.steps,
        passes: args.passes,
        series,
    };
    args.place.put(document(&scaling), &sheet(&scaling))
}

/// Passes over all points.
fn measure_all(args: &Args, planned: &[Planned], meter: &mut Meter) -> Result<Vec<Samples>> {
    // Roofs differ with the threads, and by nothing else that is varied.
    let mut roofs: BTreeMap<usize, Roofs> = BTreeMap::new();
    let mut samples: Vec<Samples> = planned.iter().map(|_| Samples::default()).collect();
    let total = (args.passes * planned.len()) as u64;
    for pass in 0..args.passes {
        for (i, (point, samples)) in planned.iter().zip(&mut samples).enumerate() {
            let (done, threads) = ((pass * planned.len() + i) as u64, point.threads);
            meter.set("points", done, total, &format!("{} {}", point.axis.name(), point.at));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.map_err(|error| Error::device("cpu", format!("{threads} threads: {error}")))?;
            let known = roofs.get(&threads).cloned();
            roofs.insert(threads, pool.install(|| measure(args, point, known, samples))?);
        }
    }
    Ok(samples)
}

/// All points, axis by axis, each by rising place.
fn plan(args: &Args, config: &Config, threads: usize, native: bool) -> Result<Vec<Planned>> {
    if let Some(width) = args.widths.iter().find(|width| **width <= 0.0) {
        return Err(Error::Usage(format!("--widths {width}: expected positive numbers")));
    }
    let mut points = Vec::new();
    for axis in Axis::ALL {
        let (over, places) = match axis {
            Axis::Batch => (Over::Batch, batches(args, config.batch)),
            Axis::Width => (Over::Width, args.widths.clone()),
            Axis::Threads => (Over::Threads, (1..=threads).map(|n| n as f64).collect()),
        };
        if !args.over.contains(&over) {
            continue;
        }
        if axis == Axis::Threads && !native {
            if args.over.len() == 1 {
                return Err(Error::Usage("--over threads: the threads of a GPU can't be chosen".into()));
            }
            continue;
        }
        for at in rising(places) {
            let settings = match axis {
                Axis::Batch => Config { batch: at as usize, ..args.step.settings() },
                Axis::Width => Config { width: at, ..args.step.settings() },
                Axis::Threads => args.step.settings(),
            };
            let threads = if axis == Axis::Threads { at as usize } else { threads };
            points.push(Planned { axis, at, config: settings.resolve()?, threads });
        }
    }
    Ok(points)
}

fn batches(args: &Args, batch: usize) -> Vec<f64> {
    let usual = || [batch.div_ceil(8), batch.div_ceil(4), batch.div_ceil(2), batch, 2 * batch].to_vec();
    let chosen = if args.batches.is_empty() { usual() } else { args.batches.clone() };
    chosen.into_iter().map(|n| n as f64).collect()
}

/// In order, each once.
fn rising(mut places: Vec<f64>) -> Vec<f64> {
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

/// Times steps of `point` and adds them to `samples`; gives the roofs that its kernels were held against, measured unless `known`.
fn measure(args: &Args, point: &Planned, known: Option<Roofs>, samples: &mut Samples) -> Result<Roofs> {
    let mut session = args.device.open_traced()?;
    let session = session.as_mut();
    let mut bench = StepBench::new(session, &point.config, Work::Step)?.keeping_parameters();
    for i in 0..args.warmup + args.steps {
        let begun = Instant::now();
        bench.queue(session)?;
        finite(i as u64 + 1, pollster::block_on(bench.wait(session))?)?;
        if i >= args.warmup {
            samples.seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    let mut profile = Profile::new(session.program_info(bench.program()).launches);
    profile.add(pollster::block_on(bench.trace(session))?);
    session.release(bench.program());
    let roofs = match known {
        Some(roofs) => roofs,
        None => pollster::block_on(Roofs::measure(session))?,
    };
    let rows = profile.rows(By::Shape, &roofs);
    samples.compute_shares.push(rows.iter().filter(|row| row.bound() == Bound::Compute).map(|row| row.share).sum());
    samples.cost = bench.cost();
    Ok(roofs)
}

impl Samples {
    fn point(&mut self, planned: &Planned) -> Point {
        let (median, best) = median_and_best(&mut self.seconds);
        Point {
            at: planned.at,
            images: planned.config.batch,
            flops: self.cost.flops,
            bytes: self.cost.bytes,
            median,
            best,
            compute_share: median_and_best(&mut self.compute_shares).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rising;

    #[test]
    fn places_rise() {
        assert_eq!(rising(vec![2.0, 0.5, 1.0, 2.0]), [0.5, 1.0, 2.0]);
    }
}
