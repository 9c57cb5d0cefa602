//! `smallbox export`: a model as ONNX, properties of images as VNN-LIB, the list of both.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smallbox::data::{Dataset, Split};
use smallbox::error::{Error, Result};
use smallbox::export::{ball, onnx_graph};
use smallbox::formats::atomic::write_atomically;
use smallbox::formats::onnx::{self, Graph};
use smallbox::formats::vnnlib::{Property, instance};
use smallbox::nn::Network;
use smallbox::train::{EVALUATION_BATCH, checkpoint, logits};

use super::format::{bytes, count, left_table};
use super::model::{Found, ModelOptions};
use super::options::{DeviceOptions, SplitName};
use super::progress::Meter;
use super::{output, parse};

/// Images that properties are written for unless told otherwise.
const DEFAULT_LIMIT: usize = 100;
/// Seconds that a verifier has for an instance unless told otherwise.
const DEFAULT_TIMEOUT: usize = 120;

/// Options of `export`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["onnx", "vnnlib"]))]
pub struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// Write the network as ONNX (opset 13), from raw pixels in `[0, 1]` to logits; an existing file is replaced
    #[arg(long, value_name = "F.onnx")]
    onnx: Option<PathBuf>,
    /// Images that the ONNX network takes at once `[default: 1]`
    #[arg(long, value_name = "N", value_parser = parse::positive, requires = "onnx", conflicts_with = "vnnlib")]
    batch: Option<usize>,
    /// Write a property for each image, the network and instances.csv to DIR, new or empty
    #[arg(long, value_name = "DIR")]
    vnnlib: Option<PathBuf>,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the run's]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true, requires = "vnnlib")]
    epsilon: Option<f64>,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test, requires = "vnnlib")]
    split: SplitName,
    /// Only the first N images `[default: 100]`
    #[arg(long, value_name = "N", value_parser = parse::positive, requires = "vnnlib", conflicts_with = "range")]
    limit: Option<usize>,
    /// Only the images A to B − 1, counted from 0
    #[arg(long, value_name = "A..B", value_parser = parse::range, requires = "vnnlib")]
    range: Option<Range<usize>>,
    /// Misclassified images too: their property is violated by the image itself
    #[arg(long, requires = "vnnlib")]
    misclassified: bool,
    /// Seconds that a verifier has for an image, for instances.csv `[default: 120]`
    #[arg(long, value_name = "S", value_parser = parse::positive, requires = "vnnlib")]
    timeout: Option<usize>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Exports. Everything that can be wrong with the arguments is found before the first file is written.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let found = args.model.find()?;
    let dataset = match args.vnnlib.is_some() || !found.describes_itself()? {
        true => Some(found.dataset()?),
        false => None,
    };
    let network = found.network(dataset.as_ref())?;
    let tensors = checkpoint::load_tensors(found.file(), &network)?;
    let graph = onnx_graph(&network, &tensors, args.batch.unwrap_or(1))?;
    let chosen = match (&args.vnnlib, &dataset) {
        (Some(folder), Some(dataset)) => {
            let chosen = choose(args, &found, dataset, &network, &tensors)?;
            claim(folder)?;
            Some((folder.as_path(), chosen))
        }
        _ => None,
    };

    let mut onnx_files = Vec::new();
    if let Some(file) = &args.onnx {
        onnx_files.push((file.clone(), onnx::write(file, &graph)?));
    }
    if let Some((folder, chosen)) = &chosen {
        let name = format!("{}.onnx", network.name);
        onnx_files.push((folder.join("onnx").join(&name), write_folder(args, folder, &name, &graph, chosen)?));
    }
    let written = Written { graph, onnx_files, timeout: args.timeout.unwrap_or(DEFAULT_TIMEOUT), chosen };
    let found = found.argument();
    if args.json {
        output::print_json(&written.document(found, &network))
    } else {
        output::print(&written.text(&network))
    }
}

/// The images that properties are written for.
struct Chosen<'a> {
    dataset: &'a Dataset,
    split: &'a Split,
    split_name: &'static str,
    epsilon: f64,
    /// Images that were looked at.
    range: Range<usize>,
    /// Indices of those that are written, with the answer to "does the network know it".
    images: Vec<(usize, bool)>,
    /// Misclassified ones among those looked at.
    misclassified: usize,
}

/// Lets the network classify the images that the options name. An image counts as known if its label's logit is above all
/// others: a tie would violate the property already.
fn choose<'a>(
    args: &Args,
    found: &Found<'_>,
    dataset: &'a Dataset,
    network: &Network,
    tensors: &[(String, Vec<f32>)],
) -> Result<Chosen<'a>> {
    let epsilon = found.epsilon(args.epsilon)?;
    let split = args.split.of(dataset)?;
    let range = match &args.range {
        Some(range) => range.clone(),
        None => 0..args.limit.unwrap_or(DEFAULT_LIMIT).min(split.len()),
    };
    if range.end > split.len() {
        let (Range { start, end }, name) = (&range, args.split.name());
        let message = format!("--range {start}..{end}: {} has {} {name} images", dataset.name, split.len());
        return Err(Error::Usage(message));
    }
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    checkpoint::write_tensors(session, network, tensors)?;
    let batch = EVALUATION_BATCH.min(range.len());
    let logits = pollster::block_on(logits(session, network, split, range.clone(), batch))?;
    let known = |(row, index): (&[f32], usize)| {
        let label = usize::from(split.labels[index]);
        (index, row.iter().enumerate().all(|(k, &v)| k == label || v < row[label]))
    };
    let mut images: Vec<(usize, bool)> = logits.chunks(network.classes).zip(range.clone()).map(known).collect();
    let misclassified = images.iter().filter(|(_, known)| !known).count();
    images.retain(|(_, known)| *known || args.misclassified);
    Ok(Chosen { dataset, split, split_name: args.split.name(), epsilon, range, images, misclassified })
}

