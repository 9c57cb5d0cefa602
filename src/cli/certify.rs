//! `smallbox certify`: which images of a dataset a model classifies correctly on the whole of a box around them.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use smallbox::certify::attack::AttackSpec;
use smallbox::certify::cascade::{Cascade, Claim, Method, Settings, Stage, Verdict};
use smallbox::certify::certificate::About;
use smallbox::certify::property::Property;
use smallbox::certify::record::{Counts, Job, Log, Record};
use smallbox::data::{Split, View};
use smallbox::error::{Error, Result};
use smallbox::train::Rate;

use super::format::{Side, count, duration, radius, table};
use super::model::ModelOptions;
use super::options::{DeviceOptions, SplitName};
use super::progress::Meter;
use super::search::SearchOptions;
use super::{interrupt, output, parse};

/// Options of `certify`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// The dearest method that may prove an image; cheaper ones come first
    #[arg(long, value_parser = PossibleValuesParser::new(["ibp", "crown-ibp", "crown", "alpha-crown", "bab"]), default_value = "bab")]
    method: String,
    /// Time for one image: branch-and-bound stops there, cheaper stages are finished
    #[arg(long, value_name = "T", value_parser = parse::duration, default_value = "30s")]
    timeout: Duration,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = parse::positive, conflicts_with = "range")]
    limit: Option<usize>,
    /// Only the images A to B − 1, counted from 0
    #[arg(long, value_name = "A..B", value_parser = parse::range)]
    range: Option<Range<usize>>,
    /// Only part I of N of the images: 1/4 to 4/4
    #[arg(long, value_name = "I/N", value_parser = parse::shard)]
    shard: Option<(usize, usize)>,
    /// File that gets one line of JSON for each image as soon as it is decided; an existing one of the same job is continued
    #[arg(long, value_name = "F.jsonl")]
    out: Option<PathBuf>,
    /// Folder that gets a certificate for each certified image, NNNNN.certificate, to be checked by `smallbox check`
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Steps of the attack that comes first; 0: no attack
    #[arg(long, value_name = "N", default_value_t = 100)]
    attack_steps: usize,
    /// Starts of the attack for each other class
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 1)]
    attack_restarts: usize,
    /// Seed of the attack's starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images that go through the first stages together
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    batch: Option<usize>,
    /// End with exit code 7 if a smaller share of the images is certified (0..1)
    #[arg(long, value_name = "SHARE", value_parser = parse::number)]
    min_certified: Option<f64>,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Certifies.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let found = args.model.find()?;
    let epsilon = found.epsilon(args.epsilon)?;
    let dataset = found.dataset()?;
    let split = args.split.of(&dataset)?;
    let network = found.relu_network(Some(&dataset))?;
    let indices = chosen(args, split)?;
    let method = Method::parse(&args.method).expect("clap knows the names");

    let mut settings = Settings { method, timeout: args.timeout, ..Settings::default() };
    settings.batch = args.batch.unwrap_or(settings.batch);
    settings.attack = (args.attack_steps > 0).then(|| AttackSpec::pgd(args.attack_steps, args.attack_restarts));
    settings.seed = args.seed;
    args.search.apply(&mut settings.search);
    let job = Job {
        model: network.digest(),
        dataset: dataset.name.clone(),
        split: args.split.name().to_string(),
        epsilon,
        method: args.method.clone(),
        timeout: args.timeout.as_secs_f64(),
        search: args.search.describe(),
        attack: settings.attack.map_or("none".to_string(), |spec| spec.describe(args.seed)),
    };
    if let Some(folder) = &args.certificates {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let mut log = args.out.as_deref().map(|path| Log::open(path, &job)).transpose()?;
    let wanted: HashSet<usize> = indices.clone().collect();
    let mut records: Vec<Record> = match &mut log {
        Some((_, old)) => std::mem::take(old),
        None => Vec::new(),
    };
    if let Some(stray) = records.iter().find(|r| !wanted.contains(&r.index)) {
        let index = stray.index;
        return Err(Error::Config(format!("the file given by --out has image {index}, which is not asked for")));
    }
    let known: HashSet<usize> = records.iter().map(|r| r.index).collect();
    let left: Vec<usize> = indices.filter(|index| !known.contains(index)).collect();
    if !known.is_empty() {
        output::note(&format!("{} images are decided already", count(known.len() as u64)));
    }

    interrupt::install("stopping after this batch; again to stop at once")?;
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let adapter = session.device().name.clone();
    let mut cascade = Cascade::new(session, &network, settings)?;
    let mut meter = Meter::new(args.quiet);
    let total = wanted.len() as u64;
    for chunk in left.chunks(settings.batch) {
        if interrupt::requested() {
            meter.finish();
            let kept = if args.out.is_some() { ", what is decided is in the file" } else { "" };
            return Err(Error::Interrupted(kept.to_string()));
        }
        let claims: Vec<Claim> = chunk.iter().map(|&index| claim(split, index, epsilon)).collect();
        let outcomes = pollster::block_on(cascade.run(session, &claims))?;
        for ((&index, claim), outcome) in chunk.iter().zip(&claims).zip(&outcomes) {
            if let (Some(folder), Some(proof)) = (&args.certificates, &outcome.proof) {
                let about = About {
                    dataset: Some(job.dataset.clone()),
                    split: Some(job.split.clone()),
                    index: Some(index),
                    label: Some(usize::from(split.labels[index])),
                    epsilon: Some(epsilon.to_string()),
                };
                let certificate = proof.certificate(&network, &claim.property, about);
                certificate.write(&folder.join(format!("{index:05}.certificate")))?;
            }
            let record = Record::new(index, usize::from(split.labels[index]), outcome, &adapter, &job);
            if let Some((log, _)) = &mut log {
                log.append(&record)?;
            }
            records.push(record);
        }
        let counts = Counts::of(&records);
        let so_far = format!("certified {}  falsified {}  open {}", counts.certified, counts.falsified, open(&counts));
        meter.set("images", records.len() as u64, total, &so_far);
    }
    meter.finish();
    cascade.release(session);
    records.sort_by_key(|r| r.index);
    let counts = Counts::of(&records);
    if args.json {
        output::print_json(&document(Some(found.argument()), &job, &counts))?;
    } else {
        output::print(&format!("{}\n{}", head(&job, &counts), tables(&counts, &records)))?;
    }
    gate(args.min_certified, &counts)
}

