//! Slopes and multipliers by gradient ascent: α-CROWN (Xu et al. 2021), and with splits β-CROWN (Wang et al. 2021).
//!
//! Every row of a batch has its own slopes for the lower lines of unstable neurons, and its own multipliers for the neurons that
//! were split on the way to it. Each is moved by Adam along the gradient of the row's lower bound, cut to [0,1] or to ≥ 0, and
//! what gave the best bound is kept: any slope in [0,1] and any multiplier ≥ 0 gives a bound, so one may stop at any time.

use super::backward::Pass;
use super::rows::{Objective, ROWS, Shared};
use super::weights::{Placed, image};
use super::{Bounds, Layer};
use crate::certify::network::ReluNetwork;
use crate::device::{Program, Session, read_f32, read_state_f32, write_state_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::ops::{self, AdamSpec, ROW_WORDS, Relaxation};
use crate::shape::TensorType;

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
    program: Program,
    look: Program,
    rows: usize,
    /// Features of each ReLU layer.
    features: Vec<usize>,
    /// Distinguishes the states of several ascents in one session.
    tag: String,
    splits: bool,
    outputs: usize,
}

const GIVEN: &str = "given";
const SLOPE_RATES: &str = "slope_rates";
const MULTIPLIER_RATES: &str = "multiplier_rates";
const LOWER: &str = "lower";

