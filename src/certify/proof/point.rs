//! Points: enclosures of the real outputs, and counter-examples.

use std::sync::Arc;

use super::objective::{Leaf, Objective};
use super::prover::Prover;
use super::region::Region;
use crate::certify::network::ReluNetwork;
use crate::certify::property::Property;
use crate::error::Result;

impl Prover {
    /// Intervals that hold the real outputs at `x`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a point that does not fit.
    pub fn evaluate(self: &Arc<Prover>, x: &[f64]) -> Result<Vec<(f64, f64)>> {
        let (lower, upper) = Region::interval(self, x, x)?.outputs();
        Ok(lower.into_iter().zip(upper).collect())
    }

    /// Whether `x` breaks the claim beyond doubt: it lies in the box and its real outputs make every constraint of a clause true.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a point or a property that does not fit.
    pub fn refutes(self: &Arc<Prover>, property: &Property, x: &[f64]) -> Result<bool> {
        property.check(self.inputs(), self.outputs())?;
        let inside = |(x, (l, u)): (&f64, (&f64, &f64))| l <= x && x <= u;
        if x.len() != self.inputs() || !x.iter().zip(property.lower.iter().zip(&property.upper)).all(inside) {
            return Ok(false);
        }
        let region = Region::interval(self, x, x)?;
        // coefficients · y ≤ bound iff −coefficients · y − (−bound) ≥ 0.
        for clause in &property.clauses {
            let negated = clause.iter().map(|constraint| {
                Objective::exact(constraint.coefficients.iter().map(|c| -c).collect(), -constraint.bound)
            });
            let objectives: Vec<Objective> = negated.collect();
            let leaves = vec![Leaf::default(); objectives.len()];
            if region.lower_bounds(&objectives, &leaves)?.iter().all(|&bound| bound >= 0.0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// [`Prover::evaluate`] for a single point.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) for a point that does not fit.
pub fn evaluate(network: &ReluNetwork, x: &[f64]) -> Result<Vec<(f64, f64)>> {
    Arc::new(Prover::new(network)?).evaluate(x)
}

/// [`Prover::refutes`] for a single point.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) for a point or a property that does not fit.
pub fn refutes(network: &ReluNetwork, property: &Property, x: &[f64]) -> Result<bool> {
    Arc::new(Prover::new(network)?).refutes(property, x)
}
