//! `smallbox check`: certificates proved again, natively, without any search.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use smallbox::certify::certificate::{Certificate, Checker, Verdict};
use smallbox::data::{Dataset, View};
use smallbox::error::{Error, Result};
use smallbox::nn::ARCHITECTURES;

use super::model::ModelOptions;
use super::options::{DataDir, SplitName, set_threads};
use super::{output, parse};

/// Options of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Certificates
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The network that they are about: a run directory, a .safetensors or an .onnx file
    #[arg(long, value_name = "M")]
    model: PathBuf,
    /// Architecture of a file that doesn't say it
    #[arg(long, value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: Option<String>,
    /// The weights of the run's best epoch by its validation split, instead of the last ones
    #[arg(long)]
    best: bool,
    /// The claim must be about the ball of this radius around an image, also as a fraction: 2/255
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Dataset of the image `[default: the run's]`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test, requires = "epsilon")]
    split: SplitName,
    /// The image, counted from 0 `[default: the one that the certificate names]`
    #[arg(long, value_name = "I", requires = "epsilon")]
    index: Option<usize>,
    #[command(flatten)]
    place: DataDir,
    /// Threads `[default: one per core]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    threads: Option<usize>,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// What became of one file.
enum Outcome {
    Judged(Verdict),
    /// No certificate of this network, or not of this image.
    Rejected(String),
}

/// Checks every file. A file that proves nothing does not keep the others from being checked.
pub fn run(args: &Args) -> Result<()> {
    set_threads(args.threads)?;
    if let (Some(index), more @ 2..) = (args.index, args.files.len()) {
        return Err(Error::Usage(format!("--index {index} with {more} certificates: expected one")));
    }
    if let Some(file) = args.files.iter().find(|file| !file.is_file()) {
        return Err(Error::model(file, "no such file: expected a certificate"));
    }
    let place = DataDir { data_dir: args.place.data_dir.clone() };
    let model = ModelOptions::named(&args.model, args.arch.clone(), args.dataset.clone(), args.best, place);
    let found = model.find()?;
    let dataset = match args.epsilon.is_some() || !found.describes_itself()? {
        true => Some(found.dataset()?),
        false => None,
    };
    let network = found.relu_network(dataset.as_ref())?;
    let checker = Checker::new(&network)?;
    let image = match (args.epsilon, dataset.as_ref()) {
        (Some(_), Some(dataset)) => Some((dataset, found.epsilon(args.epsilon)?)),
        _ => None,
    };

    let (mut rows, mut proved) = (Vec::new(), 0);
    let begun = Instant::now();
    for file in &args.files {
        let begun = Instant::now();
        let outcome = judge(args, file, &checker, image);
        proved += usize::from(matches!(outcome, Outcome::Judged(Verdict::Proved { .. })));
        if args.json {
            rows.push(row(file, &outcome, begun.elapsed().as_secs_f64()));
        } else {
            output::print(&line(file, &outcome, begun.elapsed().as_secs_f64()))?;
        }
    }
    let total = args.files.len();
    if args.json {
        output::print_json(&json!({
            "model": args.model,
            "network": network.digest(),
            "certificates": total,
            "proved": proved,
            "seconds": begun.elapsed().as_secs_f64(),
            "files": rows,
        }))?;
    } else if total > 1 {
        output::print(&format!("{proved} of {total} proved in {:.2} s\n", begun.elapsed().as_secs_f64()))?;
    }
    match total - proved {
        0 => Ok(()),
        failed => Err(Error::Gate(format!("{failed} of {total} certificates do not prove their claim"))),
    }
}

fn judge(args: &Args, file: &Path, checker: &Checker, image: Option<(&Dataset, f64)>) -> Outcome {
    let read = || -> Result<Certificate, String> {
        let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
        let certificate = Certificate::from_bytes(&bytes)?;
        if let Some((dataset, epsilon)) = image {
            of_image(args, &certificate, dataset, epsilon).map_err(|e| e.to_string())?;
        }
        Ok(certificate)
    };
    match read().and_then(|certificate| checker.check(&certificate).map_err(|e| e.to_string())) {
        Ok(verdict) => Outcome::Judged(verdict),
        Err(reason) => Outcome::Rejected(reason),
    }
}

fn of_image(args: &Args, certificate: &Certificate, dataset: &Dataset, epsilon: f64) -> Result<()> {
    let split = args.split.of(dataset)?;
    let index = args.index.or(certificate.about.index);
    let index = index.ok_or_else(|| Error::Usage("the certificate names no image: --index is needed".into()))?;
    if index >= split.len() {
        let (name, of) = (args.split.name(), &dataset.name);
        return Err(Error::Usage(format!("image {index}: {of} has {} {name} images", split.len())));
    }
    // The pixels as networks get them.
    let mut pixels = vec![0.0; split.pixels()];
    split.write_view(index, View::middle(split), &mut pixels);
    certificate.is_of(&pixels, usize::from(split.labels[index]), split.classes, epsilon)
}

fn line(file: &Path, outcome: &Outcome, seconds: f64) -> String {
    let file = file.display();
    match outcome {
        Outcome::Judged(Verdict::Proved { margin, leaves }) => {
            format!("{file}: proved, margin {margin:.6}, leaves {leaves}, {seconds:.2} s\n")
        }
        Outcome::Judged(Verdict::Failed { reason, .. }) => format!("{file}: not proved: {reason}\n"),
        Outcome::Rejected(reason) => format!("{file}: rejected: {reason}\n"),
    }
}

/// The keys of one of `files` in `check --json`.
fn row(file: &Path, outcome: &Outcome, seconds: f64) -> Value {
    let mut row = json!({ "file": file, "seconds": seconds });
    let more = match outcome {
        // JSON has no infinity: a box that is all empty has no margin.
        Outcome::Judged(Verdict::Proved { margin, leaves }) => {
            json!({ "verdict": "proved", "margin": margin.is_finite().then_some(margin), "leaves": leaves })
        }
        Outcome::Judged(Verdict::Failed { clause, path, bound, reason }) => {
            let path: Vec<Value> = path.iter().map(|s| json!([s.layer, s.neuron, s.active])).collect();
            let bound = bound.is_finite().then_some(bound);
            json!({ "verdict": "failed", "clause": clause, "path": path, "bound": bound, "reason": reason })
        }
        Outcome::Rejected(reason) => json!({ "verdict": "rejected", "reason": reason }),
    };
    let (Value::Object(row_map), Value::Object(more)) = (&mut row, more) else { unreachable!("both are objects") };
    row_map.extend(more);
    row
}
