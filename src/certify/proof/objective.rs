//! What devices propose: objectives, slopes of lower lines, splits of neurons and their multipliers.

use super::prover::Prover;
use super::rounding::{INFLATE, UNDERFLOW, UNIT, gamma};
use crate::certify::property::Constraint;
use crate::error::{Error, Result};

/// coefficients · y − bound, to be bounded from below.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub(super) coefficients: Vec<f64>,
    /// Bound of |real − coefficient|, for each; empty: 0.
    pub(super) errors: Vec<f64>,
    pub(super) bound: f64,
}

impl Objective {
    /// These very numbers.
    pub fn exact(coefficients: Vec<f64>, bound: f64) -> Objective {
        Objective { coefficients, errors: Vec::new(), bound }
    }

    /// Σ weight · (coefficients · y − bound) over constraints on `outputs` outputs. With weights ≥ 0 a lower bound above 0 says that
    /// no point makes all of the constraints true.
    ///
    /// The sum of n products is off by γ_{n+1} Σ |weight · coefficient|; the bounds' sum is rounded up by as much.
    pub fn combination(outputs: usize, parts: &[(f64, &Constraint)]) -> Objective {
        let used: Vec<_> = parts.iter().filter(|(weight, _)| *weight != 0.0).collect();
        if let [(1.0, only)] = used[..] {
            return Objective::exact(only.coefficients.clone(), only.bound);
        }
        let factor = gamma(used.len());
        let sum = |of: &dyn Fn(&Constraint) -> f64| {
            let terms = used.iter().map(|(weight, constraint)| weight * of(constraint));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        let (mut coefficients, mut errors) = (Vec::with_capacity(outputs), Vec::with_capacity(outputs));
        for k in 0..outputs {
            let (value, size) = sum(&|constraint| constraint.coefficients[k]);
            coefficients.push(value);
            errors.push(if used.is_empty() { 0.0 } else { INFLATE * factor * size + UNDERFLOW });
        }
        let (bound, size) = sum(&|constraint| constraint.bound);
        let bound = if used.is_empty() { 0.0 } else { bound + (INFLATE * (factor + UNIT) * size + UNDERFLOW) };
        Objective { coefficients, errors, bound: bound.next_up() }
    }

    pub(super) fn check(&self, prover: &Prover) -> Result<()> {
        let (n, outputs) = (self.coefficients.len(), prover.outputs());
        let numbers = self.coefficients.iter().chain(&self.errors).chain([&self.bound]);
        if n != outputs
            || !(self.errors.is_empty() || self.errors.len() == n)
            || numbers.into_iter().any(|v| v.is_nan())
        {
            return Err(Error::Config(format!("an objective on {n} outputs: expected numbers for {outputs}")));
        }
        Ok(())
    }
}

/// The claim that a neuron's ReLU has a positive input, or a negative one; 0 counts as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Split {
    /// ReLU layer.
    pub layer: usize,
    /// Neuron in row-major order.
    pub neuron: usize,
    /// Whether the input is ≥ 0; else it is ≤ 0.
    pub active: bool,
}

impl Split {
    pub(super) fn check(&self, prover: &Prover) -> Result<()> {
        neuron_exists(prover, self.layer, self.neuron)
    }
}

fn neuron_exists(prover: &Prover, layer: usize, neuron: usize) -> Result<()> {
    if layer >= prover.layers() {
        let layers = prover.layers();
        return Err(Error::Config(format!("ReLU layer {layer}: the network has {layers}")));
    }
    let neurons = prover.neurons(layer);
    if neuron >= neurons {
        return Err(Error::Config(format!("neuron {neuron} of ReLU layer {layer}: the layer has {neurons}")));
    }
    Ok(())
}

/// One end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The lower one.
    Lower,
    /// The upper one.
    Upper,
}

/// The neurons whose lower lines may be given slopes.
#[derive(Debug)]
pub struct Slopes {
    entries: Vec<(usize, usize)>,
    /// Place in `entries` of each stored element of each ReLU layer, `u32::MAX` for none; empty for a layer without any.
    pub(super) places: Vec<Vec<u32>>,
    neurons: Vec<usize>,
}

impl Slopes {
    /// A table of no neurons.
    pub fn none(prover: &Prover) -> Slopes {
        let neurons: Vec<usize> = (0..prover.layers()).map(|layer| prover.neurons(layer)).collect();
        Slopes { entries: Vec::new(), places: vec![Vec::new(); neurons.len()], neurons }
    }

