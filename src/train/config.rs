//! What a training run is made of: one flat list of settings, from defaults, a TOML file, `--set key=value` and flags.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attack::AttackSpec;
use super::latent::{GROUP_ELEMENTS, TapsSpec};
use crate::data::{Augmentation, LoadOptions, augmentation};
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::nn::{ARCHITECTURES, Layer};
use crate::ops::AdamSpec;

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Cross-entropy on clean images.
    Std,
    /// Cross-entropy on attacked images (Madry et al. 2018).
    Pgd,
    /// Worst-case cross-entropy over the whole ε box by interval propagation (Gowal et al. 2018).
    Ibp,
    /// Worst-case cross-entropy over a small box around an attacked image (Müller et al. 2023).
    Sabr,
    /// Cross-entropy of mixed logit differences (De Palma et al. 2024).
    CcIbp,
    /// Mixed losses (De Palma et al. 2024).
    MtlIbp,
    /// Geometric mean of losses (De Palma et al. 2024).
    ExpIbp,
    /// Attacks on the last layers within a box that the first layers propagate (Mao et al. 2023).
    Taps,
    /// The same, of a small box around an attacked image (Mao et al. 2023).
    Staps,
}

impl MethodKind {
    /// All methods, in the order of the tables.
    pub const ALL: [MethodKind; 9] = [
        MethodKind::Std,
        MethodKind::Pgd,
        MethodKind::Ibp,
        MethodKind::Sabr,
        MethodKind::CcIbp,
        MethodKind::MtlIbp,
        MethodKind::ExpIbp,
        MethodKind::Taps,
        MethodKind::Staps,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            MethodKind::Std => "std",
            MethodKind::Pgd => "pgd",
            MethodKind::Ibp => "ibp",
            MethodKind::Sabr => "sabr",
            MethodKind::CcIbp => "cc-ibp",
            MethodKind::MtlIbp => "mtl-ibp",
            MethodKind::ExpIbp => "exp-ibp",
            MethodKind::Taps => "taps",
            MethodKind::Staps => "staps",
        }
    }

    /// Whether boxes are propagated in training.
    pub fn propagates_boxes(self) -> bool {
        !matches!(self, MethodKind::Std | MethodKind::Pgd)
    }

    /// Whether the loss mixes an attacked point with bounds over the ε box, by the weight α.
    pub fn is_expressive(self) -> bool {
        matches!(self, MethodKind::CcIbp | MethodKind::MtlIbp | MethodKind::ExpIbp)
    }

    /// Whether the network is split in two, of which the second is attacked within the box of the first.
    pub fn is_taps(self) -> bool {
        matches!(self, MethodKind::Taps | MethodKind::Staps)
    }
}

impl std::str::FromStr for MethodKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = MethodKind::ALL.into_iter().find(|m| m.name() == text);
        let known = MethodKind::ALL.map(MethodKind::name);
        found.ok_or_else(|| Error::Usage(format!("unknown method '{text}': expected one of {}", known.join(", "))))
    }
}

/// How weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// PyTorch's default: uniform on ±1/√fan_in for weights and biases.
    Pytorch,
    /// Shi et al. 2021: every weight but the last layer's from N(0, (√(2π)/fan_in)²), so that a layer's growth rate is 1.
    Shi,
}

/// What keeps the network in a good range while ε grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regulariser {
    /// Nothing.
    None,
    /// Tightness and ReLU balance of the propagated boxes (Shi et al. 2021).
    Bound,
}

/// What turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Kingma and Ba 2015.
    Adam,
    /// Liu et al. 2020: Adam whose adaptive step waits until the second moment can be trusted.
    Radam,
}

impl Optimizer {
    /// The factors of step `t` (from 1), see [`AdamSpec::rates`].
    pub fn rates(self, lr: f64, t: u64) -> [f32; 2] {
        match self {
            Optimizer::Adam => AdamSpec::default().rates(lr, t),
            Optimizer::Radam => AdamSpec::default().rectified_rates(lr, t),
        }
    }
}

