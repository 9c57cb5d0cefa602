//! Two searches side by side: which of them goes on, and until when.

use std::time::{Duration, Instant};

use super::bounder::Bounder;
use super::domain::{Neurons, Root};
use super::fixed::Fixed;
use super::refining::Refining;
use super::score::Branching;
use super::tree::{Tree, Trees};
use crate::certify::bounds::{Bounds, Schedule};
use crate::certify::exact::Decider;
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{Region, Split};
use crate::certify::property::Property;
use crate::device::Session;
use crate::error::Result;

/// Where the bounds of neurons come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// They are those of the whole box: domains are cheap, and bounded by ascents on the device.
    Fixed,
    /// They are derived again in every domain, natively.
    Refining,
    /// Both in turns, and most of the time the one that will be done sooner by what it has proved so far.
    Either,
}

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
    /// Which searches.
    pub strategy: Strategy,
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
    /// When to give up.
    pub deadline: Instant,
}

/// Numbers of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Domains that were bounded, roots included.
    pub domains: usize,
    /// Most splits of a domain.
    pub depth: usize,
    /// Batches.
    pub rounds: usize,
    /// Domains in which the bounds of neurons were derived again.
    pub refined: usize,
    /// Domains whose bound the native prover did not confirm.
    pub unconfirmed: usize,
    /// What is proved of the clauses under search, 0 to 1: each split halves.
    pub proved: f64,
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

/// What is kept from search to search.
pub struct Search<'a> {
    bounder: Bounder<'a>,
    /// For domains with every neuron split.
    decider: Decider<'a>,
}

/// The least turn. Later ones are as long as all turns of the same search before.
const TURN: Duration = Duration::from_millis(100);

/// How far one of the two has come.
struct Pace {
    spent: Duration,
    share: f64,
    ended: bool,
}

impl Pace {
    /// Time that it will still take, if what is open is like what is proved; 0 before its first turn.
    fn left(&self) -> f64 {
        match self.spent.is_zero() {
            true => 0.0,
            false => self.spent.as_secs_f64() * (1.0 - self.share) / self.share,
        }
    }

    /// Whether it goes before `other`.
    fn is_before(&self, other: &Pace) -> bool {
        match (self.ended, other.ended) {
            (false, false) if self.share > 0.0 || other.share > 0.0 => self.left() <= other.left(),
            (false, false) => self.spent <= other.spent,
            (ended, _) => !ended,
        }
    }
}

impl<'a> Search<'a> {
    /// For batches of `batch` boxes of `network`, whose weights are in the session.
    pub fn new(network: &'a ReluNetwork, batch: usize, settings: Settings) -> Search<'a> {
        Search { bounder: Bounder::new(network, batch, settings), decider: Decider::new(network) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.bounder.settings
    }

    /// Searches until every clause of the task is proved or the deadline has passed.
    pub async fn run(&mut self, session: &mut dyn Session, task: Task<'_>) -> Result<Found> {
        let Settings { strategy, most_domains, .. } = self.bounder.settings;
        let (mut fixed, mut refining) = (Fixed::new(&task), Refining::new(&task));
        let pace = |used: bool| Pace { spent: Duration::ZERO, share: 0.0, ended: !used };
        let mut paces = [pace(strategy != Strategy::Refining), pace(strategy != Strategy::Fixed)];
        // A single ReLU layer has the bounds that it has.
        paces[1].ended |= strategy == Strategy::Either && task.bounds.layers.len() < 2;
        loop {
            let start = Instant::now();
            if start >= task.deadline || paces.iter().all(|pace| pace.ended) {
                break;
            }
            let alone = paces.iter().any(|pace| pace.ended);
            let first = paces[0].is_before(&paces[1]);
            let turn = TURN.max(paces[usize::from(!first)].spent);
            let until = if alone { task.deadline } else { task.deadline.min(start + turn) };
            let (trees, stopped) = match first {
                true => {
                    fixed.advance(session, &mut self.bounder, &self.decider, &task, until).await?;
                    (&fixed.trees, &fixed.stopped)
                }
                false => {
                    refining.advance(&self.decider, &task, most_domains, until)?;
                    (&refining.trees, &refining.stopped)
                }
            };
            let pace = &mut paces[usize::from(!first)];
            pace.spent += start.elapsed();
            pace.share = trees.share();
            pace.ended = stopped.is_some();
            if trees.are_proved() || matches!(stopped, Some(Stopped::Refuted { .. })) {
                break;
            }
        }
        // The one that has the answer, or else has come further.
        let answers = |trees: &Trees, stopped: &Option<Stopped>| {
            trees.are_proved() || matches!(stopped, Some(Stopped::Refuted { .. }))
        };
        let second = answers(&refining.trees, &refining.stopped)
            || !answers(&fixed.trees, &fixed.stopped)
                && (strategy == Strategy::Refining || paces[1].share > paces[0].share);
        let (trees, stopped, worst) = match second {
            true => (&refining.trees, &refining.stopped, refining.worst()),
            false => (&fixed.trees, &fixed.stopped, fixed.worst()),
        };
        let stopped = match (trees.are_proved(), stopped) {
            (true, _) => None,
            (false, Some(stopped)) => Some(stopped.clone()),
            (false, None) => Some(Stopped::Timeout),
        };
        let statistics = Statistics { proved: trees.share(), ..fixed.statistics.and(&refining.statistics) };
        let trees = if second { refining.trees } else { fixed.trees };
        Ok(Found { trees: trees.into_inner(), stopped, worst, statistics })
    }

    /// Frees the programs.
    pub fn release(self, session: &mut dyn Session) {
        self.bounder.release(session);
    }
}

impl Statistics {
    /// Of two searches together.
    fn and(&self, other: &Statistics) -> Statistics {
        Statistics {
            domains: self.domains + other.domains,
            depth: self.depth.max(other.depth),
            rounds: self.rounds + other.rounds,
            refined: self.refined + other.refined,
            unconfirmed: self.unconfirmed + other.unconfirmed,
            proved: self.proved.max(other.proved),
        }
    }
}
