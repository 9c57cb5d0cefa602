//! What a VNN-LIB file asks, as properties.

use super::property::{Constraint, Property};
use crate::error::{Error, Result};
use crate::formats::vnnlib::{Case, Decimal, Query};

/// One box of a file's cases with all that would be a counter-example in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// With the file's decimals rounded outward: if this holds, no real point makes a case of the file true. Factors of outputs are the
    /// f64 nearest to the file's.
    pub claim: Property,
    /// With the f64 nearest to each decimal: a point that breaks this one is a counter-example as far as f64 can tell.
    pub nearest: Property,
}

/// The boxes of a file; none if no point can make a case true.
///
/// # Errors
/// [`Error::Config`] for a file about another number of inputs or outputs, and for inputs without an end.
pub fn questions(query: &Query, inputs: usize, outputs: usize) -> Result<Vec<Question>> {
    if (query.inputs, query.outputs) != (inputs, outputs) {
        let (x, y) = (query.inputs, query.outputs);
        return Err(Error::Config(format!(
            "the property has {x} inputs and {y} outputs, the network {inputs} and {outputs}"
        )));
    }
    let mut groups: Vec<(&Case, Vec<&Case>)> = Vec::new();
    for case in &query.cases {
        match groups.iter_mut().find(|(first, _)| first.lower == case.lower && first.upper == case.upper) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((case, vec![case])),
        }
    }
    groups.into_iter().map(|(first, cases)| question(first, &cases, outputs)).collect()
}

fn question(first: &Case, cases: &[&Case], outputs: usize) -> Result<Question> {
    let ends = |ends: &[Option<Decimal>], what: &str| -> Result<Vec<Decimal>> {
        let mut found = Vec::with_capacity(ends.len());
        for (i, end) in ends.iter().enumerate() {
            found.push(end.ok_or_else(|| Error::Config(format!("X_{i} has no {what} bound: expected a box")))?);
        }
        Ok(found)
    };
    let (lower, upper) = (ends(&first.lower, "lower")?, ends(&first.upper, "upper")?);
    let clauses = |bound: &dyn Fn(Decimal) -> f64| -> Vec<Vec<Constraint>> {
        let clause = |case: &&Case| {
            let constraint = |inequality: &crate::formats::vnnlib::Inequality| {
                let mut coefficients = vec![0.0; outputs];
                inequality.terms.iter().for_each(|&(k, factor)| coefficients[k] = factor.value);
                Constraint { coefficients, bound: bound(inequality.bound) }
            };
            case.inequalities.iter().map(constraint).collect()
        };
        cases.iter().map(clause).collect()
    };
    let all = |ends: &[Decimal], of: &dyn Fn(Decimal) -> f64| ends.iter().map(|&end| of(end)).collect();
    Ok(Question {
        claim: Property {
            lower: all(&lower, &Decimal::below),
            upper: all(&upper, &Decimal::above),
            clauses: clauses(&Decimal::above),
        },
        nearest: Property {
            lower: all(&lower, &|end| end.value),
            upper: all(&upper, &|end| end.value),
            clauses: clauses(&|bound| bound.value),
        },
    })
}
