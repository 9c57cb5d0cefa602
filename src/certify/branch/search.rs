//! The search itself: which domains are cut, bounded, proved and dropped.

use std::collections::BinaryHeap;
use std::time::Instant;

use super::domain::{Domain, Neurons, Root};
use super::last;
use super::score::{self, Branching};
use super::tree::{Leaf, Tree};
use crate::certify::bounds::{Ascent, Bounds, Objective, Schedule};
use crate::certify::exact::Decider;
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{self, Region, Split};
use crate::certify::property::Property;
use crate::device::Session;
use crate::error::Result;

/// How a search goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Domains that are bounded at once.
    pub rows: usize,
    /// The ascent of each batch.
    pub schedule: Schedule,
    /// How neurons are chosen.
    pub branching: Branching,
    /// Most domains that are bounded in one search.
    pub most_domains: usize,
}

/// What is to be proved about one sample of a batch whose bounds the session holds.
pub struct Task<'a> {
    /// Which sample.
    pub sample: usize,
    /// The claim.
    pub property: &'a Property,
    /// Bounds of the batch, as the session has them.
    pub bounds: &'a Bounds,
    /// The unstable neurons.
    pub neurons: &'a Neurons,
    /// The box with its proved bounds, and `neurons`' table for its slopes.
    pub region: &'a Region,
    /// Bounds at the roots of the open clauses, one for each of their constraints.
    pub roots: Vec<Root>,
}

/// Numbers of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Domains that were bounded on the device, roots included.
    pub domains: usize,
    /// Most splits of a domain.
    pub depth: usize,
    /// Batches.
    pub rounds: usize,
    /// Domains whose bound the native prover did not confirm.
    pub unconfirmed: usize,
}

/// Why a search ended without a proof.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// The deadline passed.
    Timeout,
    /// As many domains as were allowed.
    Domains,
    /// A point that breaks the claim was found and confirmed.
    Refuted {
        /// As a user feeds it.
        point: Vec<f64>,
    },
    /// A domain has every neuron split, and its least value is so close to 0 that neither a proof nor a counter-example stands up to
    /// the rounding of f64 sums and f32 multipliers: the claim fails or holds there by about 1e-7 of what the objective ranges over.
    Exhausted {
        /// The domain's splits.
        splits: Vec<Split>,
    },
    /// A domain has every neuron split, and the linear program that would decide it is too large.
    Large {
        /// The domain's splits.
        splits: Vec<Split>,
        /// Splits × free inputs.
        entries: usize,
        /// The most that are tried.
        most: usize,
    },
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Trees of the clauses, as far as they were searched, by clause.
    pub trees: Vec<(usize, Tree)>,
    /// `None`: everything is proved.
    pub stopped: Option<Stopped>,
    /// Clause, and least bound of any open domain.
    pub worst: Option<(usize, f32)>,
    /// Numbers.
    pub statistics: Statistics,
}

/// Programs for batches of domains, kept from search to search.
pub struct Search<'a> {
    network: &'a ReluNetwork,
    batch: usize,
    settings: Settings,
    /// By number of rows, smallest first.
    ascents: Vec<Ascent>,
    /// For domains with every neuron split.
    decider: Decider<'a>,
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

