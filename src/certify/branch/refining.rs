//! A search that derives the bounds of all neurons again in every domain, natively, for all clauses together.
//!
//! A split of an early neuron tightens the bounds of everything behind it. In deep networks whose last layers are loose that is worth far
//! more than many domains with the bounds of the whole box; on shallow ones it is the dearer way. So splits are made in the first
//! layer that has an unstable neuron: of those whose chords cost the open clauses most the one that is best when tried.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::last;
use super::search::{Statistics, Stopped, Task};
use super::tree::{Leaf, Trees};
use crate::certify::exact::Decider;
use crate::certify::proof::{self, Objective, Region, Split};
use crate::error::Result;

/// How far such a search has come.
pub(super) struct Refining {
    pub(super) trees: Trees,
    pub(super) statistics: Statistics,
    /// Why it cannot go on.
    pub(super) stopped: Option<Stopped>,
    /// The deepest last: so few regions are held at a time.
    waiting: Vec<Domain>,
}

/// A part of the box that is not proved.
struct Domain {
    splits: Vec<Split>,
    /// Bounds that hold there.
    region: Arc<Region>,
    open: Vec<Open>,
}

/// A clause that is not proved in a domain.
#[derive(Clone)]
struct Open {
    clause: usize,
    /// Node of its tree.
    node: usize,
    /// Best bound so far.
    lower: f32,
}

/// One of the two parts of a domain.
struct Part {
    splits: Vec<Split>,
    /// `None`: the part is empty.
    region: Option<Region>,
    /// For each open clause its leaf, or its bound.
    found: Vec<std::result::Result<Leaf, f32>>,
}

/// Both parts of a domain at one neuron.
struct Cut {
    layer: usize,
    neuron: usize,
    parts: [Part; 2],
}

/// Neurons that are tried for each domain.
const TRIED: usize = 3;

/// Domains that one thread cuts in a round: enough that none waits long, few enough that depth comes before breadth.
const AT_ONCE: usize = 4;

impl Refining {
    /// At the root.
    pub(super) fn new(task: &Task<'_>) -> Refining {
        let mut open: Vec<Open> = Vec::new();
        for root in &task.roots {
            match open.iter_mut().find(|o| o.clause == root.clause) {
                Some(known) => known.lower = known.lower.max(root.lower),
                None => open.push(Open { clause: root.clause, node: 0, lower: root.lower }),
            }
        }
        let trees = Trees::new(open.iter().map(|o| o.clause));
        let root = Domain { splits: Vec::new(), region: Arc::new(task.region.clone()), open };
        Refining { trees, statistics: Statistics::default(), stopped: None, waiting: vec![root] }
    }

    /// Clause, and least bound of any open domain.
    pub(super) fn worst(&self) -> Option<(usize, f32)> {
        let open = self.waiting.iter().flat_map(|domain| &domain.open);
        open.min_by(|a, b| a.lower.total_cmp(&b.lower)).map(|o| (o.clause, o.lower))
    }

    /// Goes on until everything is proved, it is stopped, or `until` has passed.
    pub(super) fn advance(
        &mut self,
        decider: &Decider<'_>,
        task: &Task<'_>,
        most_domains: usize,
        until: Instant,
    ) -> Result<()> {
        while self.stopped.is_none() && !self.waiting.is_empty() && Instant::now() < until {
            if self.statistics.domains >= most_domains {
                self.stopped = Some(Stopped::Domains);
                break;
            }
            let first = self.waiting.len().saturating_sub(AT_ONCE * rayon::current_num_threads());
            let domains = self.waiting.split_off(first);
            let cuts = domains.par_iter().map(|domain| domain.cut(task)).collect::<Result<Vec<_>>>()?;
            self.statistics.rounds += 1;
            for (domain, (cut, looked)) in domains.into_iter().zip(cuts) {
                self.statistics.domains += looked;
                self.statistics.refined += looked;
                match cut {
                    Some(cut) => self.take(domain.open, cut),
                    None => self.last(decider, task, domain)?,
                }
            }
        }
        Ok(())
    }

    /// Closes what is proved in the parts of a domain; the rest waits.
    fn take(&mut self, open: Vec<Open>, cut: Cut) {
        let nodes: Vec<[usize; 2]> =
            open.iter().map(|o| self.trees.of(o.clause).split(o.node, cut.layer, cut.neuron)).collect();
        for (at, part) in cut.parts.into_iter().enumerate() {
            let Part { splits, region, found } = part;
            self.statistics.depth = self.statistics.depth.max(splits.len());
            let mut left = Vec::new();
            for ((o, nodes), found) in open.iter().zip(&nodes).zip(found) {
                let node = self.trees.of(o.clause).refine(nodes[at]);
                match found {
                    Ok(leaf) => self.trees.close(o.clause, node, splits.len(), leaf),
                    Err(lower) => left.push(Open { clause: o.clause, node, lower: o.lower.max(lower) }),
                }
            }
            if let (Some(region), false) = (region, left.is_empty()) {
                self.waiting.push(Domain { splits, region: Arc::new(region), open: left });
            }
        }
    }