/// The images that are asked for.
fn chosen(args: &Args, split: &Split) -> Result<Range<usize>> {
    let all = match (&args.range, args.limit) {
        (Some(range), _) => range.clone(),
        (None, Some(limit)) => 0..limit.min(split.len()),
        (None, None) => 0..split.len(),
    };
    if all.end > split.len() {
        let (end, images) = (all.end, split.len());
        return Err(Error::Usage(format!("--range to {end}: the split has {images} images")));
    }
    let Some((part, parts)) = args.shard else { return Ok(all) };
    let at = |part: usize| all.start + all.len() * part / parts;
    Ok(at(part - 1)..at(part))
}

/// The claim that the box around an image has its label.
pub(super) fn claim(split: &Split, index: usize, epsilon: f64) -> Claim {
    let mut image = vec![0.0; split.pixels()];
    split.write_view(index, View::middle(split), &mut image);
    let (lower, upper) = Property::ball(&image, epsilon);
    let property = Property::label(lower, upper, split.classes, usize::from(split.labels[index]));
    Claim { property, point: Some(image.iter().map(|&p| f64::from(p)).collect()) }
}

fn open(counts: &Counts) -> usize {
    counts.unknown + counts.timeout + counts.error
}

/// What was certified, for a table's head.
pub(super) fn head(job: &Job, counts: &Counts) -> String {
    format!(
        "{} {} images of {}, ε = {}, {}, {} s an image, attack: {}\n",
        count(counts.images as u64),
        job.split,
        job.dataset,
        radius(job.epsilon),
        job.method,
        job.timeout,
        job.attack,
    )
}

