//! The networks that an analysis compares, and the images that it looks at.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use smallbox::analyze::Sample;
use smallbox::certify::network::ReluNetwork;
use smallbox::data::{Dataset, Split};
use smallbox::error::{Error, Result};
use smallbox::nn::{ARCHITECTURES, Network};
use smallbox::train::{Config, SmallBox, checkpoint};

use crate::cli::model::ModelOptions;
use crate::cli::options::{DataDir, SplitName};
use crate::cli::parse;

/// Which networks and images.
#[derive(clap::Args)]
pub struct Options {
    /// Run directories or .safetensors files
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Architecture of files that don't say it
    #[arg(long, value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: Option<String>,
    /// Dataset `[default: the runs']`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The weights of each run's best epoch by its validation split, instead of the last ones
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    place: DataDir,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: the runs']`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Which images
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
}

/// A network with its weights.
pub struct Loaded {
    /// Its name in tables and figures: the last part of its path, or, where several share that, the path.
    pub label: String,
    /// The run's settings, where it is a run.
    pub config: Option<Config>,
    /// The network.
    pub network: Network,
    /// Its weights by name.
    pub tensors: Vec<(String, Vec<f32>)>,
    /// What it is for; the same dataset for all.
    pub dataset: Dataset,
    /// Radius ε: the option, else the run's.
    pub epsilon: f64,
}

impl Loaded {
    /// The network as certification sees it.
    pub fn relu_network(&self) -> Result<ReluNetwork> {
        ReluNetwork::from_model(&self.network, &self.tensors)
    }
}

impl Options {
    /// Loads the networks, in the order given.
    ///
    /// # Errors
    /// What is wrong with a model; [`Error::Usage`] when two are of different datasets or ε, or one is given twice.
    pub fn load(&self) -> Result<Vec<Loaded>> {
        let mut loaded: Vec<Loaded> = Vec::with_capacity(self.models.len());
        for (path, label) in self.models.iter().zip(labels(&self.models)?) {
            let place = DataDir { data_dir: self.place.data_dir.clone() };
            let options = ModelOptions::named(path, self.arch.clone(), self.dataset.clone(), self.best, place);
            let found = options.find()?;
            let epsilon = found.epsilon(self.epsilon)?;
            let dataset = found.dataset()?;
            let network = found.network(Some(&dataset))?;
            let tensors = checkpoint::load_tensors(found.file(), &network)?;
            if network.relu_layers() == 0 {
                return Err(Error::model(found.file(), "a network without ReLU: expected one to analyze"));
            }
            if let Some(first) = loaded.first() {
                let differ = |what: &str, a: &str, b: &str| {
                    let (one, other) = (self.models[0].display(), path.display());
                    Err(Error::Usage(format!("{one} has {what} {a}, {other} {b}: give --{what} to compare them")))
                };
                if first.dataset.name != dataset.name {
                    return differ("dataset", &first.dataset.name, &dataset.name);
                }
                if first.epsilon != epsilon {
                    return differ("epsilon", &first.epsilon.to_string(), &epsilon.to_string());
                }
            }
            let config = found.recorded().cloned();
            loaded.push(Loaded { label, config, network, tensors, dataset, epsilon });
        }
        Ok(loaded)
    }

    /// The first `limit` images of the split.
    pub fn sample(&self, loaded: &[Loaded], limit: usize) -> Result<Sample> {
        Sample::first(self.images(loaded)?, limit)
    }

    /// The images of the split.
    pub fn images<'a>(&self, loaded: &'a [Loaded]) -> Result<&'a Split> {
        self.split.of(&loaded[0].dataset)
    }

    /// Name of the split.
    pub fn split(&self) -> &'static str {
        self.split.name()
    }
}

/// Radius of the small box relative to ε: `option`, else that of the first run trained with small boxes, else the default recipe's.
///
/// # Errors
/// [`Error::Config`] if it is not in (0, 1].
pub fn lambda(option: Option<f64>, loaded: &[Loaded]) -> Result<f64> {
    let runs = loaded.iter().filter_map(|model| model.config.as_ref());
    let small = runs.filter_map(SmallBox::of).next();
    let lambda = option.unwrap_or_else(|| small.map_or(Config::default().lambda, |small| small.lambda));
    if lambda > 0.0 && lambda <= 1.0 {
        return Ok(lambda);
    }
    Err(Error::Config(format!("lambda = {lambda}: expected a ratio in (0, 1]")))
}

/// Names of models: the last part of each path, or, where several share that, the path.
fn labels(paths: &[PathBuf]) -> Result<Vec<String>> {
    let real: Vec<PathBuf> = paths.iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.clone())).collect();
    if let Some(i) = (1..real.len()).find(|&i| real[..i].contains(&real[i])) {
        return Err(Error::Usage(format!("{}: this model is given twice", paths[i].display())));
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let names: Vec<String> = real.iter().map(name).collect();
    let shared = |name: &String| names.iter().filter(|n| *n == name).count() > 1;
    let label =
        |(path, name): (&PathBuf, &String)| if shared(name) { path.display().to_string() } else { name.clone() };
    Ok(paths.iter().zip(&names).map(label).collect())
}
