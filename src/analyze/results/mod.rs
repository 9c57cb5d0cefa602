//! Natural against certified accuracy: own runs with their intervals, and what was published for the same dataset and ε.

mod document;
mod sheet;

use serde::Serialize;

use crate::certify::record::{Counts, Job};
use crate::train::Rate;
use crate::train::published::{Published, published_for};

/// What proved the certified images.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verifier {
    /// Interval bounds in f32, as an evaluation has them: an estimate.
    Intervals,
    /// Proofs by `certify`, up to its dearest method.
    Cascade {
        /// The dearest method that was allowed: `bab`.
        method: String,
        /// Seconds that an image had.
        timeout: f64,
        /// What intervals alone proved of the same images.
        ibp: Rate,
        /// Images without a verdict: neither proved nor broken.
        open: usize,
    },
}

/// Accuracies of one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Name of the network; measurements of one network share it.
    pub network: String,
    /// Method of its training, as on the command line.
    pub method: String,
    /// Architecture.
    pub arch: String,
    /// What is missing of its training; `None` for a complete run.
    pub incomplete: Option<String>,
    /// Name of the dataset, whose test images were looked at.
    pub dataset: String,
    /// Radius of the L∞ ball in pixels of `[0, 1]`.
    pub epsilon: f64,
    /// Number of images.
    pub images: usize,
    /// Classified correctly.
    pub natural: Rate,
    /// Classified correctly on the whole of the ball.
    pub certified: Rate,
    /// By what.
    pub verifier: Verifier,
}

impl Measured {
    /// The same network as `self`, as a certification found it.
    pub fn certified(&self, job: &Job, counts: &Counts) -> Measured {
        let rate = |count: usize| Rate::wilson(count, counts.images.max(1));
        Measured {
            dataset: job.dataset.clone(),
            epsilon: job.epsilon,
            images: counts.images,
            natural: rate(counts.natural),
            certified: rate(counts.certified),
            verifier: Verifier::Cascade {
                method: job.method.clone(),
                timeout: job.timeout,
                ibp: rate(counts.ibp),
                open: counts.unknown + counts.timeout + counts.error,
            },
            ..self.clone()
        }
    }
}

/// What belongs on one chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Name of the dataset.
    pub dataset: String,
    /// Radius of the L∞ ball in pixels of `[0, 1]`.
    pub epsilon: f64,
    /// Own networks.
    pub measured: Vec<Measured>,
    /// What others have published.
    pub published: Vec<Published>,
}

/// All measurements by dataset and ε.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// Names of the networks, in the order of their colours.
    pub networks: Vec<String>,
    /// In the order in which they first come.
    pub settings: Vec<Setting>,
}

/// Radii closer than this are one: commands round 2/255 and the like.
const SAME_EPSILON: f64 = 1e-5;

impl Results {
    /// Sorts measurements by dataset and ε, each with what was published there.
    pub fn new(measured: Vec<Measured>) -> Results {
        let mut results = Results { networks: Vec::new(), settings: Vec::new() };
        for measured in measured {
            if !results.networks.contains(&measured.network) {
                results.networks.push(measured.network.clone());
            }
            let belongs = |setting: &&mut Setting| {
                setting.dataset == measured.dataset && (setting.epsilon - measured.epsilon).abs() < SAME_EPSILON
            };
            match results.settings.iter_mut().find(belongs) {
                Some(setting) => setting.measured.push(measured),
                None => results.settings.push(Setting {
                    dataset: measured.dataset.clone(),
                    epsilon: measured.epsilon,
                    published: published_for(&measured.dataset, measured.epsilon).collect(),
                    measured: vec![measured],
                }),
            }
        }
        results
    }
}