    /// A domain without unstable neurons.
    fn last(&mut self, decider: &Decider<'_>, task: &Task<'_>, domain: Domain) -> Result<()> {
        let Domain { splits, region, open } = domain;
        let mut left = Vec::new();
        for open in open {
            let case = last::Case { region: &region, clause: open.clause, splits: &splits, slopes: None };
            match last::decide(decider, task, &case)? {
                Ok(leaf) => self.trees.close(open.clause, open.node, splits.len(), leaf),
                Err(end) => {
                    if self.stopped.is_none() || matches!(end, Stopped::Refuted { .. }) {
                        self.stopped = Some(end);
                    }
                    left.push(open);
                }
            }
        }
        if !left.is_empty() {
            self.waiting.push(Domain { splits, region, open: left });
        }
        Ok(())
    }
}

impl Domain {
    /// The best cut, and the number of parts that were looked at for it. `None`: every neuron is split or stable.
    fn cut(&self, task: &Task<'_>) -> Result<(Option<Cut>, usize)> {
        let sides = self.candidates(task)?.into_iter().flat_map(|at| [(at, true), (at, false)]).collect::<Vec<_>>();
        let parts = sides
            .par_iter()
            .map(|&((layer, neuron), active)| self.part(task, Split { layer, neuron, active }))
            .collect::<Result<Vec<Part>>>()?;
        let looked = parts.len();
        let mut best: Option<(f64, Cut)> = None;
        let mut parts = parts.into_iter();
        for &((layer, neuron), _) in sides.iter().step_by(2) {
            let pair = [parts.next(), parts.next()].map(|part| part.expect("two of each neuron"));
            let score = pair.iter().map(Part::score).sum::<f64>();
            if best.as_ref().is_none_or(|(b, _)| score > *b) {
                best = Some((score, Cut { layer, neuron, parts: pair }));
            }
        }
        Ok((best.map(|(_, cut)| cut), looked))
    }

    /// Where to try.
    fn candidates(&self, task: &Task<'_>) -> Result<Vec<(usize, usize)>> {
        for layer in 0..self.region.prover().layers() {
            // Split neurons are stable in the region.
            let mut unstable = self.region.unstable(layer);
            if unstable.is_empty() {
                continue;
            }
            let constraints = self.open.iter().flat_map(|open| &task.property.clauses[open.clause]);
            let objectives: Vec<Objective> =
                constraints.map(|c| Objective::exact(c.coefficients.clone(), c.bound)).collect();
            let costs = &self.region.chord_costs(&objectives)?[layer];
            // Ties go to the first neuron.
            unstable.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]).then(a.cmp(&b)));
            return Ok(unstable.into_iter().take(TRIED).map(|neuron| (layer, neuron)).collect());
        }
        Ok(Vec::new())
    }

    /// Derives the bounds of a part, and what they prove.
    fn part(&self, task: &Task<'_>, split: Split) -> Result<Part> {
        let splits: Vec<Split> = self.splits.iter().copied().chain([split]).collect();
        let region = self.region.refine(&splits)?;
        let found = match &region {
            Some(region) => prove(task, region, &splits, &self.open)?,
            // Nothing has to hold where there is no point.
            None => {
                let nothing = |open: &Open| Leaf {
                    weights: vec![0.0; task.property.clauses[open.clause].len()],
                    slopes: Vec::new(),
                    multipliers: vec![0.0; splits.len()],
                    lower: f64::INFINITY,
                };
                self.open.iter().map(|open| Ok(nothing(open))).collect()
            }
        };
        Ok(Part { splits, region, found })
    }
}

impl Part {
    /// What is missing, ≤ 0.
    fn score(&self) -> f64 {
        self.found.iter().map(|found| found.as_ref().err().map_or(0.0, |&lower| f64::from(lower))).sum()
    }
}

/// For each open clause the best bound of its constraints, with the default slopes and with those of the root.
fn prove(
    task: &Task<'_>,
    region: &Region,
    splits: &[Split],
    open: &[Open],
) -> Result<Vec<std::result::Result<Leaf, f32>>> {
    let multipliers = vec![0.0; splits.len()];
    let roots = |clause: usize| task.roots.iter().filter(move |root| root.clause == clause);
    let default = proof::Leaf { slopes: None, splits, multipliers: &multipliers };
    let (mut objectives, mut leaves) = (Vec::new(), Vec::new());
    for root in open.iter().flat_map(|open| roots(open.clause)) {
        let constraint = &task.property.clauses[root.clause][root.constraint];
        let objective = Objective::exact(constraint.coefficients.clone(), constraint.bound);
        objectives.extend([objective.clone(), objective]);
        leaves.extend([default, proof::Leaf { slopes: Some(&root.slopes), ..default }]);
    }
    let lower = region.lower_bounds(&objectives, &leaves)?;
    let mut bounds = lower.iter().zip(&leaves);
    let one = |open: &Open| {
        let of_clause = roots(open.clause).flat_map(|root| [root.constraint; 2]).zip(&mut bounds);
        let best = of_clause.max_by(|(_, a), (_, b)| a.0.total_cmp(b.0));
        let (constraint, (&lower, leaf)) = best.expect("an open clause has a root");
        match lower > 0.0 {
            true => Ok(Leaf {
                weights: Leaf::only(constraint, task.property.clauses[open.clause].len()),
                slopes: leaf.slopes.unwrap_or_default().to_vec(),
                multipliers: multipliers.clone(),
                lower,
            }),
            false => Err(lower as f32),
        }
    };
    Ok(open.iter().map(one).collect())
}
