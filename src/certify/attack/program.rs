//! The programs of an attack on a fixed number of rows: start, step, and APGD's decision between steps.
//!
//! What goes from step to step is in states. A step first moves by the gradient that the step before has left (none at the
//! start), then looks at where it came to; so N + 1 runs are N steps.

use super::objective::{Valued, objective};
use super::spec::{AttackSpec, Method};
use crate::certify::network::ReluNetwork;
use crate::device::{Program, Session};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::ops::{self, Distribution};
use crate::shape::TensorType;

/// u32 `[4]`: what the starts are drawn from.
const KEY: &str = "key";
/// `[1]`: 0 starts in the middle, 1 anywhere.
const AMPLITUDE: &str = "amplitude";
/// `[1]`: length of PGD's step; share of a step that APGD takes, the rest is the step before once more.
const SIZE: &str = "size";
const MOMENTUM: &str = "momentum";
/// `[1]`: steps that must have gone up.
const THRESHOLD: &str = "threshold";

/// Above every margin, below every objective if negative.
const UNSEEN: f32 = f32::MAX;

/// The programs.
pub(super) struct Programs {
    begin: Program,
    step: Program,
    decide: Option<Program>,
    tag: String,
}

/// A graph under construction and the extents of its rows.
struct Build<'a> {
    g: Graph,
    network: &'a ReluNetwork,
    spec: &'a AttackSpec,
    tag: &'a str,
    rows: usize,
    /// `[R,…input]`.
    points: TensorType,
}

fn name(tag: &str, what: &str) -> String {
    format!("attack/{tag}/{what}")
}

impl Programs {
    /// Compiles them for `rows` rows of clauses of `constraints` constraints. All states of the same extents are shared: a start
    /// sets those that a run needs, but for the box and what the rows are about.
    pub(super) fn new(
        session: &mut dyn Session,
        network: &ReluNetwork,
        spec: &AttackSpec,
        rows: usize,
        constraints: usize,
    ) -> Result<Programs> {
        let dims: Vec<usize> = std::iter::once(rows).chain(network.input().dims().iter().copied()).collect();
        let extents: Vec<String> = dims.iter().chain([&network.outputs()]).map(usize::to_string).collect();
        let tag = extents.join("x");
        let points = TensorType::f32(dims);
        let build = || Build { g: Graph::new(), network, spec, tag: &tag, rows, points: points.clone() };
        let begin = session.compile(&build().begin()?)?;
        let step = session.compile(&build().step(constraints)?)?;
        let decide = match spec.method {
            Method::Apgd => Some(session.compile(&build().decide()?)?),
            Method::Pgd { .. } => None,
        };
        Ok(Programs { begin, step, decide, tag })
    }

    /// Name of a state in the session.
    pub(super) fn state(&self, what: &str) -> String {
        name(&self.tag, what)
    }

    /// Queues a start.
    pub(super) fn begin(&self, session: &mut dyn Session, key: [u32; 4], from_middle: bool) -> Result<()> {
        let amplitude = [if from_middle { 0.0f32 } else { 1.0 }];
        session.run(self.begin, &[(KEY, bytemuck::cast_slice(&key)), (AMPLITUDE, bytemuck::cast_slice(&amplitude))])
    }

    /// Queues the look at the start (`None`) or step `i`, and APGD's decision after it if it is time.
    pub(super) fn step(&self, session: &mut dyn Session, spec: &AttackSpec, i: Option<usize>) -> Result<()> {
        match spec.method {
            Method::Pgd { .. } => {
                let size = [i.map_or(0.0, |i| spec.length(i))];
                session.run(self.step, &[(SIZE, bytemuck::cast_slice(&size))])?;
            }
            Method::Apgd => {
                // No step before the first one to take along.
                let share = [if i.is_some_and(|i| i > 0) { 0.75f32 } else { 1.0 }];
                let momentum = [1.0 - share[0]];
                let feeds = [(SIZE, bytemuck::cast_slice(&share)), (MOMENTUM, bytemuck::cast_slice(&momentum))];
                session.run(self.step, &feeds)?;
            }
        }
        let due = spec.checkpoints().into_iter().find(|&(at, _)| i.is_some_and(|i| i + 1 == at));
        if let (Some(decide), Some((_, threshold))) = (self.decide, due) {
            session.run(decide, &[(THRESHOLD, bytemuck::cast_slice(&[threshold]))])?;
        }
        Ok(())
    }