/// Whose statistics the batch norms of a robust loss use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BnStats {
    /// The clean batch's (SABR, CTBench).
    Clean,
    /// Those of the attacked points themselves (the authors' code for `pgd`, expressive losses).
    Adversarial,
}

/// Who made a run: for the reader of a run directory, and for the choice of the device when the run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Version of smallbox.
    pub version: String,
    /// Device that the run began on.
    pub device: DeviceInfo,
}

/// Settings of a run. Fields that are `None` are filled by [`Config::resolve`] from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Training method.
    pub method: MethodKind,
    /// Architecture, see [`crate::nn::ARCHITECTURES`]; with `layers`, the name of what they describe.
    pub arch: String,
    /// Factor of the numbers of features and hidden units of a named architecture.
    pub width: f64,
    /// Dataset, see [`crate::data::list`].
    pub dataset: String,
    /// Radius ε of the L∞ ball in raw pixels of `[0,1]`.
    pub epsilon: f64,
    /// Radius that ε grows to in training, where it is not the ε of the evaluation.
    pub train_epsilon: Option<f64>,
    /// Radius of the ball that the training attack searches, relative to the ε of the step.
    pub attack_radius: f64,
    /// Subselection ratio λ ∈ (0, 1]: the small box has radius τ = λ·ε.
    pub lambda: f64,
    /// Weight α ∈ [0, 1] of the bounds in `cc-ibp`, `mtl-ibp` and `exp-ibp`: 0 trains on attacked points alone, 1 is `ibp`.
    pub alpha: f64,
    /// Reproduce the authors' small box for λ > 0.5, which may stick out of the ε ball near pixel value 1.
    pub faithful_border: bool,
    /// Passes over the training set.
    pub epochs: u32,
    /// Samples per step.
    pub batch: usize,
    /// Pieces that the robust loss of a batch is computed in, one after the other, to save memory. The statistics of the batch norms stay
    /// those of the whole batch, with gradients through them; the attack's end and the regulariser's means are those of a piece.
    pub pieces: usize,
    /// Recompute the running statistics of the batch norms over the whole training split after each epoch (CTBench,
    /// Mao et al. 2025), instead of keeping those that moved along with the steps.
    pub population_statistics: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// Choose a GPU's kernels by rule instead of by measurement, so that every process takes the same.
    pub deterministic: bool,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Epochs (counted from 1) from which on the learning rate is multiplied by `lr_decay` once more.
    pub lr_milestones: Option<Vec<u32>>,
    /// See `lr_milestones`.
    pub lr_decay: f64,
    /// Factor of the L1 penalty Σ|θ| over all parameters.
    pub l1: f64,
    /// Epochs at the beginning that train on clean images only (ε = 0, κ = 1).
    pub natural_epochs: u32,
    /// Epoch by whose first step the weight κ of the clean loss has fallen to 0, linearly since the end of the natural
    /// epochs. The authors switch hard: the epoch after the natural ones.
    pub kappa_end_epoch: Option<u32>,
    /// Epoch at whose first step ε reaches its full value.
    pub epsilon_end_epoch: Option<u32>,
    /// How weights begin; `shi` where boxes are propagated, else `pytorch`.
    pub init: Option<Init>,
    /// A safetensors file whose weights the run begins from instead of `init`: names as in the state dict of PyTorch's
    /// `nn.Sequential` without the normalisation layer. Going on with the run doesn't need it again.
    pub import_weights: Option<PathBuf>,
    /// Regulariser of the annealing phase; `bound` where boxes are propagated, else `none`.
    pub regulariser: Option<Regulariser>,
    /// Weight of that regulariser.
    pub regulariser_weight: f64,
    /// Whose statistics the batch norms of the robust loss use; as the authors of each method have it, `adversarial` for
    /// `pgd` and the expressive losses, else `clean`.
    pub bn_stats: Option<BnStats>,
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Greatest Euclidean norm of all gradients together; `None` leaves them as they are.
    pub grad_clip: Option<f64>,
    /// Factor of both ends of an unstable ReLU's output box in the robust loss: `[0, 0.8 u]` instead of `[0, u]` for 0.8, the
    /// shrinking coefficient of the authors' network for CIFAR-10 at 2/255. 1 for none.
    pub relu_shrinkage: f64,
    /// Gradient steps of the training attack.
    pub attack_steps: usize,
    /// First step length of the training attack relative to ε; it falls tenfold at 50, 80 and 90 % of the steps.
    pub attack_step_size: f64,
    /// ReLUs behind the split of `taps` and `staps`, see [`TapsSpec`]; at least 1, and one less than the network has at most.
    pub taps_split: usize,
    /// Weight w of the gradient through the attacked margins against that through the bounds.
    pub taps_grad_scale: f64,
    /// Gradient steps of the attack in the latent box.
    pub taps_steps: usize,
    /// First step length of that attack relative to the width of the latent box; the greater of 0.2 and 2/steps if `None`.
    pub taps_step_size: Option<f64>,
    /// Factor of the step length from 70 % of the steps on (above 50 steps: 40 and 70 %; above 80: 30, 60 and 80 %); 0.1 from
    /// 20 steps on, else 1, if `None`.
    pub taps_step_decay: Option<f64>,
    /// Random starts of that attack.
    pub taps_restarts: usize,
    /// Threshold c ∈ (0, 1] of the gradient connector: the share of the latent box's width, from either end, within which
    /// an attacked point moves that end.
    pub taps_threshold: f64,
    /// Random starts of the training attack; the best of the attacks counts.
    pub attack_restarts: usize,
    /// Gradient steps of the attack that measures adversarial accuracy.
    pub eval_attack_steps: usize,
    /// Its random starts.
    pub eval_attack_restarts: usize,
    /// Its step length relative to ε, constant.
    pub eval_attack_step_size: f64,
    /// Training images held back for validation; the dataset's default if `None`, 0 for none.
    pub validation: Option<usize>,
    /// Use only the first images of each split.
    pub limit: Option<usize>,
    /// Mirror training images left and right with probability ½; `None` here and in the next two: what the field does with the
    /// dataset, see [`crate::data::Augmentation`].
    pub flip: Option<bool>,
    /// Pixels by which the borders of training images are continued before a random window is cut.
    pub crop_padding: Option<usize>,
    /// Side of the square that the network sees: a random window in training, the middle in evaluation.
    pub crop: Option<usize>,
    /// A network described layer by layer, from the first to the last, instead of named; the input normalisation of the dataset
    /// comes before it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
    /// Filled in a run directory; no setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRecord>,
}