/// α-CROWN's Adam: its defaults are PyTorch's.
const ADAM: AdamSpec = AdamSpec { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

/// Steps between two looks at the bounds.
const PATIENCE: usize = 5;

/// The states of one parameter of one layer.
struct Moved {
    value: Value,
    first: Value,
    second: Value,
    best: Value,
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
        let mut ascent = Ascent {
            program: Program(0),
            look: Program(0),
            rows,
            features,
            tag: tag.to_string(),
            splits,
            outputs: network.outputs(),
        };
        ascent.program = session.compile(&ascent.plan(&shared, true)?)?;
        ascent.look = session.compile(&ascent.plan(&shared, false)?)?;
        Ok(ascent)
    }

    /// Rows that go at once.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// One step of the ascent, or a look at the bounds and coefficients of the best parameters.
    fn plan(&self, shared: &Shared<'_>, step: bool) -> Result<Plan> {
        let mut g = Graph::new();
        let network = shared.network;
        let placed = Placed::new(&mut g, network)?;
        let rows = g.input(ROWS, TensorType::u32([self.rows, ROW_WORDS]))?;
        let given = g.input(GIVEN, TensorType::f32([self.rows, self.outputs]))?;
        let (bounds, region) = shared.states(&mut g)?;
        let mut slopes = Vec::new();
        let mut multipliers = Vec::new();
        let mut relaxations = Vec::new();
        for number in 0..self.features.len() {
            let [c, h, w] = image(&network.nodes()[shared.relu_input(number)].shape);
            let ty = TensorType::f32([self.rows, c, h, w]);
            let slope = self.moved(&mut g, "slope", number, &ty)?;
            let mut relaxation = Relaxation { slopes: Some(if step { slope.value } else { slope.best }), splits: None };
            if self.splits {
                let multiplier = self.moved(&mut g, "multiplier", number, &ty)?;
                let split = g.state(&self.name("split", number), ty)?;
                relaxation.splits = Some((split, if step { multiplier.value } else { multiplier.best }));
                multipliers.push(multiplier);
            }
            slopes.push(slope);
            relaxations.push(relaxation);
        }
        let pass = Pass { network, placed: &placed, rows, bounds: &bounds, region, relaxations: &relaxations };
        let found = pass.outputs(&mut g, given)?;
        g.output(LOWER, found.lower);
        if !step {
            for (number, at) in found.at_relu {
                g.output(&coefficients(number), at);
            }
            return Plan::new(g);
        }
        // Ascent is descent of the negative bound; rows do not meet, so the sum has each row's own gradient.
        let seed = ops::fill(&mut g, -1.0, [self.rows])?;
        let wrt: Vec<Value> = slopes.iter().chain(&multipliers).map(|m| m.value).collect();
        let grads = ops::gradients_from(&mut g, found.lower, seed, &wrt)?;
        let best = g.state(&self.name("best", 0), TensorType::f32([self.rows]))?;
        let improved = ops::greater(&mut g, found.lower, best)?;
        let higher = ops::maximum(&mut g, found.lower, best)?;
        let per_row = g.reshape(improved, [self.rows, 1, 1, 1])?;
        for moved in slopes.iter().chain(&multipliers) {
            let kept = ops::select(&mut g, per_row, moved.value, moved.best)?;
            ops::assign(&mut g, moved.best, kept)?;
        }
        ops::assign(&mut g, best, higher)?;
        let slope_rates = g.input(SLOPE_RATES, TensorType::f32([2]))?;
        let multiplier_rates = g.input(MULTIPLIER_RATES, TensorType::f32([2]))?;
        let kinds = slopes.iter().map(|m| (m, [0.0, 1.0], slope_rates));
        let kinds = kinds.chain(multipliers.iter().map(|m| (m, [0.0, f32::MAX], multiplier_rates)));
        for ((moved, range, rates), grad) in kinds.zip(grads) {
            // A layer that no path leads to has nothing to move.
            let Some(grad) = grad else { continue };
            let states = [moved.value, moved.first, moved.second];
            ops::adam_within(&mut g, ADAM, range, states, grad, rates)?;
        }
        Plan::new(g)
    }

    fn moved(&self, g: &mut Graph, kind: &str, number: usize, ty: &TensorType) -> Result<Moved> {
        let mut state = |what: &str| g.state(&self.name(&format!("{kind}.{what}"), number), ty.clone());
        Ok(Moved { value: state("value")?, first: state("first")?, second: state("second")?, best: state("best")? })
    }

    fn name(&self, what: &str, number: usize) -> String {
        format!("ascent/{}/{what}/{number}", self.tag)
    }

    /// Slopes as CROWN chooses them, no splits, for `objectives`.
    pub fn defaults(&self, bounds: &Bounds, objectives: &[Objective]) -> Parameters {
        let slope = |layer: &Layer, i: usize| f32::from(u8::from(layer.upper[i] > -layer.lower[i]));
        let slopes = bounds.layers.iter().zip(&self.features).map(|(layer, &n)| {
            objectives.iter().flat_map(|o| (o.sample * n..(o.sample + 1) * n).map(|i| slope(layer, i))).collect()
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
        assert!(!objectives.is_empty() && objectives.len() <= self.rows, "{} rows", objectives.len());
        let (records, given) = self.rows_of(objectives);
        self.upload(session, parameters)?;
        let middles: Vec<f32> = objectives.iter().map(|o| o.at(&bounds.center)).collect();
        let mut steps = 0;
        let mut lower = vec![f32::MIN; objectives.len()];
        for t in 0..schedule.iterations {
            let factor = schedule.decay.powi(t as i32);
            let slope_rates = ADAM.rates(schedule.slope_rate * factor, t as u64 + 1);
            let multiplier_rates = ADAM.rates(schedule.multiplier_rate * factor, t as u64 + 1);
            session.run(
                self.program,
                &[
                    (ROWS, bytemuck::cast_slice(&records)),
                    (GIVEN, bytemuck::cast_slice(&given)),
                    (SLOPE_RATES, bytemuck::cast_slice(&slope_rates)),
                    (MULTIPLIER_RATES, bytemuck::cast_slice(&multiplier_rates)),
                ],
            )?;
            steps += 1;
            if steps % PATIENCE == 0 || steps == schedule.iterations || steps == 1 {
                let best = read_state_f32(session, &self.name("best", 0)).await?;
                for ((lower, best), middle) in lower.iter_mut().zip(best).zip(&middles) {
                    *lower = middle + best;
                }
                if schedule.until_proved && lower.iter().zip(thresholds).all(|(l, t)| l > t) {
                    break;
                }
            }
        }
        self.download(session, parameters).await?;
        Ok(Ascended { lower, steps })
    }

    /// Coefficients of each row at the output of each ReLU layer, for the best parameters of the latest [`Ascent::run`] of the same
    /// objectives: what branching looks at. `[R,F]` per layer, empty where a row never comes.
    pub async fn coefficients(&self, session: &mut dyn Session, objectives: &[Objective]) -> Result<Vec<Vec<f32>>> {
        let (records, given) = self.rows_of(objectives);
        let feeds = [(ROWS, bytemuck::cast_slice(&records)), (GIVEN, bytemuck::cast_slice(&given))];
        session.run(self.look, &feeds)?;
        let mut all = Vec::new();
        for (number, n) in self.features.iter().enumerate() {
            let mut words = read_f32(session, self.look, &coefficients(number)).await?;
            words.truncate(n * objectives.len());
            all.push(words);
        }
        Ok(all)
    }

    /// Lower bounds for given parameters, without moving them.
    pub async fn look(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        objectives: &[Objective],
        parameters: &Parameters,
    ) -> Result<Vec<f32>> {
        self.upload(session, parameters)?;
        let (records, given) = self.rows_of(objectives);
        let feeds = [(ROWS, bytemuck::cast_slice(&records)), (GIVEN, bytemuck::cast_slice(&given))];
        session.run(self.look, &feeds)?;
        let lower = read_f32(session, self.look, LOWER).await?;
        Ok(objectives.iter().zip(lower).map(|(o, l)| o.at(&bounds.center) + l).collect())
    }

    /// Frees the programs.
    pub fn release(self, session: &mut dyn Session) {
        session.release(self.program);
        session.release(self.look);
    }

    /// Records and coefficients of all rows; those past the last objective repeat it.
    fn rows_of(&self, objectives: &[Objective]) -> (Vec<u32>, Vec<f32>) {
        let padded = || (0..self.rows).map(|r| &objectives[r.min(objectives.len() - 1)]);
        let records = padded().flat_map(|o| [o.sample as u32, 0, 0, 0]).collect();
        (records, padded().flat_map(|o| o.coefficients.iter().copied()).collect())
    }

    fn upload(&self, session: &mut dyn Session, parameters: &Parameters) -> Result<()> {
        let write = |session: &mut dyn Session, kind: &str, number: usize, values: &[f32]| {
            let n = self.features[number];
            assert!(values.len().is_multiple_of(n) && values.len() <= n * self.rows, "rows of {n} elements");
            let mut padded = values.to_vec();
            padded.resize(n * self.rows, 0.0);
            write_state_f32(session, &self.name(&format!("{kind}.value"), number), &padded)?;
            write_state_f32(session, &self.name(&format!("{kind}.best"), number), &padded)?;
            padded.fill(0.0);
            write_state_f32(session, &self.name(&format!("{kind}.first"), number), &padded)?;
            write_state_f32(session, &self.name(&format!("{kind}.second"), number), &padded)
        };
        for (number, slopes) in parameters.slopes.iter().enumerate() {
            write(session, "slope", number, slopes)?;
        }
        for (number, multipliers) in parameters.multipliers.iter().enumerate() {
            write(session, "multiplier", number, multipliers)?;
        }
        for (number, splits) in parameters.splits.iter().enumerate() {
            let mut padded = splits.clone();
            padded.resize(self.features[number] * self.rows, 0.0);
            write_state_f32(session, &self.name("split", number), &padded)?;
        }
        write_state_f32(session, &self.name("best", 0), &vec![f32::MIN; self.rows])
    }

    async fn download(&self, session: &mut dyn Session, parameters: &mut Parameters) -> Result<()> {
        for (kind, values) in [("slope", &mut parameters.slopes), ("multiplier", &mut parameters.multipliers)] {
            for (number, values) in values.iter_mut().enumerate() {
                let best = read_state_f32(session, &self.name(&format!("{kind}.best"), number)).await?;
                let n = values.len();
                values.copy_from_slice(&best[..n]);
            }
        }
        Ok(())
    }
}

fn coefficients(number: usize) -> String {
    format!("coefficients.{number}")
}
