//! The proof of a certificate.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Certificate, MOST_DEPTH, Part, Tree};
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{Leaf, Objective, Prover, Region, Slopes, Split};
use crate::certify::property::Constraint;
use crate::error::{Error, Result};

/// Leaves that are bounded in one go.
const BATCH: usize = 256;

/// What a check came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The claim holds for real arithmetic.
    Proved {
        /// Least bound of a leaf, for weights that sum to 1; ∞ if all parts of the box are empty.
        margin: f64,
        /// Number of leaves.
        leaves: usize,
    },
    /// A leaf does not prove its case. The claim may hold or not.
    Failed {
        /// Clause.
        clause: usize,
        /// The case: splits from the root.
        path: Vec<Split>,
        /// What could be proved, instead of a number above 0.
        bound: f64,
        /// The same in words.
        reason: String,
    },
}

/// A network made ready to check certificates about it.
#[derive(Debug)]
pub struct Checker {
    prover: Arc<Prover>,
    digest: String,
}

/// [`Checker::check`] of a single certificate.
///
/// # Errors
/// As [`Checker::check`].
pub fn check(certificate: &Certificate, network: &ReluNetwork) -> Result<Verdict> {
    Checker::new(network)?.check(certificate)
}

impl Checker {
    /// Lays out `network`.
    ///
    /// # Errors
    /// As [`Prover::new`].
    pub fn new(network: &ReluNetwork) -> Result<Checker> {
        Ok(Checker { prover: Arc::new(Prover::new(network)?), digest: network.digest() })
    }

    /// Proves the claim again, leaf by leaf.
    ///
    /// # Errors
    /// [`Error::Config`] for a certificate that is none: about another network, or with parts or numbers that prove nothing.
    pub fn check(&self, certificate: &Certificate) -> Result<Verdict> {
        let prover = &self.prover;
        if certificate.network != self.digest {
            let (of, this) = (short(&certificate.network), short(&self.digest));
            return Err(Error::Config(format!("a certificate of network {of}…; this one is {this}…")));
        }
        let property = &certificate.property;
        property.check(prover.inputs(), prover.outputs())?;
        let (clauses, trees) = (property.clauses.len(), certificate.trees.len());
        if clauses == 0 || clauses != trees {
            return Err(Error::Config(format!(
                "{trees} trees for {clauses} clauses: expected one for each of at least one"
            )));
        }
        let slopes = Arc::new(Slopes::new(prover, certificate.slopes.clone())?);
        // All that can be wrong with the trees before the first pass.
        for (clause, tree) in certificate.trees.iter().enumerate() {
            let constraints = property.clauses[clause].len();
            let look = |event: Event<'_>, path: &[Split]| match event {
                Event::Leaf(case) => case.validate(prover, &slopes, constraints, path).map(|()| true),
                _ => Ok(true),
            };
            walk(tree, look).map_err(|e| Error::Config(format!("clause {clause}, {e}")))?;
        }
        let derivation = certificate.derivation.clone();
        let root = Arc::new(Region::new(prover, &property.lower, &property.upper, &slopes, derivation)?);
        let (mut margin, mut leaves) = (f64::INFINITY, 0);
        for (clause, tree) in certificate.trees.iter().enumerate() {
            let constraints = &property.clauses[clause];
            let mut proof = Proof::new(clause, constraints, &root);
            walk(tree, |event, path| proof.step(event, path))?;
            proof.flush()?;
            if let Some(failed) = proof.failed {
                return Ok(failed);
            }
            margin = margin.min(proof.margin);
            leaves += tree.leaves();
        }
        Ok(Verdict::Proved { margin, leaves })
    }
}

/// The beginning of a digest, enough to tell two apart.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// What a path goes through.
enum Choice {
    Split {
        /// Whether this is the case ≤ 0.
        second: bool,
    },
    Refine,
}

/// What a leaf says.
#[derive(Clone, Copy)]
struct Case<'a> {
    weights: &'a [f32],
    slopes: Option<&'a [f32]>,
    multipliers: &'a [f32],
}

impl Case<'_> {
    fn validate(&self, prover: &Prover, slopes: &Slopes, constraints: usize, path: &[Split]) -> Result<()> {
        let weights = self.weights.len();
        if weights != constraints {
            return Err(Error::Config(format!("{weights} weights: expected {constraints}, one for each constraint")));
        }
        if let Some(weight) = self.weights.iter().find(|weight| !(**weight >= 0.0 && weight.is_finite())) {
            return Err(Error::Config(format!("a weight of {weight}: expected a finite number from 0")));
        }
        let (multipliers, splits) = (self.multipliers.len(), path.len());
        if multipliers != splits {
            return Err(Error::Config(format!("{multipliers} multipliers: expected one for each of {splits} splits")));
        }
        Leaf { slopes: self.slopes, splits: path, multipliers: self.multipliers }.validate(prover, slopes)
    }
}

/// What comes along on the way through a tree.
enum Event<'a> {
    Leaf(Case<'a>),
    /// A refinement begins here.
    Refine,
    /// The subtree of the last refinement that had not ended has ended.
    Refined,
}

