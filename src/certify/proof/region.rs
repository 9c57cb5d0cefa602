//! Networks over a box, with sound bounds of every node.

use std::sync::Arc;

use super::backward::{self, Reach};
use super::forward;
use super::objective::{Leaf, Objective, Side, Slopes, Split, Start};
use super::prover::{Prover, Step};
use super::rounding::{UNDERFLOW, UNIT};
use crate::error::{Error, Result};

/// Ends of each element, `[H,W,C]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
}

impl Bounds {
    /// Both hold. `false` if they exclude each other: there is no such point.
    fn intersect(&mut self, other: &Bounds) -> bool {
        self.lower.iter_mut().zip(&other.lower).for_each(|(l, o)| *l = l.max(*o));
        self.upper.iter_mut().zip(&other.upper).for_each(|(u, o)| *u = u.min(*o));
        self.not_empty()
    }

    fn not_empty(&self) -> bool {
        self.lower.iter().zip(&self.upper).all(|(l, u)| l <= u)
    }

    /// Σ max(|l|, |u|).
    fn size(&self) -> f64 {
        self.lower.iter().zip(&self.upper).map(|(l, u)| l.abs().max(u.abs())).sum()
    }
}

/// K of an affine map's outputs: for each element, and the largest of each channel.
#[derive(Debug)]
pub(super) struct Errors {
    pub(super) each: Vec<f64>,
    pub(super) channel: Vec<f64>,
}

/// Lines below and above the ReLU of each neuron over its bounds: lower · z ≤ relu(z) ≤ upper · z + intercept.
#[derive(Debug, Default)]
pub(super) struct Relaxation {
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    pub(super) intercept: Vec<f64>,
    /// u · max(|z|) where a slope is neither 0 nor 1, so that A · slope is rounded; 0 marks a stable neuron.
    pub(super) rounding: Vec<f64>,
}

impl Relaxation {
    fn of(bounds: &Bounds) -> Relaxation {
        let mut lines = Relaxation::default();
        for (&l, &u) in bounds.lower.iter().zip(&bounds.upper) {
            let (lower, upper, intercept, rounding) = if l >= 0.0 {
                (1.0, 1.0, 0.0, 0.0)
            } else if u <= 0.0 {
                (0.0, 0.0, 0.0, 0.0)
            } else {
                let (slope, intercept) = chord(l, u);
                // Of z, not of the line: |l| may be as small as it likes, `MIN_POSITIVE` keeps the mark.
                let rounding = (UNIT * l.abs().max(u)).max(f64::MIN_POSITIVE);
                (if u > -l { 1.0 } else { 0.0 }, slope, intercept, rounding)
            };
            lines.lower.push(lower);
            lines.upper.push(upper);
            lines.intercept.push(intercept);
            lines.rounding.push(rounding);
        }
        lines
    }

    pub(super) fn unstable(&self, element: usize) -> bool {
        self.rounding[element] > 0.0
    }
}

/// Slope and intercept of a line above the ReLU on [l, u], l < 0 < u. For any slope s in [0, 1] relu(z) − s·z is convex, so its
/// greatest value on [l, u] is at an end: −s·l at l, u − s·u at u. Each is rounded up.
fn chord(l: f64, u: f64) -> (f64, f64) {
    let slope = (u / (u - l)).clamp(0.0, 1.0);
    let at = |slope: f64| (-(slope * l)).next_up().max((u - (slope * u).next_down()).next_up());
    let intercept = at(slope);
    match slope.is_nan() || intercept.is_nan() || intercept == f64::INFINITY {
        // An end is infinite, or u − l is: relu(z) ≤ u.
        true => (0.0, u),
        false => (slope, intercept),
    }
}

/// What a node's rule needs of its operand's bounds.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    None,
    Affine(Arc<Errors>),
    Relu(Arc<Relaxation>),
}

/// How the bounds of the ReLUs' inputs are derived.
#[derive(Clone, Debug, PartialEq)]
pub enum Derivation {
    /// By interval arithmetic.
    Interval,
    /// By backward passes for the neurons that interval arithmetic leaves unstable, with slopes of their own for these starts and
    /// the default ones else.
    Crown(Vec<Start>),
    /// By backward passes alone, for every neuron, as CROWN was published (Zhang et al. 2018): for comparisons. Slower than
    /// [`Derivation::Crown`] and mostly looser.
    Backward,
}

