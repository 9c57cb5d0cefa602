//! From a domain to a decision that the native prover confirms.

use std::sync::OnceLock;
use std::time::Instant;

use super::pattern::{self, Pattern, Row};
use super::penalty::Magnitudes;
use super::program::{Program, Solution};
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{Leaf, Objective, Region, Split};
use crate::certify::property::{Constraint, Property};
use crate::error::Result;

/// Most entries of a program's matrix, splits × free inputs. The rows are dense, so an iteration of the solver takes the shorter side
/// squared times the longer one: 784 inputs and 300 splits take 0.8 s on one thread, 1 000 splits 8 s. The deadline is looked at
/// between iterations.
const MOST_ENTRIES: usize = 1 << 20;

/// The price of a violated sign in units of the objective is at most this: beyond, an interior-point method in f64 finds nothing.
const HIGHEST_PRICE: f64 = 1e8;

/// A part of the box in which the signs of all neurons are known.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// The box with its proved bounds.
    pub region: &'a Region,
    /// The claim.
    pub property: &'a Property,
    /// The clause of it that is to be excluded in the domain.
    pub clause: usize,
    /// Every neuron that the bounds leave unstable, once.
    pub splits: &'a [Split],
    /// Slopes of the region's table, for neurons that rounding alone leaves unstable; `None`: the default ones.
    pub slopes: Option<&'a [f32]>,
}

/// What a solver proposes: any numbers, to be confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// One for each constraint of the clause.
    pub weights: Vec<f32>,
    /// One for each split.
    pub multipliers: Vec<f32>,
    /// A point that may break the claim.
    pub point: Vec<f64>,
}

/// What became of a domain.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// No point of the domain makes all constraints of the clause true, proved natively with these numbers.
    Proved {
        /// One for each constraint.
        weights: Vec<f32>,
        /// One for each split.
        multipliers: Vec<f32>,
        /// The bound.
        lower: f64,
    },
    /// This point of the box breaks the claim, confirmed natively.
    Refuted {
        /// As a user feeds it.
        point: Vec<f64>,
    },
    /// Neither could be confirmed: the least value is within rounding of 0.
    Close,
    /// Not tried: the solver would take minutes.
    Large {
        /// Splits × free inputs.
        entries: usize,
        /// The most that are tried.
        most: usize,
    },
}

/// Decides domains of one network.
pub struct Decider<'a> {
    network: &'a ReluNetwork,
    /// Made for the first domain.
    magnitudes: OnceLock<Magnitudes>,
}

impl<'a> Decider<'a> {
    /// For `network`.
    pub fn new(network: &'a ReluNetwork) -> Decider<'a> {
        Decider { network, magnitudes: OnceLock::new() }
    }

    /// Decides one domain.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for splits or slopes that do not fit.
    pub fn decide(&self, domain: &Domain<'_>, deadline: Instant) -> Result<Decision> {
        let entries = domain.splits.len().saturating_mul(pattern::free(domain.property).len());
        if entries > MOST_ENTRIES {
            return Ok(Decision::Large { entries, most: MOST_ENTRIES });
        }
        domain.confirm(&self.propose(domain, deadline)?)
    }

    /// Solves the domain's program.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for numbers that are not finite.
    pub fn propose(&self, domain: &Domain<'_>, deadline: Instant) -> Result<Proposal> {
        let (splits, constraints) = (domain.splits, domain.constraints());
        let pattern = Pattern::new(self.network, domain.region, domain.property, constraints, splits);
        // A sign that no point of the box violates needs no row.
        let needed = |row: &Row| row.constant < row.range();
        let kept: Vec<usize> = (0..splits.len()).filter(|&j| needed(&pattern.splits[j])).collect();
        let sizes: Vec<f64> = kept.iter().map(|&j| pattern.splits[j].size()).collect();
        let unit = pattern.constraints.iter().map(Row::size).fold(f64::MIN_POSITIVE, f64::max);

        let kept_splits: Vec<Split> = kept.iter().map(|&j| splits[j]).collect();
        if self.magnitudes.get().is_none() {
            let _ = self.magnitudes.set(Magnitudes::of(self.network)?);
        }
        let magnitudes = self.magnitudes.get().expect("set above");
        let differences = magnitudes.differences(domain.region, constraints, &kept_splits, &sizes);
        let price = differences.into_iter().fold(0.0, f64::max) / unit;

        let scaled = |row: &Row, by: f64| Row {
            constant: row.constant / by,
            slopes: row.slopes.iter().map(|slope| slope / by).collect(),
        };
        let rows: Vec<Row> = kept.iter().zip(&sizes).map(|(&j, &size)| scaled(&pattern.splits[j], size)).collect();
        let objectives: Vec<Row> = pattern.constraints.iter().map(|row| scaled(row, unit)).collect();
        let price = price.clamp(1.0, HIGHEST_PRICE);
        let limit = deadline.saturating_duration_since(Instant::now());
        let Solution { v, weights, multipliers } =
            Program { objectives: &objectives, rows: &rows, price }.solve(limit)?;

        let mut proposal = Proposal {
            weights: weights.iter().map(|&w| finite(w)).collect(),
            multipliers: vec![0.0; splits.len()],
            point: pattern.point(&v, domain.property),
        };
        if let [weight] = &mut proposal.weights[..] {
            *weight = 1.0;
        }
        for ((&j, &size), &multiplier) in kept.iter().zip(&sizes).zip(&multipliers) {
            proposal.multipliers[j] = finite(multiplier * (unit / size));
        }
        Ok(proposal)
    }
}

impl Domain<'_> {
    fn constraints(&self) -> &[Constraint] {
        &self.property.clauses[self.clause]
    }

    /// What the native prover makes of a proposal. Any proposal is sound to ask about.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for numbers that do not fit, or a negative multiplier or weight.
    pub fn confirm(&self, proposal: &Proposal) -> Result<Decision> {
        let region = self.region;
        let parts: Vec<(f64, &Constraint)> =
            proposal.weights.iter().map(|&w| f64::from(w)).zip(self.constraints()).collect();
        let objective = Objective::combination(region.prover().outputs(), &parts);
        let leaf = Leaf { slopes: self.slopes, splits: self.splits, multipliers: &proposal.multipliers };
        let lower = region.lower_bounds(&[objective], &[leaf])?[0];
        if lower > 0.0 {
            let Proposal { weights, multipliers, .. } = proposal.clone();
            return Ok(Decision::Proved { weights, multipliers, lower });
        }
        match region.prover().refutes(self.property, &proposal.point)? {
            true => Ok(Decision::Refuted { point: proposal.point.clone() }),
            false => Ok(Decision::Close),
        }
    }
}

/// As a certificate holds it: finite and not negative.
fn finite(value: f64) -> f32 {
    (value as f32).clamp(0.0, f32::MAX)
}
