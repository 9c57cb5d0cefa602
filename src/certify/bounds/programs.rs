//! The programs of an ascent: one step of all rows' slopes and multipliers, and a look at the bounds of the best ones.

use std::borrow::Cow;
use std::time::Instant;

use super::extent::{Begun, Extent, GIVEN, Origin};
use super::rows::{ROWS, Shared};
use super::{Ascended, Parameters, Schedule};
use crate::device::{Program, Session, read_f32, read_state_f32, write_state_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::ops::{self, AdamSpec, ROW_WORDS, Relaxation};
use crate::shape::TensorType;

/// What rows begin with.
pub(super) struct Given {
    /// Their records, [`ROW_WORDS`] each.
    pub(super) records: Vec<u32>,
    /// Coefficients of the outputs, or the sign of each neuron.
    pub(super) values: Vec<f32>,
    /// Value of each row at the middle of its box.
    pub(super) middles: Vec<f32>,
}

/// An ascent for a fixed number of rows.
pub(super) struct Programs {
    begin: Program,
    step: Program,
    look: Program,
    origin: Origin,
    rows: usize,
    /// Of each ReLU layer; `None` where no row comes.
    extents: Vec<Option<Extent>>,
    splits: bool,
    /// Distinguishes the states of several ascents in one session.
    tag: String,
}

const SLOPE_RATES: &str = "slope_rates";
const MULTIPLIER_RATES: &str = "multiplier_rates";
const LOWER: &str = "lower";

/// α-CROWN's Adam: its defaults are PyTorch's.
const ADAM: AdamSpec = AdamSpec { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

/// Elements of all ReLU layers that the rows of an ascent may have together: each is kept a dozen times over (slopes, multipliers, their
/// moments and best values, coefficients and gradients), which makes 400 MiB.
pub const MOST_ELEMENTS: usize = 1 << 23;

/// Steps between two looks at the bounds.
const PATIENCE: usize = 5;

/// The states of one parameter of one layer.
struct Moved {
    value: Value,
    first: Value,
    second: Value,
    best: Value,
}

impl Programs {
    pub(super) fn new(
        session: &mut dyn Session,
        shared: &Shared<'_>,
        origin: Origin,
        extents: Vec<Option<Extent>>,
        rows: usize,
        splits: bool,
        tag: &str,
    ) -> Result<Programs> {
        let tag = tag.to_string();
        let none = Program(0);
        let mut programs = Programs { begin: none, step: none, look: none, origin, rows, extents, splits, tag };
        programs.begin = session.compile(&programs.beginning()?)?;
        programs.step = session.compile(&programs.plan(shared, true)?)?;
        programs.look = session.compile(&programs.plan(shared, false)?)?;
        Ok(programs)
    }

    /// Rows that go at once.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What comes before the first step or look: the parameters that were given are the best so far, and nothing has moved yet.
    fn beginning(&self) -> Result<Plan> {
        let mut g = Graph::new();
        for (number, extent) in self.extents.iter().enumerate() {
            let Some(Extent { shape: [c, h, w], .. }) = *extent else { continue };
            let ty = TensorType::f32([self.rows, c, h, w]);
            let zeros = ops::fill(&mut g, 0.0, ty.shape.clone())?;
            let kinds = if self.splits { &["slope", "multiplier"][..] } else { &["slope"] };
            for kind in kinds {
                let moved = self.moved(&mut g, kind, number, &ty)?;
                ops::assign(&mut g, moved.best, moved.value)?;
                ops::assign(&mut g, moved.first, zeros)?;
                ops::assign(&mut g, moved.second, zeros)?;
            }
        }
        let best = g.state(&self.name("best", 0), TensorType::f32([self.rows]))?;
        let least = ops::fill(&mut g, f32::MIN, [self.rows])?;
        ops::assign(&mut g, best, least)?;
        Plan::new(g)
    }

    /// One step of the ascent, or a look at the bounds and coefficients of the best parameters.
    fn plan(&self, shared: &Shared<'_>, step: bool) -> Result<Plan> {
        let mut g = Graph::new();
        let begun = Begun::new(&mut g, shared, self.origin, self.rows)?;
        let mut slopes = Vec::new();
        let mut multipliers = Vec::new();
        let mut relaxations = Vec::new();
        for (number, extent) in self.extents.iter().enumerate() {
            let Some(Extent { shape: [c, h, w], .. }) = *extent else {
                relaxations.push(Relaxation::default());
                continue;
            };
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
        let found = begun.finish(&mut g, &relaxations)?;
        g.output(LOWER, found.lower);
        if !step {
            for (number, at) in found.at_relu {
                g.output(&coefficients(number), at.value);
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
            ops::assign_where(&mut g, moved.best, per_row, moved.value)?;
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

    /// Moves `parameters` of the given rows and leaves the best in their place. `thresholds` are what the bounds have to exceed, one for
    /// each row. After `deadline` no further step begins, but one is always made.
    ///
    /// # Panics
    /// If there are too many rows, or parameters of other extents.
    pub(super) async fn run(
        &self,
        session: &mut dyn Session,
        given: &Given,
        thresholds: &[f32],
        parameters: &mut Parameters,
        schedule: &Schedule,
        deadline: Option<Instant>,
    ) -> Result<Ascended> {
        let (records, values) = self.padded(given);
        self.upload(session, parameters)?;
        let mut steps = 0;
        let mut lower = vec![f32::MIN; given.middles.len()];
        for t in 0..schedule.iterations {
            let factor = schedule.decay.powi(t as i32);
            let slope_rates = ADAM.rates(schedule.slope_rate * factor, t as u64 + 1);
            let multiplier_rates = ADAM.rates(schedule.multiplier_rate * factor, t as u64 + 1);
            let feeds = [
                (ROWS, bytemuck::cast_slice(&records)),
                (GIVEN, bytemuck::cast_slice(&values)),
                (SLOPE_RATES, bytemuck::cast_slice(&slope_rates)),
                (MULTIPLIER_RATES, bytemuck::cast_slice(&multiplier_rates)),
            ];
            session.run(self.step, &feeds)?;
            steps += 1;
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if steps % PATIENCE == 0 || steps == schedule.iterations || steps == 1 || late {
                let best = read_state_f32(session, &self.name("best", 0)).await?;
                for ((lower, best), middle) in lower.iter_mut().zip(best).zip(&given.middles) {
                    *lower = middle + best;
                }
                if late || schedule.until_proved && lower.iter().zip(thresholds).all(|(l, t)| l > t) {
                    break;
                }
            }
        }
        self.download(session, parameters).await?;
        Ok(Ascended { lower, steps })
    }

    /// Coefficients of each row at the output of each ReLU layer, for the best parameters of the latest run of the same rows; empty where
    /// no row comes.
    pub(super) async fn coefficients(&self, session: &mut dyn Session, given: &Given) -> Result<Vec<Vec<f32>>> {
        self.run_look(session, given)?;
        let mut all = Vec::new();
        for (number, extent) in self.extents.iter().enumerate() {
            let Some(extent) = extent else {
                all.push(Vec::new());
                continue;
            };
            let mut words = read_f32(session, self.look, &coefficients(number)).await?;
            words.truncate(extent.elements() * given.middles.len());
            all.push(words);
        }
        Ok(all)
    }

    /// Lower bounds for given parameters, without moving them.
    pub(super) async fn look(
        &self,
        session: &mut dyn Session,
        given: &Given,
        parameters: &Parameters,
    ) -> Result<Vec<f32>> {
        self.upload(session, parameters)?;
        self.run_look(session, given)?;
        let lower = read_f32(session, self.look, LOWER).await?;
        Ok(given.middles.iter().zip(lower).map(|(middle, l)| middle + l).collect())
    }

    /// Frees the programs.
    pub(super) fn release(self, session: &mut dyn Session) {
        session.release(self.begin);
        session.release(self.step);
        session.release(self.look);
    }

    fn run_look(&self, session: &mut dyn Session, given: &Given) -> Result<()> {
        let (records, values) = self.padded(given);
        session
            .run(self.look, &[(ROWS, bytemuck::cast_slice(&records)), (GIVEN, bytemuck::cast_slice(&values))])
            .map(|_| ())
    }

    /// Records and values of all rows; those past the last given one repeat it.
    fn padded(&self, given: &Given) -> (Vec<u32>, Vec<f32>) {
        let count = given.middles.len();
        assert!((1..=self.rows).contains(&count), "{count} rows for an ascent of {}", self.rows);
        let (mut records, mut values) = (given.records.clone(), given.values.clone());
        let width = values.len() / count;
        for _ in count..self.rows {
            records.extend_from_within((count - 1) * ROW_WORDS..count * ROW_WORDS);
            values.extend_from_within((count - 1) * width..count * width);
        }
        (records, values)
    }

    fn upload(&self, session: &mut dyn Session, parameters: &Parameters) -> Result<()> {
        let kinds = [
            ("slope.value", &parameters.slopes),
            ("multiplier.value", &parameters.multipliers),
            ("split", &parameters.splits),
        ];
        for (what, layers) in kinds {
            for (number, values) in layers.iter().enumerate() {
                let Some(extent) = self.extents[number] else { continue };
                let (n, all) = (extent.elements(), extent.elements() * self.rows);
                assert!(values.len().is_multiple_of(n) && values.len() <= all, "rows of {n} elements");
                let mut values = Cow::Borrowed(values);
                if values.len() < all {
                    values.to_mut().resize(all, 0.0);
                }
                write_state_f32(session, &self.name(what, number), &values)?;
            }
        }
        session.run(self.begin, &[])
    }

    async fn download(&self, session: &mut dyn Session, parameters: &mut Parameters) -> Result<()> {
        for (kind, values) in [("slope", &mut parameters.slopes), ("multiplier", &mut parameters.multipliers)] {
            for (number, values) in values.iter_mut().enumerate() {
                if self.extents[number].is_none() {
                    continue;
                }
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
