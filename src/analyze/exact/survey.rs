//! One network at many points: how many are robust, in truth, under the attack and by interval bounds.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::Place;
use super::attacked::Attacked;
use super::decide::{adversarial_share, least_margin};
use super::regions::Regions;
use super::study::{ball, classify, interval_margin};
use crate::certify::network::ReluNetwork;
use crate::certify::proof::Prover;
use crate::error::Result;

/// What is known of one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Margin at the point.
    pub natural: f64,
    /// Margin where the attack came to.
    pub attacked: f64,
    /// Least margin over the ε box.
    pub exact: f64,
    /// Share of the box that has another class.
    pub adversarial: f64,
    /// The interval bound of the least margin.
    pub interval: f64,
    /// The interval bound over the small box.
    pub small: f64,
}

impl Known {
    /// Whether the class is the label.
    pub fn correct(&self) -> bool {
        self.natural > 0.0
    }

    /// Whether the whole ε box has the label.
    pub fn robust(&self) -> bool {
        self.exact > 0.0
    }
}

/// Points that count, of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Points looked at.
    pub points: usize,
    /// Classified correctly.
    pub natural: usize,
    /// Classified correctly, and where the attack came to as well.
    pub withstood: usize,
    /// Without an adversarial example, by enumeration.
    pub robust: usize,
    /// Proved to be by interval bounds.
    pub interval: usize,
    /// Whose small box is proved by interval bounds.
    pub small: usize,
}

impl Survey {
    /// The counts.
    pub fn of(known: &[Known]) -> Survey {
        let count = |test: &dyn Fn(&Known) -> bool| known.iter().filter(|k| test(k)).count();
        Survey {
            points: known.len(),
            natural: count(&Known::correct),
            withstood: count(&|k| k.correct() && k.attacked > 0.0),
            robust: count(&Known::robust),
            interval: count(&|k| k.interval > 0.0),
            small: count(&|k| k.small > 0.0),
        }
    }
}

/// What `network` does at each of `points` with their labels.
///
/// # Errors
/// [`crate::error::Error::Config`] for a network of other than two inputs, or of too many linear regions.
pub fn survey(
    network: &ReluNetwork,
    prover: &Arc<Prover>,
    points: &[Place],
    epsilon: f64,
    attacked: &[Attacked],
) -> Result<Vec<Known>> {
    let known = |(&Place { point, label, .. }, attacked): (&Place, &Attacked)| {
        let ends = ball(point, epsilon);
        let regions = Regions::new(network, ends.0, ends.1)?;
        Ok(Known {
            natural: classify(network, point, label).1,
            attacked: classify(network, attacked.point, label).1,
            exact: least_margin(&regions, label).margin,
            adversarial: adversarial_share(&regions, label),
            interval: interval_margin(prover, ends, label)?,
            small: interval_margin(prover, (attacked.lower, attacked.upper), label)?,
        })
    };
    points.par_iter().zip(attacked).map(known).collect()
}
