//! How precisely training methods approximate the worst case in the ε ball of an image (Müller et al. 2023, figure 1).
//!
//! The worst case is the greatest margin max_{i≠y} (z_i − z_y) over the ball cut with `[0, 1]`: negative iff every point has the image's
//! class. It is what the robust cross-entropy rests on, and unlike that loss can be computed exactly by complete verification. Each
//! method has its own value for it: intervals bound it over the whole ball, SABR over a small box around an attacked point, adversarial
//! training takes the attacked point itself. Their error is value − exact.

mod approximations;
mod document;
mod exact;
mod statistics;

pub use approximations::{Approximated, Approximations, greatest_margin};
pub use exact::{Ball, Enclosure, Enclosures, ExactSettings};
pub use statistics::{Errors, errors};

use serde::Serialize;

use crate::error::{Error, Result};

/// Whose value for the worst case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approximation {
    /// Intervals over the whole ball, the last layer elided: never below the exact value.
    Ibp,
    /// Intervals over SABR's small box around the point of the training attack: on either side.
    Sabr,
    /// The point of the training attack: never above the exact value.
    Pgd,
    /// The strongest point of an attack on the margin of every class: never above either.
    Attack,
}

impl Approximation {
    /// All, in the order of tables.
    pub const ALL: [Approximation; 4] =
        [Approximation::Ibp, Approximation::Sabr, Approximation::Pgd, Approximation::Attack];

    /// The name in figures and tables.
    pub fn name(self) -> &'static str {
        match self {
            Approximation::Ibp => "IBP bound",
            Approximation::Sabr => "SABR's small box",
            Approximation::Pgd => "PGD of training",
            Approximation::Attack => "strong attack",
        }
    }
}

/// One image under one network: margins max_{i≠y} (z_i − z_y).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Image {
    /// Its place in the split.
    pub index: usize,
    /// Its class.
    pub label: u32,
    /// At the image itself.
    pub natural: f64,
    /// Upper bound over the ball by intervals.
    pub ibp: f64,
    /// Upper bound over the small box by intervals.
    pub sabr: f64,
    /// At the point of the training attack, cut to the ball.
    pub pgd: f64,
    /// At the strongest point of the attack on margins.
    pub attack: f64,
    /// The greatest that a point of the ball was found to have: the exact value, up to the tolerance, unless `open`.
    pub lower: f64,
    /// What no point of the ball has or exceeds, proved; none if nothing was proved.
    pub upper: Option<f64>,
    /// Why the exact value is not known, where it isn't.
    pub open: Option<String>,
}

impl Image {
    /// What was found about image `index`.
    pub fn new(index: usize, label: u32, approximated: &Approximated, enclosed: Enclosure) -> Image {
        let &Approximated { natural, ibp, sabr, pgd, .. } = approximated;
        let Enclosure { lower, upper, open, attack, .. } = enclosed;
        Image { index, label, natural, ibp, sabr, pgd, attack, lower, upper, open }
    }

    /// The exact value, where it is known.
    pub fn exact(&self) -> Option<f64> {
        self.open.is_none().then_some(self.lower)
    }

    /// The value of one method.
    pub fn value(&self, approximation: Approximation) -> f64 {
        match approximation {
            Approximation::Ibp => self.ibp,
            Approximation::Sabr => self.sabr,
            Approximation::Pgd => self.pgd,
            Approximation::Attack => self.attack,
        }
    }

    /// value − exact, where the exact value is known.
    pub fn error(&self, approximation: Approximation) -> Option<f64> {
        self.exact().map(|exact| self.value(approximation) - exact)
    }

    /// Whether every point of the ball is proved to have the image's class.
    pub fn is_robust(&self) -> bool {
        self.upper.is_some_and(|upper| upper <= 0.0)
    }

    /// Refuses values that contradict each other: a bound below what a point has, or a point above what is proved. `slack` is what f32
    /// bounds may be off by.
    ///
    /// # Errors
    /// [`Error::Gate`] naming the image and both values: something is unsound.
    pub fn check(&self, slack: f64) -> Result<()> {
        let Image { index, ibp, lower, .. } = self;
        if *ibp < lower - slack {
            return Err(Error::Gate(format!(
                "image {index}: intervals bound the margin by {ibp}, a point of the ball has {lower}: expected no less"
            )));
        }
        let points =
            [("the image", self.natural), ("the attacked point", self.pgd), ("the strong attack", self.attack)];
        for (name, value) in points.into_iter().chain([("a point of the ball", *lower)]) {
            if let Some(upper) = self.upper.filter(|&upper| value > upper) {
                return Err(Error::Gate(format!(
                    "image {index}: {name} has the margin {value}, proved to be below {upper}: expected no more"
                )));
            }
        }
        Ok(())
    }
}

/// One network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// Its name.
    pub model: String,
    /// All images that were looked at.
    pub images: Vec<Image>,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossPrecision {
    /// Name of the dataset.
    pub dataset: String,
    /// Part of it.
    pub split: String,
    /// Radius ε of the ball.
    pub epsilon: f64,
    /// Radius of the small box relative to ε.
    pub lambda: f64,
    /// Greatest difference of the exact value and the `lower` of an image that is not open.
    pub tolerance: f64,
    /// The strong attack in words.
    pub attack: String,
    /// Seconds that one claim about an image had.
    pub timeout: f64,
    /// Network by network.
    pub models: Vec<Model>,
}
