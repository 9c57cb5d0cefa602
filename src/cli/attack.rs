//! `smallbox attack`: how many images of a dataset an attack turns, and what it makes of them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use smallbox::certify::attack::{self, Adversarial, AttackSpec, Attacker, Loss, Method};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::Prover;
use smallbox::certify::property::Property;
use smallbox::data::{Split, View};
use smallbox::error::{Error, Result};
use smallbox::formats::atomic::write_atomically;
use smallbox::graph::{self, Graph};
use smallbox::train::{EVALUATION_BATCH, Rate, outputs};

use super::format::{Side, count, radius, table};
use super::model::ModelOptions;
use super::options::{DeviceOptions, SplitName};
use super::progress::Meter;
use super::{interrupt, output, parse};

/// How iterates move.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    /// Sign steps of a given length that decays
    Pgd,
    /// Auto-PGD on the cross-entropy
    ApgdCe,
    /// Auto-PGD on the difference of logits ratio, targeted at each other class
    ApgdDlr,
}

/// What PGD goes up.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LossName {
    /// The margin of each other class, an attack for each
    Margin,
    /// The cross-entropy, one attack for all
    Ce,
}

/// Options of `attack`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// How iterates move
    #[arg(long, value_enum, default_value_t = MethodName::Pgd)]
    method: MethodName,
    /// What PGD goes up `[default: margin]`
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Gradient steps of each start
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 100)]
    steps: usize,
    /// Length of PGD's first steps, relative to the half width of each pixel's interval; a tenth of it from 50 % of the steps
    /// on, and again at 80 and 90 % `[default: 0.25]`
    #[arg(long, value_name = "F", value_parser = parse::number, allow_negative_numbers = true)]
    step_size: Option<f64>,
    /// Random starts
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 1)]
    restarts: usize,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = parse::positive, conflicts_with = "range")]
    limit: Option<usize>,
    /// Only the images A to B − 1, counted from 0
    #[arg(long, value_name = "A..B", value_parser = parse::range)]
    range: Option<Range<usize>>,
    /// Seed of the starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images attacked at once
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 64)]
    batch: usize,
    /// Save each image that is turned to DIR, new or empty: a picture, its numbers, and index.json
    #[arg(long, value_name = "DIR")]
    save_adversarial: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Attacks.
pub fn run(args: &Args) -> Result<()> {
    let spec = spec(args)?;
    args.device.set_threads()?;
    let found = args.model.find()?;
    let epsilon = found.epsilon(args.epsilon)?;
    let dataset = found.dataset()?;
    let split = args.split.of(&dataset)?;
    let network = found.relu_network(Some(&dataset))?;
    let range = chosen(args, split, &dataset.name)?;
    let prover = Arc::new(Prover::new(&network)?);
    let rows = attack::rows_that_fit(&network);
    let mut attacker = Attacker::new(&network, prover, spec, rows)?;
    if let Some(folder) = &args.save_adversarial {
        claim(folder)?;
    }

    interrupt::install("stopping after this batch; again to stop at once")?;
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let first = range.start;
    let batch = EVALUATION_BATCH.min(range.len());
    // What is attacked is what is asked for its answer, whatever file it is from.
    let forward = |graph: &mut Graph, x: graph::Value| {
        let samples = [&[batch], network.input().dims()].concat();
        let x = graph.reshape(x, samples)?;
        network.forward(graph, x)
    };
    let logits = pollster::block_on(outputs(session, &forward, split, range.clone(), batch))?;
    let known = |&index: &usize| {
        let (row, label) =
            (&logits[(index - first) * split.classes..][..split.classes], usize::from(split.labels[index]));
        row.iter().enumerate().all(|(k, &v)| k == label || v < row[label])
    };
    let images: Vec<usize> = range.clone().filter(known).collect();
    let mut outcome =
        Outcome { images: range.len(), natural: images.len(), saved: Vec::new(), broken: 0, seconds: 0.0 };
    let clock = Instant::now();
    let mut meter = Meter::new(args.quiet);
    for (done, chunk) in images.chunks(args.batch).enumerate() {
        if interrupt::requested() {
            meter.finish();
            return Err(Error::Interrupted(String::new()));
        }
        let so_far = format!("turned {}", outcome.broken);
        meter.set("images", (done * args.batch) as u64, images.len() as u64, &so_far);
        let pixels: Vec<Vec<f32>> = chunk.iter().map(|&index| pixels(split, index)).collect();
        let property = |(&index, image): (&usize, &Vec<f32>)| {
            let (lower, upper) = Property::ball(image, epsilon);
            Property::label(lower, upper, split.classes, usize::from(split.labels[index]))
        };
        let properties: Vec<Property> = chunk.iter().zip(&pixels).map(property).collect();
        let attacked = pollster::block_on(attacker.run(session, &properties, args.seed, None))?;
        for ((&index, image), attacked) in chunk.iter().zip(pixels).zip(attacked) {
            // The box is rounded outward; what counts lies in the ball itself.
            let inside = |x: &Vec<f64>| attack::in_ball(x, &image, epsilon);
            let Some(adversarial) = attacked.counterexample.filter(inside) else { continue };
            outcome.broken += 1;
            if let Some(folder) = &args.save_adversarial {
                let found = Adversarial { shape: split.input(), original: image, adversarial };
                outcome.saved.push(save(folder, &network, index, split.labels[index], &found)?);
            }
        }
    }
    meter.finish();
    outcome.seconds = clock.elapsed().as_secs_f64();
    let document = json!({
        "model": found.argument(),
        "dataset": dataset.name,
        "split": args.split.name(),
        "epsilon": epsilon,
        "attack": spec.describe(args.seed),
        "images": outcome.images,
        "natural": outcome.rate(outcome.natural),
        "adversarial": outcome.rate(outcome.natural - outcome.broken),
        "broken": outcome.broken,
        "seconds": outcome.seconds,
    });
    if let Some(folder) = &args.save_adversarial {
        write_index(folder, &document, &network.digest(), &outcome.saved)?;
    }
    if args.json {
        return output::print_json(&document);
    }
    output::print(&format!(
        "{} on {}, ε = {}: {} {} images, {}\n\n{}",
        found.title(&dataset)?,
        dataset.name,
        radius(epsilon),
        count(outcome.images as u64),
        args.split.name(),
        spec.describe(args.seed),
        outcome.table()
    ))
}

