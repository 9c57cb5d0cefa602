//! The linear program of a domain, and its solver.

use std::time::Duration;

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettingsBuilder, DefaultSolver, IPSolver, NonnegativeConeT};

use super::pattern::Row;
use crate::error::{Error, Result};

/// τ, t and v such that τ + price · t is least, where each objective is at most τ, each row at least −t, and v in [−1, 1]ⁿ.
pub(super) struct Program<'a> {
    /// Constants and slopes of the objectives.
    pub(super) objectives: &'a [Row],
    /// Of the rows.
    pub(super) rows: &'a [Row],
    /// Of t.
    pub(super) price: f64,
}

/// What the solver came to: estimates, whatever it says of them.
pub(super) struct Solution {
    pub(super) v: Vec<f64>,
    /// Dual variables of the objectives, ≥ 0.
    pub(super) weights: Vec<f64>,
    /// Of the rows, ≥ 0.
    pub(super) multipliers: Vec<f64>,
}

/// A sparse matrix by columns.
#[derive(Default)]
struct Columns {
    starts: Vec<usize>,
    rows: Vec<usize>,
    values: Vec<f64>,
}

impl Columns {
    fn push(&mut self, entries: impl Iterator<Item = (usize, f64)>) {
        self.starts.push(self.rows.len());
        for (row, value) in entries.filter(|entry| entry.1 != 0.0) {
            self.rows.push(row);
            self.values.push(value);
        }
    }

    fn matrix(mut self, rows: usize) -> CscMatrix<f64> {
        let columns = self.starts.len();
        self.starts.push(self.rows.len());
        CscMatrix::new(rows, columns, self.starts, self.rows, self.values)
    }
}

impl Program<'_> {
    /// Solves it by Clarabel (Goulart and Chen 2024), an interior-point method that gives both solutions at once.
    ///
    /// # Errors
    /// [`Error::Config`] for a program that the solver refuses: numbers that are not finite.
    pub(super) fn solve(&self, limit: Duration) -> Result<Solution> {
        let (objectives, rows) = (self.objectives.len(), self.rows.len());
        let n = self.objectives.first().map_or(0, |row| row.slopes.len());
        // In the form A·(v, t, τ) + s = b, s ≥ 0.
        let (first_lower, first_upper, sign_of_t) =
            (objectives + rows, objectives + rows + n, objectives + rows + 2 * n);
        let mut columns = Columns::default();
        for i in 0..n {
            let of_objectives = self.objectives.iter().enumerate().map(|(k, row)| (k, row.slopes[i]));
            let of_rows = self.rows.iter().enumerate().map(|(j, row)| (objectives + j, -row.slopes[i]));
            columns.push(of_objectives.chain(of_rows).chain([(first_lower + i, -1.0), (first_upper + i, 1.0)]));
        }
        columns.push((objectives..objectives + rows).chain([sign_of_t]).map(|row| (row, -1.0)));
        columns.push((0..objectives).map(|row| (row, -1.0)));
        let matrix = columns.matrix(sign_of_t + 1);
        let constants = self.objectives.iter().map(|row| -row.constant).chain(self.rows.iter().map(|row| row.constant));
        let right: Vec<f64> = constants.chain(std::iter::repeat_n(1.0, 2 * n)).chain([0.0]).collect();
        let mut costs = vec![0.0; n + 2];
        (costs[n], costs[n + 1]) = (self.price, 1.0);

        let refused = |what: String| Error::Config(format!("linear program of a domain: {what}"));
        let settings = DefaultSettingsBuilder::default()
            .verbose(false)
            .time_limit(limit.as_secs_f64())
            .max_threads(1)
            .build()
            .map_err(|e| refused(e.to_string()))?;
        let none = CscMatrix::zeros((n + 2, n + 2));
        let cones = [NonnegativeConeT(right.len())];
        let mut solver =
            DefaultSolver::new(&none, &costs, &matrix, &right, &cones, settings).map_err(|e| refused(e.to_string()))?;
        solver.solve();
        let positive = |values: &[f64]| values.iter().map(|v| v.max(0.0)).collect();
        Ok(Solution {
            v: solver.solution.x[..n].to_vec(),
            weights: positive(&solver.solution.z[..objectives]),
            multipliers: positive(&solver.solution.z[objectives..objectives + rows]),
        })
    }
}
