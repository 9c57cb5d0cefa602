//! What a training method does to a network (Müller et al. 2023, section 5.3): which ReLUs it leaves undecided, how far the gradient of
//! its robust loss points where those of the natural and the adversarial loss do, and how large it leaves the weights.

mod document;
mod gradients;
mod norms;
mod states;

pub use document::{document, sheet};
pub use gradients::{Alignment, LOSSES, cosines};
pub use norms::{LayerNorm, Norms, norms};
pub use states::{RegionStates, States, states};

use serde::Serialize;

use super::{Attack, Sample, attacked};
use crate::device::Session;
use crate::error::{Error, Result};
use crate::nn::Network;

/// Traces of training in one or several networks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regularisation {
    /// Dataset of the images.
    pub dataset: String,
    /// Its split.
    pub split: String,
    /// Number of images.
    pub images: usize,
    /// Number of images, the first ones, whose gradients were taken.
    pub gradient_images: usize,
    /// Radius ε in pixels of `[0, 1]`.
    pub epsilon: f64,
    /// Radius of the small boxes relative to ε.
    pub lambda: f64,
    /// One for each network.
    pub models: Vec<ModelRegularisation>,
}

/// Traces of training in one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelRegularisation {
    /// Its name.
    pub model: String,
    /// States of ReLUs, by region.
    pub states: Vec<RegionStates>,
    /// Cosines between gradients of losses, by pair.
    pub alignments: Vec<Alignment>,
    /// Sizes of the weights.
    pub norms: Norms,
}

/// Where a ReLU or a loss is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// The image.
    Natural,
    /// The point that a PGD attack finds in the ε ball.
    Pgd,
    /// The box of radius λ·ε around that point, slid into the ε ball: SABR's.
    SmallBox,
    /// The whole ε ball, cut with `[0, 1]`: IBP's.
    EpsilonBox,
}

impl Region {
    /// All, from the smallest on.
    pub const ALL: [Region; 4] = [Region::Natural, Region::Pgd, Region::SmallBox, Region::EpsilonBox];

    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Region::Natural => "natural",
            Region::Pgd => "PGD",
            Region::SmallBox => "λ·ε box",
            Region::EpsilonBox => "ε box",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The images.
    pub sample: &'a Sample,
    /// How many of them have gradients taken; 1 to all.
    pub gradient_images: usize,
    /// Radius of the small boxes relative to ε, in (0, 1].
    pub lambda: f64,
    /// The attack; its ε is that of the boxes, its batch that of all programs.
    pub attack: Attack,
}

/// Traces of training in `network`, called `label`, with its `tensors` in their order, which are states of the session too. `progress`
/// hears what is done: its name, how much of it, and of how much.
///
/// # Errors
/// [`Error::Config`] for a λ outside (0, 1], [`Error::Usage`] for gradients of no image or more than there are.
pub async fn measure(
    session: &mut dyn Session,
    (label, network, tensors): (&str, &Network, &[(String, Vec<f32>)]),
    settings: &Settings<'_>,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<ModelRegularisation> {
    let Settings { sample, gradient_images, lambda, attack } = settings;
    if !(*lambda > 0.0 && *lambda <= 1.0) {
        return Err(Error::Config(format!("lambda = {lambda}: expected a ratio in (0, 1]")));
    }
    if *gradient_images == 0 || *gradient_images > sample.len() {
        let most = sample.len();
        return Err(Error::Usage(format!("gradients of {gradient_images} images: expected 1 to {most}")));
    }
    let of = sample.len();
    let points = attacked(session, network, sample, attack, &mut |done| progress("attacked", done, of)).await?;
    let boxes = SmallBoxes { sample, points: &points, epsilon: attack.epsilon, tau: lambda * attack.epsilon };
    let states = states(session, network, &boxes, attack.batch, &mut |done| progress("bounded", done, of)).await?;
    let mut heard = |done| progress("gradients", done, *gradient_images);
    let alignments = cosines(session, network, &boxes, *gradient_images, &mut heard).await?;
    Ok(ModelRegularisation { model: label.into(), states, alignments, norms: norms(network, tensors) })
}

/// Images, attacked points, and the boxes that both make.
#[derive(Clone, Copy, Debug)]
pub struct SmallBoxes<'a> {
    /// The images.
    pub sample: &'a Sample,
    /// A point in the ε ball of each.
    pub points: &'a [f32],
    /// Radius ε.
    pub epsilon: f64,
    /// Radius τ = λ·ε.
    pub tau: f64,
}

impl SmallBoxes<'_> {
    /// Images, points and labels in groups of `size`, each with the number that counts.
    fn batches(&self, size: usize) -> impl Iterator<Item = (Vec<f32>, Vec<f32>, Vec<u32>, usize)> + '_ {
        let at = Sample { images: self.points.to_vec(), ..self.sample.clone() };
        let points: Vec<Vec<f32>> = at.batches(size).map(|(points, ..)| points).collect();
        self.sample
            .batches(size)
            .zip(points)
            .map(|((images, labels, counted), points)| (images, points, labels, counted))
    }
}

/// Names of the inputs of programs beside those of a step.
const POINT: &str = "point";