/// Makes `folder`, which must be new or empty: properties of an earlier export would be taken for this one's.
fn claim(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    if fs::read_dir(folder).map_err(Error::io(folder))?.next().is_some() {
        return Err(Error::Usage(format!("{}: not empty; choose another folder for --vnnlib", folder.display())));
    }
    Ok(())
}

/// Writes `onnx/NAME`, `vnnlib/…` and, when all is there, `instances.csv`; returns the bytes of the network.
fn write_folder(args: &Args, folder: &Path, network: &str, graph: &Graph, chosen: &Chosen<'_>) -> Result<usize> {
    for part in ["onnx", "vnnlib"] {
        let part = folder.join(part);
        fs::create_dir(&part).map_err(Error::io(&part))?;
    }
    let size = onnx::write(&folder.join("onnx").join(network), graph)?;
    let mut instances = String::new();
    let mut meter = Meter::new(args.quiet);
    for (done, &(index, known)) in chosen.images.iter().enumerate() {
        meter.set("properties", done as u64, chosen.images.len() as u64, "");
        let (name, property) = property(graph, chosen, index, known);
        write_atomically(&folder.join("vnnlib").join(&name), property.text().as_bytes())?;
        let timeout = args.timeout.unwrap_or(DEFAULT_TIMEOUT);
        instances += &instance(&format!("onnx/{network}"), &format!("vnnlib/{name}"), timeout);
    }
    meter.finish();
    write_atomically(&folder.join("instances.csv"), instances.as_bytes())?;
    Ok(size)
}

/// File name and property of image `index`.
fn property(graph: &Graph, chosen: &Chosen<'_>, index: usize, known: bool) -> (String, Property) {
    let label = usize::from(chosen.split.labels[index]);
    let (lower, upper) = ball(&chosen.split.middle_bytes(index), chosen.epsilon);
    let (dataset, split, epsilon) = (&chosen.dataset.name, chosen.split_name, chosen.epsilon);
    let answer = if known { "correctly classified" } else { "misclassified" };
    let comments = vec![
        format!("{} on {dataset}: {split} image {index} (counted from 0), label {label}, {answer}", graph.name),
        format!("L-infinity ball of radius {epsilon} in pixels of [0, 1]; ends rounded outward to f32"),
        "unsat: every image of the ball has the label; sat: a counter-example".into(),
    ];
    let name = format!("{split}{index}-label{label}-eps{epsilon}.vnnlib");
    (name, Property { comments, lower, upper, classes: chosen.split.classes, label })
}

/// What is written, to be told.
struct Written<'a> {
    graph: Graph,
    /// Copies of the network, with their bytes.
    onnx_files: Vec<(PathBuf, usize)>,
    timeout: usize,
    chosen: Option<(&'a Path, Chosen<'a>)>,
}

impl Written<'_> {
    /// How often each operator occurs, in the order of the first time.
    fn operators(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for node in &self.graph.nodes {
            let name = node.operator.name();
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        counts
    }

    /// The keys of `export --json`.
    fn document(&self, model: &Path, network: &Network) -> Value {
        let operators: serde_json::Map<String, Value> =
            self.operators().into_iter().map(|(name, count)| (name.to_string(), count.into())).collect();
        let vnnlib = self.chosen.as_ref().map(|(folder, chosen)| {
            json!({
                "folder": folder,
                "instances": folder.join("instances.csv"),
                "dataset": chosen.dataset.name,
                "split": chosen.split_name,
                "epsilon": chosen.epsilon,
                "first": chosen.range.start,
                "images": chosen.range.len(),
                "misclassified": chosen.misclassified,
                "properties": chosen.images.len(),
                "timeout": self.timeout,
            })
        });
        json!({
            "model": model,
            "arch": network.name,
            "input": self.graph.input.dims,
            "output": self.graph.output.dims,
            "opset": onnx::OPSET,
            "nodes": self.graph.nodes.len(),
            "operators": operators,
            "onnx": self.onnx_files.iter().map(|(file, _)| file).collect::<Vec<_>>(),
            "bytes": self.onnx_files[0].1,
            "vnnlib": vnnlib,
        })
    }

    /// The same in lines.
    fn text(&self, network: &Network) -> String {
        let operators: Vec<String> = self.operators().iter().map(|(name, count)| format!("{count} {name}")).collect();
        let mut rows = Vec::new();
        for (file, size) in &self.onnx_files {
            let what = format!(
                "{}, {}, opset {}, batch {}",
                network.name,
                bytes(*size as u64),
                onnx::OPSET,
                self.graph.input.dims[0]
            );
            rows.push(["onnx".into(), file.display().to_string(), format!("{what}: {}", operators.join(", "))]);
        }
        if let Some((folder, chosen)) = &self.chosen {
            let size = |n: usize| count(n as u64);
            let (looked, split, epsilon) = (size(chosen.range.len()), chosen.split_name, chosen.epsilon);
            let left_out = chosen.range.len() - chosen.images.len();
            let rest = match left_out {
                0 => format!("{} of them misclassified", size(chosen.misclassified)),
                n => format!("{} misclassified left out", size(n)),
            };
            let what = format!("{} of {looked} {split} images at ε = {epsilon}, {rest}", size(chosen.images.len()));
            rows.push(["properties".into(), folder.join("vnnlib").display().to_string(), what]);
            let list = folder.join("instances.csv").display().to_string();
            rows.push(["instances".into(), list, format!("{} s for each", self.timeout)]);
        }
        left_table(&rows.into_iter().map(Vec::from).collect::<Vec<_>>())
    }
}
