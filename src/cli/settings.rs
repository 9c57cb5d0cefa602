//! The settings of a run: defaults < file < `--set` < flags.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use smallbox::data::plane;
use smallbox::error::{Error, Result};
use smallbox::nn::ARCHITECTURES;
use smallbox::train::presets::{PRESETS, preset};
use smallbox::train::{BnStats, Config, MethodKind};

use super::parse;

/// Flags that say what to train and how.
#[derive(clap::Args)]
pub struct Settings {
    /// Settings from a TOML file, such as a run's config.toml
    #[arg(long, value_name = "F.toml")]
    config: Option<PathBuf>,
    /// A published experiment: dataset, ε and the recipe that the literature has for the method
    #[arg(long, value_name = "P", value_parser = PossibleValuesParser::new(PRESETS), conflicts_with = "config")]
    preset: Option<String>,
    /// Shrink (0.1) or stretch the schedule of the preset or file in proportion
    #[arg(long, value_name = "F", value_parser = parse::number, allow_negative_numbers = true)]
    scale_epochs: Option<f64>,
    /// Any setting of the file, over the file's value; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Training method `[default: sabr]`
    #[arg(long, value_parser = method_parser())]
    method: Option<MethodKind>,
    /// Architecture `[default: cnn3]`; for the dataset plane, planar
    #[arg(long, value_parser = PossibleValuesParser::new(ARCHITECTURES))]
    arch: Option<String>,
    /// Factor of the architecture's features and hidden units `[default: 1]`
    #[arg(long, value_name = "F", value_parser = parse::number, allow_negative_numbers = true)]
    width: Option<f64>,
    /// Dataset, see `smallbox data list` `[default: embedded]`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Radius of the L∞ ball in pixels of `[0, 1]`, also as a fraction: 2/255 `[default: 0.1]`
    #[arg(long, value_name = "E", value_parser = parse::number, allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Radius of the small box relative to epsilon, in (0, 1] `[default: 0.4]`
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Weight of the bounds in cc-ibp, mtl-ibp and exp-ibp, in [0, 1] [default: 0.1]
    #[arg(long, value_name = "A", value_parser = parse::number, allow_negative_numbers = true)]
    alpha: Option<f64>,
    /// Passes over the training images `[default: 20]`
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Images per step `[default: 128]`
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate of Adam `[default: 0.002]`
    #[arg(long, value_name = "F", value_parser = parse::number, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Seed of everything random `[default: 0]`
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Use only the first N images of each split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Training images to hold back for validation, 0 for none `[default: the dataset's]`
    #[arg(long, value_name = "N")]
    validation: Option<usize>,
    /// Begin from the weights in a safetensors file, named as PyTorch's nn.Sequential names them
    #[arg(long, value_name = "F.safetensors")]
    import_weights: Option<String>,
    /// Whose statistics the batch norms use in the robust loss [default: adversarial for pgd and the mixtures, else clean]
    #[arg(long, value_name = "WHOSE", value_parser = bn_stats_parser())]
    bn_stats: Option<BnStats>,
    /// For lambda above 0.5, the authors' small box, which may stick out of the ball near white
    #[arg(long)]
    faithful_border: bool,
}

fn method_parser() -> impl TypedValueParser<Value = MethodKind> {
    PossibleValuesParser::new(MethodKind::ALL.map(MethodKind::name))
        .map(|name| name.parse().expect("only names of methods are let through"))
}

fn bn_stats_parser() -> impl TypedValueParser<Value = BnStats> {
    PossibleValuesParser::new(["clean", "adversarial"])
        .map(|name| if name == "clean" { BnStats::Clean } else { BnStats::Adversarial })
}