impl Default for Config {
    /// The quick start: SABR on the embedded dataset.
    fn default() -> Self {
        Config {
            method: MethodKind::Sabr,
            arch: "cnn3".into(),
            width: 1.0,
            dataset: "embedded".into(),
            epsilon: 0.1,
            train_epsilon: None,
            attack_radius: 1.0,
            lambda: 0.4,
            alpha: 0.1,
            faithful_border: false,
            epochs: 20,
            batch: 128,
            pieces: 1,
            population_statistics: false,
            seed: 0,
            deterministic: false,
            lr: 2e-3,
            lr_milestones: None,
            lr_decay: 0.2,
            l1: 1e-6,
            natural_epochs: 1,
            kappa_end_epoch: None,
            epsilon_end_epoch: None,
            init: None,
            import_weights: None,
            regulariser: None,
            regulariser_weight: 0.5,
            bn_stats: None,
            optimizer: Optimizer::Adam,
            grad_clip: None,
            relu_shrinkage: 1.0,
            attack_steps: 8,
            attack_step_size: 0.5,
            attack_restarts: 1,
            taps_split: 1,
            taps_grad_scale: 5.0,
            taps_steps: 20,
            taps_step_size: None,
            taps_step_decay: None,
            taps_restarts: 1,
            taps_threshold: 0.5,
            eval_attack_steps: 40,
            eval_attack_restarts: 1,
            eval_attack_step_size: 0.1,
            validation: None,
            limit: None,
            flip: None,
            crop_padding: None,
            crop: None,
            layers: None,
            run: None,
        }
    }
}