    /// Frees them.
    pub(super) fn release(self, session: &mut dyn Session) {
        [Some(self.begin), Some(self.step), self.decide].into_iter().flatten().for_each(|p| session.release(p));
    }
}

impl Build<'_> {
    /// A state of a point for each row.
    fn points(&mut self, what: &str) -> Result<Value> {
        self.g.state(&name(self.tag, what), self.points.clone())
    }

    /// A state of a number for each row.
    fn numbers(&mut self, what: &str) -> Result<Value> {
        self.g.state(&name(self.tag, what), TensorType::f32([self.rows]))
    }

    fn scalar(&mut self, what: &str) -> Result<Value> {
        self.g.input(what, TensorType::f32([1]))
    }

    /// A number for each row, to be spread over its point.
    fn per_row(&mut self, v: Value) -> Result<Value> {
        let mut dims = vec![1; self.points.shape.rank()];
        dims[0] = self.rows;
        self.g.reshape(v, dims)
    }

    fn cut(&mut self, x: Value) -> Result<Value> {
        let (lower, upper) = (self.points("lower")?, self.points("upper")?);
        let raised = ops::maximum(&mut self.g, x, lower)?;
        ops::minimum(&mut self.g, raised, upper)
    }

    /// Half of lower + `sign` · upper.
    fn half(&mut self, sign: f32) -> Result<Value> {
        let (lower, upper) = (self.points("lower")?, self.points("upper")?);
        let a = ops::scale(&mut self.g, upper, 0.5)?;
        let b = ops::scale(&mut self.g, lower, 0.5 * sign)?;
        ops::add(&mut self.g, a, b)
    }

    fn assign(&mut self, state: Value, value: Value) -> Result<()> {
        ops::assign(&mut self.g, state, value)
    }

    fn begin(mut self) -> Result<Plan> {
        let key = self.g.input(KEY, TensorType::u32([4]))?;
        let amplitude = self.scalar(AMPLITUDE)?;
        let uniform = Distribution::Uniform { lower: -1.0, upper: 1.0 };
        let noise = ops::random(&mut self.g, uniform, key, 0, self.points.shape.clone())?;
        let (middle, radius) = (self.half(1.0)?, self.half(-1.0)?);
        let scaled = ops::mul(&mut self.g, noise, amplitude)?;
        let offset = ops::mul(&mut self.g, scaled, radius)?;
        let start = ops::add(&mut self.g, middle, offset)?;
        let start = self.cut(start)?;
        let none = ops::fill(&mut self.g, 0.0, self.points.shape.clone())?;
        let apgd = self.spec.method == Method::Apgd;
        let places: &[(&str, Value)] = &[("x", start), ("point", start), ("gradient", none)];
        let more = [("previous", start), ("best.x", start), ("best.gradient", none)];
        for &(what, value) in places.iter().chain(more.iter().filter(|_| apgd)) {
            let state = self.points(what)?;
            self.assign(state, value)?;
        }
        // Nothing may count as having gone up to the start.
        let numbers = [("objective", UNSEEN), ("best", -UNSEEN), ("best.before", -UNSEEN)];
        let rest = [("rises", 0.0), ("length", 2.0), ("halved", 0.0)];
        let apgd = numbers.into_iter().chain(rest).filter(|_| apgd);
        for (what, number) in std::iter::once(("least", UNSEEN)).chain(apgd) {
            let (state, value) = (self.numbers(what)?, ops::fill(&mut self.g, number, [self.rows])?);
            self.assign(state, value)?;
        }
        Plan::new(self.g)
    }

    /// Where the step goes from `x` along `gradient`.
    fn moved(&mut self, x: Value, gradient: Value) -> Result<Value> {
        let radius = self.half(-1.0)?;
        let size = self.scalar(SIZE)?;
        let sign = ops::sign(&mut self.g, gradient)?;
        let direction = ops::mul(&mut self.g, sign, radius)?;
        if self.spec.method != Method::Apgd {
            let step = ops::mul(&mut self.g, direction, size)?;
            let to = ops::add(&mut self.g, x, step)?;
            return self.cut(to);
        }
        let momentum = self.scalar(MOMENTUM)?;
        let length = self.numbers("length")?;
        let length = self.per_row(length)?;
        let step = ops::mul(&mut self.g, direction, length)?;
        let to = ops::add(&mut self.g, x, step)?;
        let to = self.cut(to)?;
        let previous = self.points("previous")?;
        let [ahead, before] = [(to, x, size), (x, previous, momentum)].map(|(a, b, share)| {
            let difference = ops::sub(&mut self.g, a, b)?;
            ops::mul(&mut self.g, difference, share)
        });
        let sum = ops::add(&mut self.g, ahead?, before?)?;
        let to = ops::add(&mut self.g, x, sum)?;
        self.cut(to)
    }

    fn step(mut self, constraints: usize) -> Result<Plan> {
        let (x, gradient) = (self.points("x")?, self.points("gradient")?);
        let to = self.moved(x, gradient)?;
        let at = self.g.detach(to);
        let logits = self.network.forward(&mut self.g, at)?;
        let tag = self.tag;
        let named = |what: &str| name(tag, what);
        let Valued { objective, margin } = objective(&mut self.g, self.spec.loss, constraints, logits, &named)?;
        let seed = ops::fill(&mut self.g, 1.0, [self.rows])?;
        let slope = match ops::gradients_from(&mut self.g, objective, seed, &[at])?[0] {
            Some(slope) => slope,
            // Outputs that do not depend on the input.
            None => ops::fill(&mut self.g, 0.0, self.points.shape.clone())?,
        };
        let apgd = self.spec.method == Method::Apgd;
        let mut updates = Vec::new();
        let (point, least) = (self.points("point")?, self.numbers("least")?);
        let closer = ops::greater(&mut self.g, least, margin)?;
        let choice = self.per_row(closer)?;
        updates.push((point, ops::select(&mut self.g, choice, to, point)?));
        updates.push((least, ops::select(&mut self.g, closer, margin, least)?));
        if apgd {
            let (before, rises) = (self.numbers("objective")?, self.numbers("rises")?);
            let rose = ops::greater(&mut self.g, objective, before)?;
            updates.push((rises, ops::add(&mut self.g, rises, rose)?));
            updates.push((before, objective));
            let best = self.numbers("best")?;
            let improved = ops::greater(&mut self.g, objective, best)?;
            updates.push((best, ops::select(&mut self.g, improved, objective, best)?));
            let choice = self.per_row(improved)?;
            for (what, value) in [("best.x", to), ("best.gradient", slope)] {
                let state = self.points(what)?;
                updates.push((state, ops::select(&mut self.g, choice, value, state)?));
            }
            updates.push((self.points("previous")?, x));
        }
        updates.push((gradient, slope));
        updates.push((x, to));
        for (state, value) in updates {
            self.assign(state, value)?;
        }
        Plan::new(self.g)
    }

    /// Halves a row's steps, and takes it back to its best point, if too few steps have gone up since the last decision, or if neither
    /// its steps nor its best have changed since.
    fn decide(mut self) -> Result<Plan> {
        let threshold = self.scalar(THRESHOLD)?;
        let (rises, best, before) = (self.numbers("rises")?, self.numbers("best")?, self.numbers("best.before")?);
        let (length, halved) = (self.numbers("length")?, self.numbers("halved")?);
        let few = ops::greater(&mut self.g, threshold, rises)?;
        let changed = ops::greater(&mut self.g, best, before)?;
        let changed = ops::maximum(&mut self.g, changed, halved)?;
        let stuck = ops::affine(&mut self.g, changed, -1.0, 1.0)?;
        let halve = ops::maximum(&mut self.g, few, stuck)?;
        let choice = self.per_row(halve)?;
        let factor = ops::affine(&mut self.g, halve, -0.5, 1.0)?;
        let mut updates = vec![(length, ops::mul(&mut self.g, length, factor)?)];
        let none = ops::fill(&mut self.g, 0.0, [self.rows])?;
        let objective = self.numbers("objective")?;
        updates.push((objective, ops::select(&mut self.g, halve, best, objective)?));
        for (what, kept) in [("x", "best.x"), ("gradient", "best.gradient")] {
            let (state, kept) = (self.points(what)?, self.points(kept)?);
            updates.push((state, ops::select(&mut self.g, choice, kept, state)?));
        }
        updates.extend([(rises, none), (halved, halve), (before, best)]);
        for (state, value) in updates {
            self.assign(state, value)?;
        }
        Plan::new(self.g)
    }
}