    /// A table of (ReLU layer, neuron), in ascending order and without repetition.
    ///
    /// # Errors
    /// [`Error::Config`] for another order or neurons that do not exist.
    pub fn new(prover: &Prover, entries: Vec<(usize, usize)>) -> Result<Slopes> {
        if let Some(pair) = entries.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::Config(format!(
                "table of slopes: {:?} before {:?}: expected ascending",
                pair[0], pair[1]
            )));
        }
        let mut slopes = Slopes::none(prover);
        for (place, &(layer, neuron)) in entries.iter().enumerate() {
            neuron_exists(prover, layer, neuron)?;
            let places = &mut slopes.places[layer];
            if places.is_empty() {
                places.resize(prover.neurons(layer), u32::MAX);
            }
            places[prover.nodes[prover.relus[layer]].element(neuron)] = place as u32;
        }
        slopes.entries = entries;
        Ok(slopes)
    }

    /// The neurons: (ReLU layer, neuron).
    pub fn entries(&self) -> &[(usize, usize)] {
        &self.entries
    }

    /// Entries of ReLU layers before `layer`: the first so many of the table.
    pub fn before(&self, layer: usize) -> usize {
        self.entries.partition_point(|entry| entry.0 < layer)
    }

    pub(super) fn is_of(&self, prover: &Prover) -> bool {
        (0..prover.layers()).map(|layer| prover.neurons(layer)).eq(self.neurons.iter().copied())
    }

    pub(super) fn check_starts(&self, prover: &Prover, starts: &[Start]) -> Result<()> {
        if let Some(pair) = starts.windows(2).find(|pair| pair[0].key() >= pair[1].key()) {
            let [a, b] = [pair[0].key(), pair[1].key()];
            return Err(Error::Config(format!("starts: {a:?} before {b:?}: expected ascending")));
        }
        for start in starts {
            neuron_exists(prover, start.layer, start.neuron)?;
            in_unit(&start.slopes, self.before(start.layer))?;
        }
        Ok(())
    }
}

/// Refuses slopes that are not `count` numbers of [0, 1].
fn in_unit(slopes: &[f32], count: usize) -> Result<()> {
    if slopes.len() != count {
        return Err(Error::Config(format!("{} slopes: expected {count}", slopes.len())));
    }
    match slopes.iter().find(|slope| !(0.0..=1.0).contains(*slope)) {
        Some(slope) => Err(Error::Config(format!("a slope of {slope}: expected 0 to 1"))),
        None => Ok(()),
    }
}

/// Slopes of its own for the backward pass that bounds one neuron's input from one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// ReLU layer.
    pub layer: usize,
    /// Neuron in row-major order.
    pub neuron: usize,
    /// Which end.
    pub side: Side,
    /// One slope for each entry of the table of earlier layers ([`Slopes::before`]).
    pub slopes: Vec<f32>,
}

impl Start {
    pub(super) fn key(&self) -> (usize, usize, Side) {
        (self.layer, self.neuron, self.side)
    }
}

/// How the objective is bounded on a part of the region.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaf<'a> {
    /// Slopes of lower lines, one for each entry of the table; `None`: the default ones.
    pub slopes: Option<&'a [f32]>,
    /// Which part.
    pub splits: &'a [Split],
    /// Lagrangian multipliers, one for each split; empty: all 0.
    pub multipliers: &'a [f32],
}

impl Leaf<'_> {
    /// Refuses what proves nothing: slopes outside [0, 1], negative multipliers, splits of no neuron or of one neuron twice.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self, prover: &Prover, slopes: &Slopes) -> Result<()> {
        if let Some(given) = self.slopes {
            in_unit(given, slopes.entries.len())?;
        }
        let (splits, multipliers) = (self.splits.len(), self.multipliers.len());
        if multipliers != splits && multipliers != 0 {
            return Err(Error::Config(format!("{multipliers} multipliers: expected one for each of {splits} splits")));
        }
        if let Some(beta) = self.multipliers.iter().find(|beta| !(**beta >= 0.0 && beta.is_finite())) {
            return Err(Error::Config(format!("a multiplier of {beta}: expected a finite number from 0")));
        }
        self.splits.iter().try_for_each(|split| split.check(prover))?;
        let mut neurons: Vec<(usize, usize)> = self.splits.iter().map(|split| (split.layer, split.neuron)).collect();
        neurons.sort_unstable();
        if let Some(&[(layer, neuron), _]) = neurons.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Config(format!("neuron {neuron} of ReLU layer {layer} is split twice")));
        }
        Ok(())
    }
}
