//! The cascade: every claim is decided by the cheapest stage that can.
//!
//! ```text
//! given point ─→ attack ─→ intervals ─→ CROWN-IBP ─→ CROWN ─→ α-CROWN ─→ branch-and-bound
//! ```
//! Stages run on batches; the last one claim by claim. A claim is `certified` when the native prover confirms it for real arithmetic,
//! and `falsified` when a point of the box breaks it in real arithmetic, also confirmed natively.

mod pending;
mod proof;
mod run;
mod settings;

pub use run::{Cascade, Claim};
pub use settings::{Method, Settings};

use serde::{Deserialize, Serialize};

use super::branch::{Statistics, Tree};
use super::proof::Derivation;

/// What decided a claim, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The given point itself breaks the claim: for an image, it is misclassified.
    Natural,
    /// Search for a counter-example.
    Attack,
    /// Interval arithmetic.
    Ibp,
    /// One backward pass over interval bounds.
    CrownIbp,
    /// Backward passes for every layer.
    Crown,
    /// Backward passes with slopes by ascent.
    AlphaCrown,
    /// Branch-and-bound.
    Bab,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 7] =
        [Stage::Natural, Stage::Attack, Stage::Ibp, Stage::CrownIbp, Stage::Crown, Stage::AlphaCrown, Stage::Bab];

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Natural => "natural",
            Stage::Attack => "attack",
            Stage::Ibp => "ibp",
            Stage::CrownIbp => "crown-ibp",
            Stage::Crown => "crown",
            Stage::AlphaCrown => "alpha-crown",
            Stage::Bab => "bab",
        }
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds for every real point of the box.
    Certified,
    /// A point of the box breaks it.
    Falsified,
    /// No stage that was allowed decided it.
    Unknown,
    /// The time ran out.
    Timeout,
    /// Something failed; the message says what.
    Error,
}

/// Where the search for a proof stood when it ended without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Clause of the property with the least bound.
    pub clause: usize,
    /// That bound.
    pub gap: f32,
    /// Why there is no verdict.
    pub reason: String,
}

/// The outcome of one claim.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What became of it.
    pub verdict: Verdict,
    /// The stage that decided, or the last that tried.
    pub stage: Stage,
    /// Least proved bound of coefficients · y − bound over clauses and leaves, of a certified claim.
    pub margin: Option<f64>,
    /// Share of the wall-clock time.
    pub seconds: f64,
    /// Numbers of the search.
    pub search: Statistics,
    /// Unstable neurons of each ReLU layer by the tightest bounds that were derived; empty before CROWN.
    pub unstable: Vec<usize>,
    /// Of a claim without a proof.
    pub open: Option<Open>,
    /// Of a falsified claim: the point that breaks it.
    pub counter_example: Option<Vec<f64>>,
    /// Of a certified claim: what proves it.
    pub proof: Option<Proof>,
}

impl Outcome {
    /// Whether branch-and-bound ended without a verdict on the claim.
    pub fn gave_up(&self) -> bool {
        self.open.is_some() && self.search.domains > 0
    }
}

/// What a certificate is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Where the bounds of the ReLU inputs come from.
    pub derivation: Derivation,
    /// Neurons that the leaves' slopes belong to: (ReLU layer, neuron), ascending.
    pub table: Vec<(usize, usize)>,
    /// A tree for each clause, in order.
    pub trees: Vec<Tree>,
}