/// A network over a box with sound bounds of every ReLU's input.
#[derive(Clone, Debug)]
pub struct Region {
    pub(super) prover: Arc<Prover>,
    derivation: Arc<Derivation>,
    pub(super) slopes: Arc<Slopes>,
    /// Bounds of each node.
    pub(super) bounds: Vec<Arc<Bounds>>,
    pub(super) rules: Vec<Rule>,
    /// What underflow can add to a whole pass.
    pub(super) underflow: f64,
}

impl Region {
    /// Derives the bounds of every ReLU's input over the box `[lower, upper]`, given in row-major order as a user feeds the network.
    ///
    /// # Errors
    /// [`Error::Config`] for a box or starts that do not fit.
    pub fn new(
        prover: &Arc<Prover>,
        lower: &[f64],
        upper: &[f64],
        slopes: &Arc<Slopes>,
        derivation: Derivation,
    ) -> Result<Region> {
        let n = prover.inputs();
        let in_order = |(l, u): (&f64, &f64)| l <= u && l.is_finite() && u.is_finite();
        if lower.len() != n || upper.len() != n || !lower.iter().zip(upper).all(in_order) {
            return Err(Error::Config(format!("a box of {} inputs: expected {n} finite ends in order", lower.len())));
        }
        if !slopes.is_of(prover) {
            return Err(Error::Config("a table of slopes of another network".into()));
        }
        if let Derivation::Crown(starts) = &derivation {
            slopes.check_starts(prover, starts)?;
        }
        let root = forward::enter(prover, lower, upper);
        let node = &prover.nodes[0];
        let root = Bounds { lower: node.stored(&root.lower), upper: node.stored(&root.upper) };
        let mut region = Region {
            prover: Arc::clone(prover),
            derivation: Arc::new(derivation),
            slopes: Arc::clone(slopes),
            bounds: vec![Arc::new(root)],
            rules: vec![Rule::None],
            underflow: 0.0,
        };
        match region.derive(None, &[]) {
            true => Ok(region),
            false => Err(Error::Config("bounds that exclude each other over a box that is not empty".into())),
        }
    }

    /// [`Region::new`] by interval arithmetic, without a table of slopes.
    ///
    /// # Errors
    /// As [`Region::new`].
    pub fn interval(prover: &Arc<Prover>, lower: &[f64], upper: &[f64]) -> Result<Region> {
        Region::new(prover, lower, upper, &Arc::new(Slopes::none(prover)), Derivation::Interval)
    }

    /// [`Region::new`] by backward passes with default slopes, without a table of slopes.
    ///
    /// # Errors
    /// As [`Region::new`].
    pub fn crown(prover: &Arc<Prover>, lower: &[f64], upper: &[f64]) -> Result<Region> {
        Region::new(prover, lower, upper, &Arc::new(Slopes::none(prover)), Derivation::Crown(Vec::new()))
    }

    /// The same bounds with another table of slopes, for leaves that give slopes.
    ///
    /// # Errors
    /// [`Error::Config`] for a table of another network, or where starts were given by the old one.
    pub fn with_slopes(&self, slopes: &Arc<Slopes>) -> Result<Region> {
        let starts = matches!(&*self.derivation, Derivation::Crown(starts) if !starts.is_empty());
        if starts || !slopes.is_of(&self.prover) {
            return Err(Error::Config("a table of slopes that the bounds were not derived with".into()));
        }
        Ok(Region { slopes: Arc::clone(slopes), ..self.clone() })
    }

    /// The bounds under `splits`, all that hold there: those of the split neurons are cut at 0, those of later layers derived again and
    /// cut with the old ones. `None` if no point of the box is left. The result holds for points that obey the splits and no others.
    ///
    /// # Errors
    /// [`Error::Config`] for a split of a neuron that does not exist.
    pub fn refine(&self, splits: &[Split]) -> Result<Option<Region>> {
        splits.iter().try_for_each(|split| split.check(&self.prover))?;
        let mut region = Region { bounds: Vec::new(), rules: Vec::new(), underflow: 0.0, ..self.clone() };
        region.bounds.push(Arc::clone(&self.bounds[0]));
        region.rules.push(Rule::None);
        Ok(region.derive(Some(self), splits).then_some(region))
    }

