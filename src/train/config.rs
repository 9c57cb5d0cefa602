//! What a training run is made of: one flat list of settings, from defaults, a TOML file, `--set key=value` and flags.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::attack::AttackSpec;
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
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
}

impl MethodKind {
    /// All methods, in the order of the tables.
    pub const ALL: [MethodKind; 7] = [
        MethodKind::Std,
        MethodKind::Pgd,
        MethodKind::Ibp,
        MethodKind::Sabr,
        MethodKind::CcIbp,
        MethodKind::MtlIbp,
        MethodKind::ExpIbp,
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
    /// Architecture, see [`crate::nn::ARCHITECTURES`].
    pub arch: String,
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
    /// Seed of everything random.
    pub seed: u64,
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
    /// Gradient steps of the attack that measures adversarial accuracy.
    pub eval_attack_steps: usize,
    /// Its step length relative to ε, constant.
    pub eval_attack_step_size: f64,
    /// Training images held back for validation; the dataset's default if `None`, 0 for none.
    pub validation: Option<usize>,
    /// Use only the first images of each split.
    pub limit: Option<usize>,
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
            dataset: "embedded".into(),
            epsilon: 0.1,
            train_epsilon: None,
            attack_radius: 1.0,
            lambda: 0.4,
            alpha: 0.1,
            faithful_border: false,
            epochs: 20,
            batch: 128,
            seed: 0,
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
            bn_stats: None,
            optimizer: Optimizer::Adam,
            grad_clip: None,
            relu_shrinkage: 1.0,
            attack_steps: 8,
            attack_step_size: 0.5,
            eval_attack_steps: 40,
            eval_attack_step_size: 0.1,
            validation: None,
            limit: None,
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

    /// Fills what was left open and checks every value; the result is what the run directory records.
    pub fn resolve(mut self) -> Result<Config> {
        self.check()?;
        // The authors' schedules, in proportion: 70 epochs, ε full at epoch 22, learning rate down at 50 and 60.
        let share = |numerator: u32| f64::from(self.epochs) * f64::from(numerator) / 70.0;
        self.lr_milestones.get_or_insert_with(|| [50, 60].map(|at| (share(at).round() as u32).max(2)).to_vec());
        let after_natural = self.natural_epochs + 1;
        self.kappa_end_epoch.get_or_insert(after_natural);
        self.epsilon_end_epoch.get_or_insert((share(22).ceil() as u32).max(after_natural));
        let own = self.method == MethodKind::Pgd || self.method.is_expressive();
        self.bn_stats.get_or_insert(if own { BnStats::Adversarial } else { BnStats::Clean });
        let boxes = self.method.propagates_boxes();
        self.init.get_or_insert(if boxes { Init::Shi } else { Init::Pytorch });
        self.regulariser.get_or_insert(if boxes { Regulariser::Bound } else { Regulariser::None });
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
        let step_size = |v: f64| v > 0.0 && v <= 2.0;
        let right = "a length in (0, 2], relative to epsilon";
        number("attack_step_size", self.attack_step_size, step_size(self.attack_step_size), right)?;
        number("eval_attack_step_size", self.eval_attack_step_size, step_size(self.eval_attack_step_size), right)?;
        for (name, value) in [
            ("epochs", self.epochs as usize),
            ("batch", self.batch),
            ("attack_steps", self.attack_steps),
            ("eval_attack_steps", self.eval_attack_steps),
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

    /// The attack of training.
    pub fn attack(&self) -> AttackSpec {
        AttackSpec::training(self.attack_steps, self.attack_step_size)
    }

    /// The attack that measures adversarial accuracy in reports.
    pub fn eval_attack(&self) -> AttackSpec {
        AttackSpec::evaluation(self.eval_attack_steps, self.eval_attack_step_size)
    }
}

/// A TOML error, which has several lines, on one.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}
