//! Certificates: what a search found, in a file from which anyone can prove the claim again.
//!
//! A certificate holds a claim ([`Property`], and the digest of the network it is about) and everything that is needed to prove it
//! without searching: how the bounds over the box are derived, and for each clause a tree of cases with slopes and multipliers in
//! its leaves. Nothing in it is believed: [`Checker`] derives every bound again by [`crate::certify::proof`].
//!
//! The trees of a claim "no point of the box makes all constraints of the clause true":
//! * `Leaf`: on the part of the box that its path leads to, Σ weight · (coefficients · y − bound) > 0, so that not all constraints are
//!   true. With weights of 0 a bound above 0 says that the part is empty.
//! * `Split`: the input of a ReLU is ≥ 0 (first subtree) or ≤ 0 (second subtree).
//! * `Refine`: the bounds are derived again under the splits of the path, for the subtree below. If they exclude each other, the
//!   part is empty and nothing below has to hold.

mod check;
mod file;

pub use check::{Checker, Verdict, check};

use super::proof::Derivation;
use super::property::Property;
use crate::error::{Error, Result};

/// Most splits and refinements on a path from a tree's root.
pub const MOST_DEPTH: usize = 4096;

/// A claim and its proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// SHA-256 of the network, in hexadecimal ([`crate::certify::network::ReluNetwork`]'s digest).
    pub network: String,
    /// What is claimed.
    pub property: Property,
    /// How the bounds over the box are derived.
    pub derivation: Derivation,
    /// (ReLU layer, neuron) that leaves and starts give slopes for, ascending.
    pub slopes: Vec<(usize, usize)>,
    /// A proof of each clause, in the property's order.
    pub trees: Vec<Tree>,
    /// For people; proves nothing.
    pub about: About,
}

/// Where a property comes from. Information that no proof rests on; [`Certificate::is_of`] holds a certificate against an image.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// Name of the dataset.
    pub dataset: Option<String>,
    /// `train`, `validation` or `test`.
    pub split: Option<String>,
    /// Index of the image.
    pub index: Option<usize>,
    /// Its label.
    pub label: Option<usize>,
    /// Radius of the ball in pixels of [0, 1], as decimals.
    pub epsilon: Option<String>,
}

/// A tree in preorder: after a split its subtree for ≥ 0 and then the one for ≤ 0, after a refinement its subtree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The parts.
    pub parts: Vec<Part>,
}

/// One node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A case that one bound decides.
    Leaf {
        /// ≥ 0, one for each constraint of the clause.
        weights: Vec<f32>,
        /// In [0, 1], one for each entry of the table; `None`: the default slopes.
        slopes: Option<Vec<f32>>,
        /// ≥ 0, one for each split on the path, from the root.
        multipliers: Vec<f32>,
    },
    /// Two cases by the sign of a ReLU's input.
    Split {
        /// ReLU layer.
        layer: usize,
        /// Neuron in row-major order.
        neuron: usize,
    },
    /// Bounds derived again under the splits so far.
    Refine,
}

impl Tree {
    /// A tree of one leaf.
    pub fn leaf(weights: Vec<f32>, slopes: Option<Vec<f32>>, multipliers: Vec<f32>) -> Tree {
        Tree { parts: vec![Part::Leaf { weights, slopes, multipliers }] }
    }

    /// The two cases of a neuron.
    pub fn split(layer: usize, neuron: usize, active: Tree, inactive: Tree) -> Tree {
        let parts = [Part::Split { layer, neuron }].into_iter().chain(active.parts).chain(inactive.parts);
        Tree { parts: parts.collect() }
    }

    /// `below` with bounds derived again.
    pub fn refine(below: Tree) -> Tree {
        Tree { parts: [Part::Refine].into_iter().chain(below.parts).collect() }
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Leaf { .. })).count()
    }
}

impl Certificate {
    /// Holds the claim against "every point of the ε ball of `image`, cut with [0, 1], has the label": the ball must lie in the box and the
    /// clauses must be those of the label.
    ///
    /// # Errors
    /// [`Error::Config`] saying what differs.
    pub fn is_of(&self, image: &[f32], label: usize, classes: usize, epsilon: f64) -> Result<()> {
        let (lower, upper) = Property::ball(image, epsilon);
        let claim = &self.property;
        if claim.lower.len() != lower.len() {
            let (got, want) = (claim.lower.len(), lower.len());
            return Err(Error::Config(format!("the claim is about {got} inputs, the image has {want}")));
        }
        if let Some(i) = (0..lower.len()).find(|&i| !(claim.lower[i] <= lower[i] && upper[i] <= claim.upper[i])) {
            let (l, u, a, b) = (lower[i], upper[i], claim.lower[i], claim.upper[i]);
            return Err(Error::Config(format!("input {i} of the ball goes from {l} to {u}, the box from {a} to {b}")));
        }
        if claim.clauses != Property::label(lower, upper, classes, label).clauses {
            return Err(Error::Config(format!("the clauses are not those of label {label} of {classes} classes")));
        }
        Ok(())
    }
}