    /// Fills in bounds and rules from node 1 on. `false` if there is no point.
    fn derive(&mut self, old: Option<&Region>, splits: &[Split]) -> bool {
        let prover = Arc::clone(&self.prover);
        let mut changed = vec![old.is_none(); prover.nodes.len()];
        for index in 0..prover.nodes.len() {
            let node = &prover.nodes[index];
            // The bounds of a ReLU's input are final when the first ReLU of it comes.
            if let Step::Relu(layer) = node.step
                && !self.tighten(old, splits, layer, &mut changed)
            {
                return false;
            }
            if index == 0 {
                continue;
            }
            changed[index] = node.inputs.iter().any(|&input| changed[input]);
            if let Some(old) = old.filter(|_| !changed[index]) {
                self.bounds.push(Arc::clone(&old.bounds[index]));
                self.rules.push(old.rules[index].clone());
                continue;
            }
            let below = &self.bounds[node.inputs[0]];
            let (mut bounds, rule) = match &node.step {
                Step::Input => unreachable!("node 0 alone is the input"),
                Step::Affine(affine) => {
                    let (bounds, errors) = forward::affine(&prover, affine, below);
                    (bounds, Rule::Affine(Arc::new(errors)))
                }
                Step::Relu(_) => (forward::relu(below), Rule::Relu(Arc::new(Relaxation::of(below)))),
                Step::Add => (forward::add(below, &self.bounds[node.inputs[1]]), Rule::None),
            };
            if old.is_some_and(|old| !bounds.intersect(&old.bounds[index])) {
                return false;
            }
            self.bounds.push(Arc::new(bounds));
            self.rules.push(rule);
        }
        let size: f64 = self.bounds.iter().map(|bounds| bounds.size() + 1.0).sum();
        self.underflow = UNDERFLOW * size;
        true
    }

    /// Cuts the bounds of the inputs of ReLU layer `layer` by the splits and by backward passes.
    fn tighten(&mut self, old: Option<&Region>, splits: &[Split], layer: usize, changed: &mut [bool]) -> bool {
        let prover = Arc::clone(&self.prover);
        let node = prover.before(layer);
        // An input or another ReLU's output is as tight as it gets, and so is what an earlier layer has as its input too.
        let first = (0..layer).all(|earlier| prover.before(earlier) != node);
        let affected = first && changed[node] && !matches!(prover.nodes[node].step, Step::Input | Step::Relu(_));
        let mut bounds = (*self.bounds[node]).clone();
        for split in splits.iter().filter(|split| prover.before(split.layer) == node) {
            let element = prover.nodes[node].element(split.neuron);
            let (lower, upper) = (&mut bounds.lower[element], &mut bounds.upper[element]);
            match split.active {
                true => *lower = lower.max(0.0),
                false => *upper = upper.min(0.0),
            }
        }
        if old.is_some_and(|_| !bounds.not_empty()) {
            return false;
        }
        if bounds != *self.bounds[node] {
            changed[node] = true;
            self.bounds[node] = Arc::new(bounds);
        }
        let derivation = Arc::clone(&self.derivation);
        let starts: &[Start] = match &*derivation {
            Derivation::Crown(starts) if affected => starts,
            Derivation::Backward if affected => &[],
            _ => return true,
        };
        let all = *derivation == Derivation::Backward;
        let Some(mut crown) = self.backward_bounds(layer, starts, all) else { return true };
        if (!all || old.is_some()) && !crown.intersect(&self.bounds[node]) {
            return false;
        }
        self.bounds[node] = Arc::new(crown);
        true
    }

    /// Bounds of the unstable inputs of `layer`, or of all, by backward passes; ±∞ for the others. `None` if there are none.
    fn backward_bounds(&self, layer: usize, starts: &[Start], all: bool) -> Option<Bounds> {
        let node = self.prover.before(layer);
        let place = &self.prover.nodes[node];
        let known = &self.bounds[node];
        let unstable = |&neuron: &usize| {
            let element = place.element(neuron);
            all || known.lower[element] < 0.0 && known.upper[element] > 0.0
        };
        let neurons: Vec<usize> = (0..place.elements()).filter(unstable).collect();
        if neurons.is_empty() {
            return None;
        }
        let both = |neuron: usize| [(neuron, Side::Lower), (neuron, Side::Upper)];
        let rows: Vec<(usize, Side)> = neurons.into_iter().flat_map(both).collect();
        let lower = backward::single(self, layer, &rows, starts);
        let n = place.elements();
        let mut bounds = Bounds { lower: vec![f64::NEG_INFINITY; n], upper: vec![f64::INFINITY; n] };
        for (&(neuron, side), bound) in rows.iter().zip(lower) {
            let element = place.element(neuron);
            match side {
                Side::Lower => bounds.lower[element] = bound,
                Side::Upper => bounds.upper[element] = -bound,
            }
        }
        Some(bounds)
    }