impl Settings {
    /// The settings, checked and complete.
    pub fn config(&self) -> Result<Config> {
        let mut config = match (&self.config, &self.preset) {
            (None, None) => Config::default(),
            (None, Some(name)) => preset(name, self.preset_method()?)?,
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
                Config::from_toml(&text, &path.display().to_string())?
            }
        };
        if let Some(factor) = self.scale_epochs {
            config.scale_epochs(factor)?;
        }
        config.set(&self.set)?;
        let replace = |place: &mut f64, flag: Option<f64>| *place = flag.unwrap_or(*place);
        replace(&mut config.epsilon, self.epsilon);
        replace(&mut config.lambda, self.lambda);
        replace(&mut config.alpha, self.alpha);
        replace(&mut config.lr, self.lr);
        replace(&mut config.width, self.width);
        config.method = self.method.unwrap_or(config.method);
        config.epochs = self.epochs.unwrap_or(config.epochs);
        config.batch = self.batch.unwrap_or(config.batch);
        config.seed = self.seed.unwrap_or(config.seed);
        config.limit = self.limit.or(config.limit);
        config.validation = self.validation.or(config.validation);
        config.import_weights = self.import_weights.clone().map(PathBuf::from).or(config.import_weights);
        config.bn_stats = self.bn_stats.or(config.bn_stats);
        config.faithful_border |= self.faithful_border;
        config.dataset = self.dataset.clone().unwrap_or(config.dataset);
        match &self.arch {
            Some(arch) => config.arch.clone_from(arch),
            // No image network fits two pixels.
            None if config.dataset == plane::NAME && !self.says_arch() => config.arch = "planar".into(),
            None => {}
        }
        config.resolve()
    }

    /// Whether a file, a preset or `--set` may have chosen the architecture.
    fn says_arch(&self) -> bool {
        let set = self.set.iter().any(|pair| pair.split('=').next().is_some_and(|key| key.trim() == "arch"));
        self.config.is_some() || self.preset.is_some() || set
    }

    /// The method whose recipe a preset is to give, wherever it is said.
    fn preset_method(&self) -> Result<MethodKind> {
        if let Some(method) = self.method {
            return Ok(method);
        }
        let mut said = Config::default();
        let pairs: Vec<String> =
            self.set.iter().filter(|pair| pair.trim_start().starts_with("method")).cloned().collect();
        said.set(&pairs)?;
        Ok(said.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    fn config(arguments: &[&str]) -> Result<Config> {
        Command::try_parse_from([&["train"], arguments].concat()).unwrap_or_else(|e| panic!("{e}")).settings.config()
    }

    #[test]
    fn flags_win_over_set_over_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "epsilon = 0.2\nlambda = 0.3\nepochs = 4\n").unwrap();
        let file = file.to_str().unwrap();
        let found = config(&["--config", file, "--set", "lambda=0.5", "--set", "epochs=5", "--epochs", "6"]).unwrap();
        assert_eq!((found.epsilon, found.lambda, found.epochs), (0.2, 0.5, 6));
        assert_eq!(found.batch, Config::default().batch);
    }

    #[test]
    fn the_help_states_the_defaults() {
        use clap::CommandFactory;
        let help = Command::command().render_long_help().to_string();
        let c = Config::default();
        for (flag, value) in [
            ("method", c.method.name().to_string()),
            ("arch", c.arch),
            ("dataset", c.dataset),
            ("epsilon", c.epsilon.to_string()),
            ("lambda", c.lambda.to_string()),
            ("alpha", c.alpha.to_string()),
            ("epochs", c.epochs.to_string()),
            ("batch", c.batch.to_string()),
            ("lr", c.lr.to_string()),
            ("seed", c.seed.to_string()),
        ] {
            let entry = help.split("--").find(|entry| entry.starts_with(&format!("{flag} "))).expect(flag);
            assert!(entry.contains(&format!("[default: {value}]")), "--{entry}");
        }
    }

    #[test]
    fn two_pixels_have_a_network_of_their_own() {
        let arch = |arguments: &[&str]| config(&[&["--dataset", "plane"], arguments].concat()).unwrap().arch;
        assert_eq!([arch(&[]), arch(&["--arch", "cnn3"]), arch(&["--set", "arch=small"])], ["planar", "cnn3", "small"]);
        assert_eq!(config(&["--set", "dataset=plane"]).unwrap().arch, "planar");
    }

    #[test]
    fn presets_are_scaled_then_changed() {
        let found =
            config(&["--preset", "cifar10-2_255", "--scale-epochs", "0.1", "--width", "0.5", "--lr", "1e-3"]).unwrap();
        assert_eq!(
            (found.epochs, found.lr_milestones.clone(), found.epsilon_end_epoch),
            (16, Some(vec![13, 15]), Some(9))
        );
        assert_eq!((found.method, found.relu_shrinkage, found.width, found.lr), (MethodKind::Sabr, 0.8, 0.5, 1e-3));
        // The recipe is the method's, however it is chosen.
        for arguments in [["--method", "ibp"], ["--set", "method=ibp"]] {
            let found = config(&[&["--preset", "cifar10-2_255"], &arguments[..]].concat()).unwrap();
            assert_eq!((found.method, found.relu_shrinkage, found.l1), (MethodKind::Ibp, 1.0, 0.0));
        }
        assert!(config(&["--preset", "cifar10-2_255", "--scale-epochs", "0.005"]).is_err());
        assert!(config(&["--preset", "mnist-0.1", "--method", "exp-ibp"]).is_err());
    }

    #[test]
    fn fractions_are_radii() {
        assert_eq!(config(&["--epsilon", "2/255"]).unwrap().epsilon, 2.0 / 255.0);
        assert!(matches!(config(&["--epsilon", "-1"]), Err(Error::Config(_))));
    }
}