impl<'a> Search<'a> {
    /// For batches of `batch` boxes of `network`, whose weights are in the session.
    pub fn new(network: &'a ReluNetwork, batch: usize, settings: Settings) -> Search<'a> {
        Search { network, batch, settings, ascents: Vec::new(), decider: Decider::new(network) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The smallest program that takes `rows` rows, or the largest there may be.
    fn ascent(&mut self, session: &mut dyn Session, rows: usize) -> Result<usize> {
        let wanted = [8, 32, 128].into_iter().find(|&size| size >= rows).unwrap_or(usize::MAX).min(self.settings.rows);
        if let Some(at) = self.ascents.iter().position(|ascent| ascent.rows() == wanted) {
            return Ok(at);
        }
        let tag = format!("branch.{wanted}");
        self.ascents.push(Ascent::new(session, self.network, self.batch, wanted, true, &tag)?);
        Ok(self.ascents.len() - 1)
    }

    /// Searches until every clause of the task is proved or `deadline` has passed.
    pub async fn run(&mut self, session: &mut dyn Session, task: Task<'_>, deadline: Instant) -> Result<Found> {
        let mut statistics = Statistics::default();
        let mut trees: Vec<(usize, Tree)> = Vec::new();
        // Of several constraints of a clause the one with the best bound is proved.
        let mut roots: Vec<Root> = Vec::new();
        for root in &task.roots {
            match roots.iter_mut().find(|r| r.clause == root.clause) {
                Some(best) if best.lower < root.lower => *best = root.clone(),
                Some(_) => {}
                None => roots.push(root.clone()),
            }
        }
        let mut fresh: Vec<Domain> = Vec::new();
        for root in roots {
            trees.push((root.clause, Tree::new()));
            fresh.push(Domain {
                clause: root.clause,
                constraint: root.constraint,
                splits: Vec::new(),
                multipliers: Vec::new(),
                slopes: root.slopes,
                lower: root.lower,
                candidates: Vec::new(),
                node: 0,
            });
        }
        let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
        let mut stopped = None;
        'search: loop {
            // Bound what is new, prove what can be proved, keep the rest with a choice of where to cut.
            while !fresh.is_empty() {
                if Instant::now() >= deadline {
                    stopped = Some(Stopped::Timeout);
                    break;
                }
                let count = fresh.len().min(self.settings.rows);
                let mut domains: Vec<Domain> = fresh.drain(..count).collect();
                statistics.domains += domains.len();
                statistics.rounds += 1;
                self.bound(session, &task, &mut domains).await?;
                let leaves = prove(&task, &domains)?;
                for (domain, leaf) in domains.into_iter().zip(leaves) {
                    statistics.depth = statistics.depth.max(domain.splits.len());
                    if let Some(leaf) = leaf {
                        tree_of(&mut trees, domain.clause).close(domain.node, leaf);
                        continue;
                    }
                    statistics.unconfirmed += usize::from(domain.lower > 0.0);
                    if domain.candidates.is_empty() {
                        match last::decide(&self.decider, &task, &domain, deadline)? {
                            Ok(leaf) => {
                                tree_of(&mut trees, domain.clause).close(domain.node, leaf);
                                continue;
                            }
                            Err(end @ Stopped::Refuted { .. }) => {
                                stopped = Some(end);
                                break 'search;
                            }
                            Err(end) => drop(stopped.get_or_insert(end)),
                        }
                    }
                    waiting.push(Waiting(domain));
                }
            }
            if stopped.is_some() || waiting.is_empty() {
                break;
            }
            if statistics.domains >= self.settings.most_domains {
                stopped = Some(Stopped::Domains);
                break;
            }
            // Cut the worst.
            let parents = (self.settings.rows / 2).max(1);
            let mut parents: Vec<Domain> = (0..parents).map_while(|_| waiting.pop().map(|w| w.0)).collect();
            self.choose(session, &task, &mut parents).await?;
            for parent in parents {
                let place = parent.candidates[0];
                let (layer, neuron) = task.neurons.table[place];
                let tree = tree_of(&mut trees, parent.clause);
                let [active, inactive] = tree.split(parent.node, layer, neuron);
                fresh.push(parent.part(task.neurons, place, true, active));
                fresh.push(parent.part(task.neurons, place, false, inactive));
            }
        }
        let open = waiting.iter().map(|w| &w.0).chain(&fresh);
        let worst = open.min_by(|a, b| a.lower.total_cmp(&b.lower)).map(|d| (d.clause, d.lower));
        Ok(Found { trees, stopped, worst, statistics })
    }

    /// Frees the programs.
    pub fn release(self, session: &mut dyn Session) {
        for ascent in self.ascents {
            ascent.release(session);
        }
    }

    /// Bounds domains, at most as many as there are rows, and looks for where to cut them.
    async fn bound(&mut self, session: &mut dyn Session, task: &Task<'_>, domains: &mut [Domain]) -> Result<()> {
        let at = self.ascent(session, domains.len())?;
        let ascent = &self.ascents[at];
        let (objectives, thresholds) = objectives(task, domains);
        let mut parameters = task.neurons.parameters(domains);
        let schedule = &self.settings.schedule;
        let found = ascent.run(session, task.bounds, &objectives, &thresholds, &mut parameters, schedule).await?;
        task.neurons.take(&parameters, domains);
        let coefficients = ascent.coefficients(session, task.bounds, &objectives).await?;
        for (row, domain) in domains.iter_mut().enumerate() {
            // A part's bound is at least its parent's.
            domain.lower = domain.lower.max(found.lower[row] - thresholds[row]);
            domain.candidates = score::candidates(self.settings.branching, task.neurons, domain, &coefficients, row);
        }
        Ok(())
    }

    /// Puts the best candidate of each domain first: the one whose worse part has the best bound, without an ascent.
    async fn choose(&mut self, session: &mut dyn Session, task: &Task<'_>, parents: &mut [Domain]) -> Result<()> {
        if self.settings.branching == Branching::Babsr {
            return Ok(());
        }
        let tried: Vec<(usize, usize)> = (0..parents.len())
            .filter(|&p| parents[p].candidates.len() > 1)
            .flat_map(|p| (0..parents[p].candidates.len()).map(move |c| (p, c)))
            .collect();
        let mut worse = Vec::with_capacity(tried.len());
        for chunk in tried.chunks((self.settings.rows / 2).max(1)) {
            let parts: Vec<Domain> = chunk
                .iter()
                .flat_map(|&(p, c)| {
                    let place = parents[p].candidates[c];
                    [true, false].map(|active| parents[p].part(task.neurons, place, active, 0))
                })
                .collect();
            let at = self.ascent(session, parts.len())?;
            let (objectives, thresholds) = objectives(task, &parts);
            let parameters = task.neurons.parameters(&parts);
            let bounds = self.ascents[at].look(session, task.bounds, &objectives, &parameters).await?;
            let net: Vec<f32> = bounds.iter().zip(&thresholds).map(|(b, t)| b - t).collect();
            // A part that is proved counts no more than 0: the other one decides.
            worse
                .extend(net.chunks(2).map(|pair| (pair[0].min(0.0).min(pair[1]), pair[0].min(0.0) + pair[1].min(0.0))));
        }
        let mut best: Vec<Option<(f32, f32)>> = vec![None; parents.len()];
        let mut first: Vec<usize> = vec![0; parents.len()];
        for (&(p, c), &score) in tried.iter().zip(&worse) {
            if best[p].is_none_or(|b| score > b) {
                best[p] = Some(score);
                first[p] = c;
            }
        }
        for (parent, first) in parents.iter_mut().zip(first) {
            parent.candidates.swap(0, first);
        }
        Ok(())
    }
}

/// What the device bounds for each domain, and what the bounds have to exceed.
fn objectives(task: &Task<'_>, domains: &[Domain]) -> (Vec<Objective>, Vec<f32>) {
    let of = |domain: &Domain| {
        let constraint = &task.property.clauses[domain.clause][domain.constraint];
        (Objective::of(task.sample, constraint), constraint.bound as f32)
    };
    domains.iter().map(of).unzip()
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

fn tree_of(trees: &mut [(usize, Tree)], clause: usize) -> &mut Tree {
    &mut trees.iter_mut().find(|(c, _)| *c == clause).expect("a tree for every clause").1
}