    /// Lower bound of each objective over the points that obey its leaf's splits (and this region's, if it was refined).
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that prove nothing: slopes outside [0, 1], negative multipliers, splits of no neuron.
    pub fn lower_bounds(&self, objectives: &[Objective], leaves: &[Leaf<'_>]) -> Result<Vec<f64>> {
        self.passes(objectives, leaves, true)
    }

    /// [`Region::lower_bounds`] without the error terms: what plain f64 arithmetic would claim. Proves nothing; the difference is
    /// what rounding may cost.
    ///
    /// # Errors
    /// As [`Region::lower_bounds`].
    pub fn estimates(&self, objectives: &[Objective], leaves: &[Leaf<'_>]) -> Result<Vec<f64>> {
        self.passes(objectives, leaves, false)
    }

    fn passes(&self, objectives: &[Objective], leaves: &[Leaf<'_>], rigorous: bool) -> Result<Vec<f64>> {
        if objectives.len() != leaves.len() {
            let (n, m) = (objectives.len(), leaves.len());
            return Err(Error::Config(format!("{n} objectives and {m} leaves: expected one for each")));
        }
        objectives.iter().try_for_each(|objective| objective.check(&self.prover))?;
        leaves.iter().try_for_each(|leaf| leaf.validate(&self.prover, &self.slopes))?;
        // As published, CROWN knows no interval bounds.
        let reach = if *self.derivation == Derivation::Backward { Reach::Box } else { Reach::Either };
        Ok(backward::objectives(self, objectives, leaves, reach, rigorous))
    }

    /// Lower bound of each objective by the interval bounds of what enters the last affine map.
    ///
    /// # Errors
    /// [`Error::Config`] for objectives that do not fit.
    pub fn interval_lower_bounds(&self, objectives: &[Objective]) -> Result<Vec<f64>> {
        objectives.iter().try_for_each(|objective| objective.check(&self.prover))?;
        let leaves = vec![Leaf::default(); objectives.len()];
        Ok(backward::objectives(self, objectives, &leaves, Reach::Interval, true))
    }

    /// How much the upper lines of unstable neurons cost `objectives` in all, with the default slopes: for each ReLU layer
    /// Σ max(−A, 0) · intercept in row-major order, A an objective's coefficient at the ReLU's output. Says where to split, proves nothing.
    ///
    /// # Errors
    /// [`Error::Config`] for objectives that do not fit.
    pub fn chord_costs(&self, objectives: &[Objective]) -> Result<Vec<Vec<f64>>> {
        objectives.iter().try_for_each(|objective| objective.check(&self.prover))?;
        let stored = backward::chord_costs(self, objectives);
        let node = |layer: usize| &self.prover.nodes[self.prover.relus[layer]];
        Ok(stored.iter().enumerate().map(|(layer, costs)| node(layer).row_major(costs)).collect())
    }

    /// Bounds of the inputs of ReLU layer `layer`, in row-major order.
    pub fn bounds(&self, layer: usize) -> (Vec<f64>, Vec<f64>) {
        self.node_bounds(self.prover.before(layer))
    }

    /// Bounds of the outputs by the last step of interval arithmetic.
    pub fn outputs(&self) -> (Vec<f64>, Vec<f64>) {
        self.node_bounds(self.prover.nodes.len() - 1)
    }

    fn node_bounds(&self, node: usize) -> (Vec<f64>, Vec<f64>) {
        let (bounds, node) = (&self.bounds[node], &self.prover.nodes[node]);
        (node.row_major(&bounds.lower), node.row_major(&bounds.upper))
    }

    /// Neurons of ReLU layer `layer` that may be on either side of 0.
    pub fn unstable(&self, layer: usize) -> Vec<usize> {
        let node = self.prover.before(layer);
        let (bounds, place) = (&self.bounds[node], &self.prover.nodes[node]);
        let both = |&neuron: &usize| {
            let element = place.element(neuron);
            bounds.lower[element] < 0.0 && bounds.upper[element] > 0.0
        };
        (0..place.elements()).filter(both).collect()
    }

    /// The network.
    pub fn prover(&self) -> &Arc<Prover> {
        &self.prover
    }
}