/// The attack that the options describe.
fn spec(args: &Args) -> Result<AttackSpec> {
    let only_pgd = |option: &str| Err(Error::Usage(format!("{option} goes with --method pgd; APGD chooses it itself")));
    let loss = match (args.method, args.loss) {
        (MethodName::Pgd, Some(LossName::Ce)) | (MethodName::ApgdCe, None) => Loss::CrossEntropy,
        (MethodName::Pgd, _) => Loss::Margin,
        (MethodName::ApgdDlr, None) => Loss::LogitsRatio,
        _ => return only_pgd("--loss"),
    };
    if args.method != MethodName::Pgd {
        if args.step_size.is_some() {
            return only_pgd("--step-size");
        }
        return Ok(AttackSpec::apgd(loss, args.steps, args.restarts));
    }
    let step_size = args.step_size.unwrap_or(AttackSpec::STEP_SIZE);
    let method = Method::Pgd { step_size, decay: true };
    Ok(AttackSpec { method, loss, ..AttackSpec::pgd(args.steps, args.restarts) })
}

/// The images that are asked for.
fn chosen(args: &Args, split: &Split, dataset: &str) -> Result<Range<usize>> {
    let all = match &args.range {
        Some(range) => range.clone(),
        None => 0..args.limit.unwrap_or(split.len()).min(split.len()),
    };
    if all.end > split.len() {
        let (Range { start, end }, name) = (all, args.split.name());
        let message = format!("--range {start}..{end}: {dataset} has {} {name} images", split.len());
        return Err(Error::Usage(message));
    }
    Ok(all)
}

/// An image as the network sees it.
fn pixels(split: &Split, index: usize) -> Vec<f32> {
    let mut image = vec![0.0; split.input().iter().product()];
    split.write_view(index, View::middle(split), &mut image);
    image
}

/// Makes `folder`, which must be new or empty: images of an earlier attack would be taken for this one's.
fn claim(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    if fs::read_dir(folder).map_err(Error::io(folder))?.next().is_some() {
        let folder = folder.display();
        return Err(Error::Usage(format!("{folder}: not empty; choose another folder for --save-adversarial")));
    }
    Ok(())
}

/// Writes picture and numbers; returns the image's entry in the index.
fn save(folder: &Path, network: &ReluNetwork, index: usize, label: u8, found: &Adversarial) -> Result<Value> {
    let (picture, numbers) = (format!("{index:05}.png"), format!("{index:05}.safetensors"));
    found.write_picture(&folder.join(&picture))?;
    found.write(&folder.join(&numbers))?;
    let y = network.evaluate(&found.adversarial);
    // A tie with the label breaks the claim too: the class is then the other one.
    let other = |k: &usize| *k != usize::from(label);
    let predicted = (0..y.len()).filter(other).max_by(|&a, &b| y[a].total_cmp(&y[b])).expect("two classes at least");
    Ok(json!({
        "image": index,
        "label": label,
        "predicted": predicted,
        "distance": found.distance(),
        "picture": picture,
        "numbers": numbers,
    }))
}

/// Writes `index.json`, last of all.
fn write_index(folder: &Path, document: &Value, digest: &str, saved: &[Value]) -> Result<()> {
    let keys = ["model", "dataset", "split", "epsilon", "attack"];
    let mut index: serde_json::Map<String, Value> =
        keys.iter().map(|&key| (key.to_string(), document[key].clone())).collect();
    index.insert("network".into(), json!(digest));
    index.insert("images".into(), json!(saved));
    let mut text = serde_json::to_string_pretty(&index).expect("a JSON value is JSON");
    text.push('\n');
    write_atomically(&folder.join("index.json"), text.as_bytes())
}

/// What came out.
struct Outcome {
    images: usize,
    natural: usize,
    broken: usize,
    seconds: f64,
    saved: Vec<Value>,
}

impl Outcome {
    fn rate(&self, count: usize) -> Rate {
        Rate::wilson(count, self.images)
    }

    fn table(&self) -> String {
        let row = |name: &str, n: usize| {
            let (rate, percent) = (self.rate(n), |share: f64| format!("{:.2}", 100.0 * share));
            vec![
                name.to_string(),
                format!("{}/{}", count(n as u64), count(self.images as u64)),
                format!("{} %", percent(rate.rate)),
                format!("{} to {} %", percent(rate.low), percent(rate.high)),
            ]
        };
        let head = ["accuracy", "images", "rate", "95 % interval"].map(String::from).to_vec();
        let rows = [head, row("natural", self.natural), row("adversarial", self.natural - self.broken)];
        table(&[Side::Left, Side::Right, Side::Right, Side::Right], &rows)
    }
}