impl Config {
    /// Reads TOML; unknown keys and wrong types are errors that name them and their place. What a run directory records about
    /// the run itself is let through as [`Config::run`].
    pub fn from_toml(text: &str, origin: &str) -> Result<Config> {
        toml::from_str(text).map_err(|e| Error::Config(format!("{origin}: {}", one_line(&e.to_string()))))
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a flat table of plain values is TOML")
    }

    /// Replaces settings by `key=value` pairs, values as in TOML (a bare word is taken as a string).
    pub fn set(&mut self, pairs: &[String]) -> Result<()> {
        let mut table: toml::Table = toml::from_str(&self.to_toml()).expect("our own TOML");
        for pair in pairs {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(Error::Usage(format!("--set {pair}: expected key=value")));
            };
            let (key, value) = (key.trim(), value.trim());
            let parsed = toml::from_str::<toml::Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
            let mut parsed = parsed.unwrap_or_else(|| toml::Value::String(value.to_string()));
            // 1 is a fine value for a setting that is a real number.
            if let (Some(toml::Value::Float(_)), toml::Value::Integer(i)) = (table.get(key), &parsed) {
                parsed = toml::Value::Float(*i as f64);
            }
            table.insert(key.to_string(), parsed);
            *self = table.clone().try_into().map_err(|error: toml::de::Error| {
                Error::Config(format!("--set {pair}: {}", one_line(error.message())))
            })?;
        }
        Ok(())
    }

    /// Shrinks or stretches the schedule: epochs, and with them the milestones, the end of the growth of ε and of the decay of κ.
    /// Natural epochs stay, since fewer than one are none. An epoch of a schedule that is open stays open.
    ///
    /// # Errors
    /// [`Error::Config`] when the factor is not positive or leaves no epoch of full ε.
    pub fn scale_epochs(&mut self, factor: f64) -> Result<()> {
        let scaled = |epochs: f64| (epochs * factor).round();
        if !(factor.is_finite() && factor > 0.0 && scaled(f64::from(self.epochs)) <= f64::from(u32::MAX)) {
            return Err(Error::Config(format!("scale-epochs {factor}: expected a positive factor")));
        }
        // Epoch e begins after e − 1 epochs.
        let first = self.natural_epochs + 1;
        let begins = |epoch: u32| (1 + scaled(f64::from(epoch) - 1.0) as u32).max(first);
        self.epochs = scaled(f64::from(self.epochs)) as u32;
        self.lr_milestones = self.lr_milestones.take().map(|at| at.into_iter().map(begins).collect());
        self.epsilon_end_epoch = self.epsilon_end_epoch.map(begins);
        self.kappa_end_epoch = self.kappa_end_epoch.map(begins);
        if self.epochs <= self.natural_epochs || self.epsilon_end_epoch.is_some_and(|end| end > self.epochs) {
            let message = format!("scale-epochs {factor}: {} epochs are too few for the schedule", self.epochs);
            return Err(Error::Config(message));
        }
        Ok(())
    }

    /// Fills what was left open and checks every value; the result is what the run directory records.
    pub fn resolve(mut self) -> Result<Config> {
        self.check()?;
        // The authors' schedules, in proportion: 70 epochs, ε full at epoch 22, learning rate down at 50 and 60.
        let share = |numerator: u32| f64::from(self.epochs) * f64::from(numerator) / 70.0;
        self.lr_milestones.get_or_insert_with(|| [50, 60].map(|at| (share(at).round() as u32).max(2)).to_vec());
        let after_natural = self.natural_epochs + 1;
        self.kappa_end_epoch.get_or_insert(after_natural);
        self.epsilon_end_epoch.get_or_insert((share(22).ceil() as u32).max(after_natural));
        let usual = augmentation(&self.dataset);
        self.flip.get_or_insert(usual.flip);
        self.crop_padding.get_or_insert(usual.padding);
        self.crop = self.crop.or(usual.crop);
        let own = self.method == MethodKind::Pgd || self.method.is_expressive();
        self.bn_stats.get_or_insert(if own { BnStats::Adversarial } else { BnStats::Clean });
        let boxes = self.method.propagates_boxes();
        self.init.get_or_insert(if boxes { Init::Shi } else { Init::Pytorch });
        self.regulariser.get_or_insert(if boxes { Regulariser::Bound } else { Regulariser::None });
        if self.pieces > 1 && self.bn_stats == Some(BnStats::Adversarial) {
            let message =
                "pieces above 1 need bn_stats = \"clean\": attacked points have statistics only as a whole batch";
            return Err(Error::Config(message.into()));
        }
        if self.relu_shrinkage < 1.0 && !boxes {
            let name = self.method.name();
            return Err(Error::Config(format!("relu_shrinkage below 1 needs boxes; method {name} has none")));
        }
        let (kappa_end, epsilon_end) = (self.kappa_end_epoch.unwrap_or(0), self.epsilon_end_epoch.unwrap_or(0));
        if kappa_end < after_natural || epsilon_end < after_natural {
            let message = format!(
                "kappa_end_epoch {kappa_end} and epsilon_end_epoch {epsilon_end}: expected at least {after_natural}, \
                 the epoch after the {} natural ones",
                self.natural_epochs
            );
            return Err(Error::Config(message));
        }
        if self.regulariser == Some(Regulariser::Bound) && !boxes {
            return Err(Error::Config(format!(
                "regulariser = \"bound\" needs boxes; method {} has none",
                self.method.name()
            )));
        }
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        let number = |name: &str, value: f64, ok: bool, right: &str| {
            if ok && value.is_finite() {
                return Ok(());
            }
            Err(Error::Config(format!("{name} = {value}: expected {right}")))
        };
        number("epsilon", self.epsilon, (0.0..=1.0).contains(&self.epsilon), "a radius in [0, 1]")?;
        let final_epsilon = self.final_epsilon();
        number("train_epsilon", final_epsilon, (0.0..=1.0).contains(&final_epsilon), "a radius in [0, 1]")?;
        let reach = self.attack_radius;
        number("attack_radius", reach, reach > 0.0, "a positive radius, relative to epsilon")?;
        number("lambda", self.lambda, self.lambda > 0.0 && self.lambda <= 1.0, "a ratio in (0, 1]")?;
        number("alpha", self.alpha, (0.0..=1.0).contains(&self.alpha), "a weight in [0, 1]")?;
        number("lr", self.lr, self.lr > 0.0, "a positive learning rate")?;
        number("lr_decay", self.lr_decay, self.lr_decay > 0.0 && self.lr_decay <= 1.0, "a factor in (0, 1]")?;
        let clip = self.grad_clip.unwrap_or(1.0);
        number("grad_clip", clip, clip > 0.0, "a positive norm")?;
        let shrinkage = self.relu_shrinkage;
        number("relu_shrinkage", shrinkage, shrinkage > 0.0 && shrinkage <= 1.0, "a factor in (0, 1]")?;
        number("l1", self.l1, self.l1 >= 0.0, "0 or a positive factor")?;
        let weight = self.regulariser_weight;
        number("regulariser_weight", weight, weight >= 0.0, "0 or a positive factor")?;
        number("width", self.width, self.width > 0.0 && self.width <= 64.0, "a factor in (0, 64]")?;
        if self.layers.is_some() && ARCHITECTURES.contains(&self.arch.as_str()) {
            let message =
                format!("arch = \"{}\" names a built-in network; give the one of `layers` its own name", self.arch);
            return Err(Error::Config(message));
        }
        if self.pieces > 0 && !self.batch.is_multiple_of(self.pieces) {
            let message = format!("pieces = {}: expected a divisor of the batch, {}", self.pieces, self.batch);
            return Err(Error::Config(message));
        }
        if self.layers.is_some() && self.width != 1.0 {
            return Err(Error::Config("width scales a named architecture; write the widths into `layers`".into()));
        }
        // A step of more than the ball's diameter leads to a corner; the literature writes 10 for that.
        let step_size = |v: f64| v > 0.0 && v <= 100.0;
        let right = "a length in (0, 100], relative to epsilon";
        number("attack_step_size", self.attack_step_size, step_size(self.attack_step_size), right)?;
        number("eval_attack_step_size", self.eval_attack_step_size, step_size(self.eval_attack_step_size), right)?;
        let scale = self.taps_grad_scale;
        number("taps_grad_scale", scale, scale >= 0.0, "0 or a positive weight")?;
        let size = self.taps_step_size.unwrap_or(1.0);
        number("taps_step_size", size, size > 0.0 && size <= 1.0, "a length in (0, 1], relative to the latent box")?;
        let decay = self.taps_step_decay.unwrap_or(1.0);
        number("taps_step_decay", decay, decay > 0.0 && decay <= 1.0, "a factor in (0, 1]")?;
        let threshold = self.taps_threshold;
        number("taps_threshold", threshold, threshold > 0.0 && threshold <= 1.0, "a share in (0, 1]")?;
        for (name, value) in [
            ("taps_split", self.taps_split),
            ("taps_steps", self.taps_steps),
            ("taps_restarts", self.taps_restarts),
            ("epochs", self.epochs as usize),
            ("batch", self.batch),
            ("attack_steps", self.attack_steps),
            ("eval_attack_steps", self.eval_attack_steps),
            ("attack_restarts", self.attack_restarts),
            ("eval_attack_restarts", self.eval_attack_restarts),
            ("pieces", self.pieces),
            ("limit", self.limit.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(Error::Config(format!("{name} = 0: expected at least 1")));
            }
        }
        Ok(())
    }

    /// ε of the training steps once it is full.
    pub fn final_epsilon(&self) -> f64 {
        self.train_epsilon.unwrap_or(self.epsilon)
    }

    /// How training images vary.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation { flip: self.flip.unwrap_or(false), padding: self.crop_padding.unwrap_or(0), crop: self.crop }
    }

    /// How the dataset is loaded, from `data_dir` or its usual place.
    pub fn load_options(&self, data_dir: Option<&Path>) -> LoadOptions {
        LoadOptions {
            data_dir: data_dir.map(Path::to_path_buf),
            validation: self.validation,
            limit: self.limit,
            crop: self.crop,
        }
    }

    /// Pieces that a step computes the robust loss in: one for a method without attack or boxes.
    pub fn step_pieces(&self) -> usize {
        if self.method == MethodKind::Std { 1 } else { self.pieces }
    }

    /// The attack of training.
    pub fn attack(&self) -> AttackSpec {
        AttackSpec::training(self.attack_steps, self.attack_step_size).restarted(self.attack_restarts)
    }

    /// What TAPS and STAPS do behind the split.
    pub fn taps(&self) -> TapsSpec {
        TapsSpec {
            split: self.taps_split,
            step_lengths: TapsSpec::step_lengths(self.taps_steps, self.taps_step_size, self.taps_step_decay),
            restarts: self.taps_restarts,
            threshold: self.taps_threshold as f32,
            grad_scale: self.taps_grad_scale as f32,
            group_elements: GROUP_ELEMENTS,
        }
    }

    /// The attack that measures adversarial accuracy in reports.
    pub fn eval_attack(&self) -> AttackSpec {
        AttackSpec::evaluation(self.eval_attack_steps, self.eval_attack_step_size).restarted(self.eval_attack_restarts)
    }
}

/// A TOML error, which has several lines, on one.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}