/// Counts as tables: accuracies, stages, what is open and why.
pub(super) fn tables(counts: &Counts, records: &[Record]) -> String {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    let row = |name: &str, n: usize| {
        let rate = Rate::wilson(n, counts.images.max(1));
        vec![
            name.to_string(),
            format!("{}/{}", count(n as u64), count(counts.images as u64)),
            format!("{} %", percent(rate.rate)),
            format!("{} to {} %", percent(rate.low), percent(rate.high)),
        ]
    };
    let mut rows = vec![["accuracy", "images", "rate", "95 % interval"].map(String::from).to_vec()];
    rows.push(row("natural", counts.natural));
    rows.push(row("adversarial", counts.adversarial));
    let mut sum = 0;
    for stage in &Stage::ALL[2..] {
        sum += counts.stages.get(stage.name()).map_or(0, |s| s.certified);
        rows.push(row(&format!("certified up to {}", stage.name()), sum));
    }
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
    let mut text = table(&sides, &rows);
    text += &format!(
        "\nfalsified {} (misclassified {}, by the attack {}, by branch-and-bound {}), timeout {}, unknown {}, error {}; {}\n",
        counts.falsified,
        counts.images - counts.natural,
        counts.natural - counts.adversarial,
        counts.stages.get("bab").map_or(0, |s| s.falsified),
        counts.timeout,
        counts.unknown,
        counts.error,
        duration(Duration::from_secs_f64(counts.seconds)),
    );
    let open: Vec<&Record> =
        records.iter().filter(|r| matches!(r.verdict, Verdict::Unknown | Verdict::Timeout | Verdict::Error)).collect();
    if open.is_empty() {
        return text;
    }
    let mut rows = vec![["open image", "label", "class", "gap", "domains", "depth", "why"].map(String::from).to_vec()];
    for record in open.iter().take(MOST_OPEN) {
        rows.push(vec![
            record.index.to_string(),
            record.label.to_string(),
            record.open_class.map_or("–".into(), |class| class.to_string()),
            record.gap.map_or("–".into(), |gap| format!("{gap:.4}")),
            count(record.domains as u64),
            record.depth.to_string(),
            record.reason.clone().unwrap_or_default(),
        ]);
    }
    let sides = [Side::Right, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left];
    text += "\n";
    text += &table(&sides, &rows);
    if open.len() > MOST_OPEN {
        text += &format!("and {} more\n", count((open.len() - MOST_OPEN) as u64));
    }
    text
}

/// Open images that the table lists.
const MOST_OPEN: usize = 20;

/// The keys of `certify --json`; without a `model` where only records are there.
pub(super) fn document(model: Option<&Path>, job: &Job, counts: &Counts) -> Value {
    let rate = |n: usize| Rate::wilson(n, counts.images.max(1));
    json!({
        "model": model,
        "digest": job.model,
        "dataset": job.dataset,
        "split": job.split,
        "epsilon": job.epsilon,
        "method": job.method,
        "timeout_seconds": job.timeout,
        "attack": job.attack,
        "images": counts.images,
        "natural": rate(counts.natural),
        "adversarial": rate(counts.adversarial),
        "ibp": rate(counts.ibp),
        "certified": rate(counts.certified),
        "falsified": counts.falsified,
        "unknown": counts.unknown,
        "timeout": counts.timeout,
        "error": counts.error,
        "seconds": counts.seconds,
        "stages": counts.stages,
    })
}

fn gate(least: Option<f64>, counts: &Counts) -> Result<()> {
    let share = counts.certified as f64 / counts.images.max(1) as f64;
    match least.filter(|least| share < *least) {
        Some(least) => Err(Error::Gate(format!(
            "{:.2} % of the images are certified, less than --min-certified {:.2} %",
            100.0 * share,
            100.0 * least
        ))),
        None => Ok(()),
    }
}
