//! Slopes and multipliers by gradient ascent: α-CROWN (Xu et al. 2021), and with splits β-CROWN (Wang et al. 2021).
//!
//! Every row of a batch has its own slopes for the lower lines of unstable neurons, and its own multipliers for the neurons that
//! were split on the way to it. Each is moved by Adam along the gradient of the row's lower bound, cut to [0,1] or to ≥ 0, and
//! what gave the best bound is kept: any slope in [0,1] and any multiplier ≥ 0 gives a bound, so one may stop at any time.

use super::Bounds;
use super::extent::{Origin, extents};
use super::programs::{Given, Programs};
use super::rows::{Objective, Shared};
use crate::certify::network::ReluNetwork;
use crate::device::Session;
use crate::error::Result;

/// How the ascent goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Steps.
    pub iterations: usize,
    /// First learning rate of the slopes.
    pub slope_rate: f64,
    /// First learning rate of the multipliers.
    pub multiplier_rate: f64,
    /// Factor of both from step to step.
    pub decay: f64,
    /// Stop when every row's bound exceeds its threshold.
    pub until_proved: bool,
}

/// What rows bring along and take away, a vector for each ReLU layer, `[R,F]` row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// α ∈ \[0, 1\]; looked at where the neuron is unstable and not split.
    pub slopes: Vec<Vec<f32>>,
    /// 1: z ≥ 0; −1: z ≤ 0; 0: not split. Empty where the ascent knows no splits.
    pub splits: Vec<Vec<f32>>,
    /// β ≥ 0; looked at where the neuron is split. Empty where the ascent knows no splits.
    pub multipliers: Vec<Vec<f32>>,
}

/// What an ascent found.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascended {
    /// The best lower bound of each row.
    pub lower: Vec<f32>,
    /// Steps that were made.
    pub steps: usize,
}

/// An ascent for a fixed number of rows.
pub struct Ascent {
    programs: Programs,
    /// Features of each ReLU layer.
    features: Vec<usize>,
    splits: bool,
}

impl Ascent {
    /// Compiles an ascent of `rows` rows over a batch of `batch` boxes of `network`, whose weights are in the session already. `tag`
    /// distinguishes ascents that live at the same time.
    pub fn new(
        session: &mut dyn Session,
        network: &ReluNetwork,
        batch: usize,
        rows: usize,
        splits: bool,
        tag: &str,
    ) -> Result<Ascent> {
        let shared = Shared { network, batch };
        let features = (0..network.relus().len()).map(|n| shared.features(n)).collect();
        let extents = extents(&shared, Origin::Outputs)?;
        let programs = Programs::new(session, &shared, Origin::Outputs, extents, rows, splits, tag)?;
        Ok(Ascent { programs, features, splits })
    }

    /// Rows that go at once.
    pub fn rows(&self) -> usize {
        self.programs.rows()
    }

    /// Slopes as CROWN chooses them, no splits, for `objectives`.
    pub fn defaults(&self, bounds: &Bounds, objectives: &[Objective]) -> Parameters {
        let slopes = bounds.layers.iter().zip(&self.features).map(|(layer, &n)| {
            objectives.iter().flat_map(|o| (o.sample * n..(o.sample + 1) * n).map(|i| layer.default_slope(i))).collect()
        });
        let zeros = || match self.splits {
            true => self.features.iter().map(|n| vec![0.0; n * objectives.len()]).collect(),
            false => Vec::new(),
        };
        Parameters { slopes: slopes.collect(), splits: zeros(), multipliers: zeros() }
    }

    /// Moves `parameters` of at most [`Ascent::rows`] objectives and leaves the best in their place. `bounds` are those that the session
    /// holds for the batch. `thresholds` are what the bounds have to exceed, one for each objective.
    ///
    /// # Panics
    /// If there are too many objectives, or parameters of other extents.
    pub async fn run(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        objectives: &[Objective],
        thresholds: &[f32],
        parameters: &mut Parameters,
        schedule: &Schedule,
    ) -> Result<Ascended> {
        self.programs.run(session, &given(bounds, objectives), thresholds, parameters, schedule, None).await
    }

    /// Coefficients of each row at the output of each ReLU layer, for the best parameters of the latest [`Ascent::run`] of the same
    /// objectives: what branching looks at. `[R,F]` per layer, empty where a row never comes.
    pub async fn coefficients(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        objectives: &[Objective],
    ) -> Result<Vec<Vec<f32>>> {
        self.programs.coefficients(session, &given(bounds, objectives)).await
    }

    /// Lower bounds for given parameters, without moving them.
    pub async fn look(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        objectives: &[Objective],
        parameters: &Parameters,
    ) -> Result<Vec<f32>> {
        self.programs.look(session, &given(bounds, objectives), parameters).await
    }

    /// Frees the programs.
    pub fn release(self, session: &mut dyn Session) {
        self.programs.release(session);
    }
}

/// Rows of objectives.
fn given(bounds: &Bounds, objectives: &[Objective]) -> Given {
    Given {
        records: objectives.iter().flat_map(|o| [o.sample as u32, 0, 0, 0]).collect(),
        values: objectives.iter().flat_map(|o| o.coefficients.iter().copied()).collect(),
        middles: objectives.iter().map(|o| o.at(&bounds.center)).collect(),
    }
}