/// Goes through a tree in preorder, without recursion, until `on` says `false`; it gets the splits that lead there too.
fn walk<'a>(tree: &'a Tree, mut on: impl FnMut(Event<'a>, &[Split]) -> Result<bool>) -> Result<()> {
    let wrong = |at: usize, message: String| Error::Config(format!("part {at} of the tree: {message}"));
    let (mut choices, mut path, mut split) = (Vec::<Choice>::new(), Vec::<Split>::new(), HashSet::new());
    let mut complete = false;
    for (at, part) in tree.parts.iter().enumerate() {
        if complete {
            return Err(wrong(at, "more parts than the tree has room for".into()));
        }
        if choices.len() > MOST_DEPTH {
            return Err(wrong(at, format!("deeper than {MOST_DEPTH}")));
        }
        match part {
            &Part::Split { layer, neuron } => {
                if !split.insert((layer, neuron)) {
                    let message = format!("neuron {neuron} of ReLU layer {layer} is split twice on a path");
                    return Err(wrong(at, message));
                }
                choices.push(Choice::Split { second: false });
                path.push(Split { layer, neuron, active: true });
            }
            Part::Refine => {
                choices.push(Choice::Refine);
                if !on(Event::Refine, &path)? {
                    return Ok(());
                }
            }
            Part::Leaf { weights, slopes, multipliers } => {
                let case = Case { weights, slopes: slopes.as_deref(), multipliers };
                if !on(Event::Leaf(case), &path).map_err(|e| wrong(at, e.to_string()))? {
                    return Ok(());
                }
                complete = true;
                while let Some(choice) = choices.pop() {
                    match choice {
                        Choice::Refine if !on(Event::Refined, &path)? => return Ok(()),
                        Choice::Refine => {}
                        Choice::Split { second: false } => {
                            choices.push(Choice::Split { second: true });
                            path.last_mut().expect("a choice's split").active = false;
                            complete = false;
                            break;
                        }
                        Choice::Split { second: true } => {
                            let done = path.pop().expect("a choice's split");
                            split.remove(&(done.layer, done.neuron));
                        }
                    }
                }
            }
        }
    }
    match complete {
        true => Ok(()),
        false => Err(wrong(tree.parts.len(), "a leaf is missing".into())),
    }
}

/// The proof of one clause.
struct Proof<'a> {
    clause: usize,
    constraints: &'a [Constraint],
    /// The region of each refinement that has not ended, the root's first; `None`: it holds no point.
    regions: Vec<Option<Arc<Region>>>,
    /// Leaves of the last region that have not been bounded.
    waiting: Vec<(Case<'a>, Vec<Split>)>,
    margin: f64,
    failed: Option<Verdict>,
}

impl<'a> Proof<'a> {
    fn new(clause: usize, constraints: &'a [Constraint], root: &Arc<Region>) -> Proof<'a> {
        let regions = vec![Some(Arc::clone(root))];
        Proof { clause, constraints, regions, waiting: Vec::new(), margin: f64::INFINITY, failed: None }
    }

    fn region(&self) -> Option<&Arc<Region>> {
        self.regions.last().expect("the root's region").as_ref()
    }

    /// `false` if a leaf failed.
    fn step(&mut self, event: Event<'a>, path: &[Split]) -> Result<bool> {
        match event {
            Event::Leaf(case) => {
                if self.region().is_some() {
                    self.waiting.push((case, path.to_vec()));
                }
                if self.waiting.len() >= BATCH {
                    self.flush()?;
                }
            }
            Event::Refine => {
                self.flush()?;
                let refined = match self.region() {
                    Some(region) if self.failed.is_none() => region.refine(path)?.map(Arc::new),
                    _ => None,
                };
                self.regions.push(refined);
            }
            Event::Refined => {
                self.flush()?;
                self.regions.pop();
            }
        }
        Ok(self.failed.is_none())
    }

    /// Bounds what waits, all in the last region.
    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(region) = self.region().filter(|_| !waiting.is_empty()) else { return Ok(()) };
        let objective = |(case, _): &(Case<'_>, Vec<Split>)| {
            let weights = case.weights.iter().map(|&weight| f64::from(weight));
            let parts: Vec<(f64, &Constraint)> = weights.zip(self.constraints).collect();
            Objective::combination(region.prover().outputs(), &parts)
        };
        let objectives: Vec<Objective> = waiting.iter().map(objective).collect();
        let mut leaves = Vec::with_capacity(waiting.len());
        for (case, path) in &waiting {
            leaves.push(Leaf { slopes: case.slopes, splits: path, multipliers: case.multipliers });
        }
        let bounds = region.lower_bounds(&objectives, &leaves)?;
        for ((case, path), bound) in waiting.into_iter().zip(bounds) {
            // NaN proves nothing.
            if bound > 0.0 {
                let weight: f64 = case.weights.iter().map(|&weight| f64::from(weight)).sum();
                if weight > 0.0 {
                    self.margin = self.margin.min(bound / weight);
                }
                continue;
            }
            let reason = format!("clause {}, {}: proved ≥ {bound:.6}, needed > 0", self.clause, place(&path));
            self.failed = Some(Verdict::Failed { clause: self.clause, path, bound, reason });
            break;
        }
        Ok(())
    }
}

/// A leaf's path in words.
fn place(path: &[Split]) -> String {
    if path.is_empty() {
        return "its only leaf".into();
    }
    let step = |split: &Split| format!("{}:{}{}", split.layer, split.neuron, if split.active { "+" } else { "-" });
    format!("leaf {}", path.iter().map(step).collect::<Vec<_>>().join(" "))
}
