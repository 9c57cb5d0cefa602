//! What is to be proved: that no point of a box of inputs does something bad.

use crate::error::{Error, Result};

/// A box of inputs and the outputs that would break the claim. The claim holds iff no real x of the box makes every constraint of
/// some clause true.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Least value of each input, as a user feeds it.
    pub lower: Vec<f64>,
    /// Greatest value of each input.
    pub upper: Vec<f64>,
    /// Bad outputs: any clause (or), all constraints of it (and).
    pub clauses: Vec<Vec<Constraint>>,
}

/// coefficients · y ≤ bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// One factor for each output.
    pub coefficients: Vec<f64>,
    /// Right-hand side.
    pub bound: f64,
}

impl Property {
    /// "Every point of the box has the label": one clause `y_label − y_k ≤ 0` for each other class k, in order; a tie breaks the claim.
    pub fn label(lower: Vec<f64>, upper: Vec<f64>, classes: usize, label: usize) -> Property {
        let margin = |k: usize| {
            let mut coefficients = vec![0.0; classes];
            coefficients[label] += 1.0;
            coefficients[k] -= 1.0;
            vec![Constraint { coefficients, bound: 0.0 }]
        };
        let clauses = (0..classes).filter(|&k| k != label).map(margin).collect();
        Property { lower, upper, clauses }
    }

    /// The ε ball of an image cut with `[0, 1]`, rounded outward, so that it holds every real point of the ball: the box of a proof.
    pub fn ball(image: &[f32], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
        let lower = image.iter().map(|&p| (f64::from(p) - epsilon).next_down().clamp(0.0, 1.0)).collect();
        let upper = image.iter().map(|&p| (f64::from(p) + epsilon).next_up().clamp(0.0, 1.0)).collect();
        (lower, upper)
    }

    /// Refuses a property that does not fit `inputs` and `outputs` of a network, or has an empty box.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self, inputs: usize, outputs: usize) -> Result<()> {
        if self.lower.len() != inputs || self.upper.len() != inputs {
            let got = self.lower.len();
            return Err(Error::Config(format!("a property of {got} inputs: the network has {inputs}")));
        }
        if let Some(i) =
            (0..inputs).find(|&i| !(self.lower[i] <= self.upper[i] && self.upper[i] - self.lower[i] < f64::INFINITY))
        {
            let (l, u) = (self.lower[i], self.upper[i]);
            return Err(Error::Config(format!("input {i} from {l} to {u}: expected finite ends in order")));
        }
        for constraint in self.clauses.iter().flatten() {
            let finite = constraint.coefficients.iter().all(|c| c.is_finite()) && constraint.bound.is_finite();
            if constraint.coefficients.len() != outputs || !finite {
                let got = constraint.coefficients.len();
                return Err(Error::Config(format!(
                    "a constraint on {got} outputs: expected finite numbers for {outputs}"
                )));
            }
        }
        Ok(())
    }
}
