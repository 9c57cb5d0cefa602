//! A search with the bounds of the whole box: domains are bounded by ascents on the device, many at once, clause by clause.

use std::collections::BinaryHeap;
use std::time::Instant;

use super::bounder::Bounder;
use super::domain::{Domain, Root};
use super::last;
use super::search::{Statistics, Stopped, Task};
use super::tree::{Leaf, Trees};
use crate::certify::exact::Decider;
use crate::certify::proof::{self, Split};
use crate::device::Session;
use crate::error::Result;

/// How far such a search has come.
pub(super) struct Fixed {
    pub(super) trees: Trees,
    pub(super) statistics: Statistics,
    /// Why it cannot go on.
    pub(super) stopped: Option<Stopped>,
    fresh: Vec<Domain>,
    waiting: BinaryHeap<Waiting>,
}

/// A domain waits by its bound: the worst comes first.
struct Waiting(Domain);

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        // The greatest leaves the heap first; ties by place, so that a search has one course.
        let key = |w: &Waiting| (w.0.clause, w.0.node);
        other.0.lower.total_cmp(&self.0.lower).then(key(other).cmp(&key(self)))
    }
}

impl Fixed {
    /// Before the first bound.
    pub(super) fn new(task: &Task<'_>) -> Fixed {
        // Of several constraints of a clause the one with the best bound is proved.
        let mut roots: Vec<&Root> = Vec::new();
        for root in &task.roots {
            match roots.iter_mut().find(|r| r.clause == root.clause) {
                Some(best) if best.lower < root.lower => *best = root,
                Some(_) => {}
                None => roots.push(root),
            }
        }
        let domain = |root: &&Root| Domain {
            clause: root.clause,
            constraint: root.constraint,
            splits: Vec::new(),
            multipliers: Vec::new(),
            slopes: root.slopes.clone(),
            lower: root.lower,
            candidates: Vec::new(),
            node: 0,
        };
        Fixed {
            trees: Trees::new(roots.iter().map(|root| root.clause)),
            statistics: Statistics::default(),
            stopped: None,
            fresh: roots.iter().map(domain).collect(),
            waiting: BinaryHeap::new(),
        }
    }

    /// Clause, and least bound of any open domain.
    pub(super) fn worst(&self) -> Option<(usize, f32)> {
        let open = self.waiting.iter().map(|w| &w.0).chain(&self.fresh);
        open.min_by(|a, b| a.lower.total_cmp(&b.lower)).map(|d| (d.clause, d.lower))
    }

    /// Goes on until everything is proved, it is stopped, or `until` has passed.
    pub(super) async fn advance(
        &mut self,
        session: &mut dyn Session,
        bounder: &mut Bounder<'_>,
        decider: &Decider<'_>,
        task: &Task<'_>,
        until: Instant,
    ) -> Result<()> {
        loop {
            // Bound what is new, prove what can be proved, keep the rest with a choice of where to cut.
            while !self.fresh.is_empty() {
                if Instant::now() >= until {
                    return Ok(());
                }
                self.bound(session, bounder, decider, task).await?;
                if matches!(self.stopped, Some(Stopped::Refuted { .. })) {
                    return Ok(());
                }
            }
            if self.stopped.is_some() || self.waiting.is_empty() {
                return Ok(());
            }
            if self.statistics.domains >= bounder.settings.most_domains {
                self.stopped = Some(Stopped::Domains);
                return Ok(());
            }
            // Cut the worst.
            let parents = (bounder.settings.rows / 2).max(1);
            let mut parents: Vec<Domain> =
                (0..parents).map_while(|_| self.waiting.pop().map(|waiting| waiting.0)).collect();
            bounder.choose(session, task, &mut parents).await?;
            for parent in parents {
                let place = parent.candidates[0];
                let (layer, neuron) = task.neurons.table[place];
                let [active, inactive] = self.trees.of(parent.clause).split(parent.node, layer, neuron);
                self.fresh.push(parent.part(task.neurons, place, true, active));
                self.fresh.push(parent.part(task.neurons, place, false, inactive));
            }
        }
    }

    /// Bounds the next batch of new domains.
    async fn bound(
        &mut self,
        session: &mut dyn Session,
        bounder: &mut Bounder<'_>,
        decider: &Decider<'_>,
        task: &Task<'_>,
    ) -> Result<()> {
        let count = self.fresh.len().min(bounder.settings.rows);
        let mut domains: Vec<Domain> = self.fresh.drain(..count).collect();
        self.statistics.domains += domains.len();
        self.statistics.rounds += 1;
        bounder.bound(session, task, &mut domains).await?;
        let leaves = prove(task, &domains)?;
        for (domain, leaf) in domains.into_iter().zip(leaves) {
            self.statistics.depth = self.statistics.depth.max(domain.splits.len());
            if let Some(leaf) = leaf {
                self.trees.close(domain.clause, domain.node, domain.splits.len(), leaf);
                continue;
            }
            self.statistics.unconfirmed += usize::from(domain.lower > 0.0);
            if domain.candidates.is_empty() {
                let splits: Vec<Split> = domain.splits.iter().map(|(split, _)| *split).collect();
                let of = last::Case {
                    region: task.region,
                    clause: domain.clause,
                    splits: &splits,
                    slopes: Some(&domain.slopes),
                };
                match last::decide(decider, task, &of)? {
                    Ok(leaf) => {
                        self.trees.close(domain.clause, domain.node, splits.len(), leaf);
                        continue;
                    }
                    Err(end @ Stopped::Refuted { .. }) => {
                        self.stopped = Some(end);
                        return Ok(());
                    }
                    Err(end) => drop(self.stopped.get_or_insert(end)),
                }
            }
            self.waiting.push(Waiting(domain));
        }
        Ok(())
    }
}

/// For each domain the leaf, if its bound is positive and the native prover confirms that.
fn prove(task: &Task<'_>, domains: &[Domain]) -> Result<Vec<Option<Leaf>>> {
    let claimed: Vec<usize> = (0..domains.len()).filter(|&d| domains[d].lower > 0.0).collect();
    let splits: Vec<Vec<Split>> =
        claimed.iter().map(|&d| domains[d].splits.iter().map(|(split, _)| *split).collect()).collect();
    let (mut objectives, mut leaves) = (Vec::new(), Vec::new());
    for (&d, splits) in claimed.iter().zip(&splits) {
        let domain = &domains[d];
        let constraint = &task.property.clauses[domain.clause][domain.constraint];
        objectives.push(proof::Objective::exact(constraint.coefficients.clone(), constraint.bound));
        leaves.push(proof::Leaf { slopes: Some(&domain.slopes), splits, multipliers: &domain.multipliers });
    }
    let mut found = vec![None; domains.len()];
    if claimed.is_empty() {
        return Ok(found);
    }
    for (&d, lower) in claimed.iter().zip(task.region.lower_bounds(&objectives, &leaves)?) {
        let domain = &domains[d];
        found[d] = (lower > 0.0).then(|| Leaf {
            weights: Leaf::only(domain.constraint, task.property.clauses[domain.clause].len()),
            slopes: domain.slopes.clone(),
            multipliers: domain.multipliers.clone(),
            lower,
        });
    }
    Ok(found)
}
