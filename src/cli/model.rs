//! The model that a subcommand works on: a run directory or a file of weights, with its network and its dataset.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use smallbox::certify::network::ReluNetwork;
use smallbox::data::{self, Dataset, LoadOptions};
use smallbox::error::{Error, Result};
use smallbox::nn::{ARCHITECTURES, Network, architecture};
use smallbox::train::{Config, RunDirectory, checkpoint};

use super::options::DataDir;

/// Which model, and what its file may leave open.
#[derive(clap::Args)]
pub struct ModelOptions {
    /// A run directory, or a .safetensors file; to certify, attack, check and bench crown also an .onnx file that takes pixels of [0, 1]
    model: PathBuf,
    /// Architecture of a file that doesn't say it
    #[arg(long, value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: Option<String>,
    /// Dataset `[default: the run's]`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The weights of the run's best epoch by its validation split, instead of the last ones
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    place: DataDir,
}

/// A model that is there.
pub struct Found<'a> {
    options: &'a ModelOptions,
    file: PathBuf,
    run: Option<Config>,
}

impl ModelOptions {
    /// The same from a subcommand's own options.
    pub fn named(model: &Path, arch: Option<String>, dataset: Option<String>, best: bool, place: DataDir) -> Self {
        ModelOptions { model: model.to_path_buf(), arch, dataset, best, place }
    }

    /// Looks for the file of weights.
    pub fn find(&self) -> Result<Found<'_>> {
        let (file, run) = if self.model.is_dir() {
            let (run, config) = RunDirectory::open(&self.model)?;
            (if self.best { run.best() } else { run.model() }, Some(config))
        } else if self.best {
            return Err(Error::Usage(format!("{}: --best needs a run directory", self.model.display())));
        } else {
            (self.model.clone(), None)
        };
        if !file.is_file() {
            let message = match run {
                Some(_) if self.best => {
                    "no such file: no epoch at the full ε has ended yet, or the run has no validation images to choose by"
                }
                Some(_) => "no such file: this run has not come to its first checkpoint",
                None => "no such file: expected a run directory, a .safetensors or an .onnx file",
            };
            return Err(Error::model(file, message));
        }
        Ok(Found { options: self, file, run })
    }
}

impl Found<'_> {
    /// The model as it was named.
    pub fn argument(&self) -> &Path {
        &self.options.model
    }

    /// The file of weights.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The run's settings, where it is a run.
    pub fn recorded(&self) -> Option<&Config> {
        self.run.as_ref()
    }

    /// The run's settings, else the defaults.
    pub fn config(&self) -> Config {
        self.run.clone().unwrap_or_default()
    }

    fn needed(&self, option: &str) -> Error {
        let model = self.options.model.display();
        Error::Usage(format!("{model}: {option} is needed, for a file without its run directory"))
    }

    /// Radius ε: `option`, else the run's.
    pub fn epsilon(&self, option: Option<f64>) -> Result<f64> {
        let recorded = self.run.as_ref().map(|config| config.epsilon);
        let epsilon = option.or(recorded).ok_or_else(|| self.needed("--epsilon"))?;
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::Config(format!("epsilon = {epsilon}: expected a radius in [0, 1]")));
        }
        Ok(epsilon)
    }

    /// The dataset: `--dataset`, else the run's, with as many validation images as the run held back of it.
    pub fn dataset(&self) -> Result<Dataset> {
        let recorded = self.run.as_ref().map(|config| &config.dataset);
        let name = self.options.dataset.as_ref().or(recorded).ok_or_else(|| self.needed("--dataset"))?;
        // The numbers of validation images of two datasets have nothing to do with each other, nor have their sizes.
        let same = self.run.as_ref().filter(|c| c.dataset == *name);
        let (validation, crop) = (same.and_then(|c| c.validation), same.and_then(|c| c.crop));
        let options = LoadOptions { data_dir: self.options.place.data_dir.clone(), validation, limit: None, crop };
        data::load(name, &options)
    }

    /// Whether the file says which network it is for, so that [`Found::network`] needs no dataset.
    pub fn describes_itself(&self) -> Result<bool> {
        Ok(self.is_onnx() || checkpoint::read_model_info(&self.file)?.is_some())
    }

    fn is_onnx(&self) -> bool {
        let name = self.file.to_string_lossy();
        name.ends_with(".onnx") || name.ends_with(".onnx.gz")
    }

    /// What the network is called: its architecture, or the name of an ONNX file.
    pub fn title(&self, dataset: &Dataset) -> Result<String> {
        match self.file.file_name().filter(|_| self.is_onnx()) {
            Some(name) => Ok(name.to_string_lossy().into_owned()),
            None => Ok(self.network(Some(dataset))?.name),
        }
    }

    /// The network as certification sees it, with its weights. Where there is a dataset, its images must be of the network's size.
    pub fn relu_network(&self, dataset: Option<&Dataset>) -> Result<ReluNetwork> {
        if !self.is_onnx() {
            let network = self.network(dataset)?;
            let tensors = checkpoint::load_tensors(&self.file, &network)?;
            return ReluNetwork::from_model(&network, &tensors).map_err(|e| Error::model(&self.file, e.to_string()));
        }
        if let Some(arch) = &self.options.arch {
            return Err(Error::Usage(format!(
                "{}: an ONNX file says its network itself: drop --arch {arch}",
                self.file.display()
            )));
        }
        let network = ReluNetwork::read_onnx(&self.file)?;
        if let Some(dataset) = dataset {
            let ([c, h, w], classes) = (dataset.input(), dataset.train.classes);
            let (inputs, outputs) = (network.input().elements(), network.outputs());
            if (c * h * w, classes) != (inputs, outputs) {
                let name = &dataset.name;
                return Err(Error::model(
                    &self.file,
                    format!(
                        "{inputs} inputs and {outputs} outputs; {name} has images of {c}×{h}×{w} in {classes} classes"
                    ),
                ));
            }
        }
        Ok(network)
    }

    /// The network that the weights belong to. Where there is a dataset, its images must be of the network's size; without one, the
    /// file must describe itself.
    pub fn network(&self, dataset: Option<&Dataset>) -> Result<Network> {
        let (file, arch) = (&self.file, self.options.arch.as_deref());
        if self.is_onnx() {
            return Err(Error::model(
                file,
                "an ONNX file: certify, attack, check, verify and bench crown take those; for natural and IBP-certified accuracy: certify --method ibp",
            ));
        }
        let images = dataset.map(|d| (d.input(), d.train.classes));
        let Some(info) = checkpoint::read_model_info(file)? else {
            let Some(arch) = arch else {
                return Err(Error::Usage(format!("{}: --arch is needed, the file does not say it", file.display())));
            };
            let (input, classes) = images.ok_or_else(|| self.needed("--dataset"))?;
            let (mean, deviation) = dataset.map_or((&[][..], &[][..]), Dataset::normalisation_constants);
            return architecture(arch, input, classes, mean, deviation);
        };
        if let Some(arch) = arch.filter(|arch| *arch != info.arch) {
            return Err(Error::model(file, format!("holds a network {}, not --arch {arch}", info.arch)));
        }
        if let Some((images, dataset)) = images.zip(dataset).filter(|(images, _)| *images != (info.input, info.classes))
        {
            let text =
                |([c, h, w], classes): ([usize; 3], usize)| format!("images of {c}×{h}×{w} in {classes} classes");
            let (of_file, of_data) = (text((info.input, info.classes)), text(images));
            return Err(Error::model(file, format!("is for {of_file}; {} has {of_data}", dataset.name)));
        }
        info.network()
    }
}
