//! The stages, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pending::Pending;
use super::settings::{Method, Settings};
use super::{Open, Outcome, Proof, Stage, Verdict};
use crate::certify::attack::{self, Attacker};
use crate::certify::bounds::{Ascent, Bounds, Boxes, MOST_ELEMENTS, Objective, Relaxer};
use crate::certify::branch::{Leaf, Neurons, Node, Root, Search, Statistics, Stopped, Task, Tree};
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{self, Derivation, Prover, Region, Slopes};
use crate::certify::property::Property;
use crate::device::Session;
use crate::error::{Error, Result};

/// Something to be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What is claimed.
    pub property: Property,
    /// A point of the box that is looked at first: the image itself. `None`: the middle of the box.
    pub point: Option<Vec<f64>>,
}

/// Everything that is kept from batch to batch.
pub struct Cascade<'a> {
    network: &'a ReluNetwork,
    prover: Arc<Prover>,
    settings: Settings,
    attacker: Option<Attacker<'a>>,
    relaxer: Relaxer<'a>,
    ascent: Option<Ascent>,
    search: Search<'a>,
}

impl<'a> Cascade<'a> {
    /// Puts the network into the session.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a network that the native prover refuses.
    pub fn new(session: &mut dyn Session, network: &'a ReluNetwork, settings: Settings) -> Result<Cascade<'a>> {
        let prover = Arc::new(Prover::new(network)?);
        let rows = attack::rows_that_fit(network);
        let attacker =
            settings.attack.map(|spec| Attacker::new(network, Arc::clone(&prover), spec, rows)).transpose()?;
        let relaxer = Relaxer::new(session, network, settings.batch)?;
        let mut settings = settings;
        let fit = rows_that_fit(network);
        settings.ascent_rows = settings.ascent_rows.min(fit);
        settings.search.rows = settings.search.rows.min(fit);
        let search = Search::new(network, settings.batch, settings.search);
        Ok(Cascade { network, prover, settings, attacker, relaxer, ascent: None, search })
    }

    /// The native prover.
    pub fn prover(&self) -> &Arc<Prover> {
        &self.prover
    }

    /// Another time for each claim from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.settings.timeout = timeout;
    }

    /// Decides claims, at most a batch of them. Where a stage fails, they are tried one by one, and those that fail have the verdict
    /// [`Verdict::Error`] with the reason.
    ///
    /// # Errors
    /// Those of the device.
    ///
    /// # Panics
    /// If there are too many.
    pub async fn run(&mut self, session: &mut dyn Session, claims: &[Claim]) -> Result<Vec<Outcome>> {
        match self.stages(session, claims).await {
            Ok(outcomes) => return Ok(outcomes),
            Err(error @ Error::Device { .. }) => return Err(error),
            Err(_) => {}
        }
        let mut outcomes = Vec::with_capacity(claims.len());
        for claim in claims {
            let start = Instant::now();
            outcomes.push(match self.stages(session, std::slice::from_ref(claim)).await {
                Ok(mut one) => one.swap_remove(0),
                Err(error @ Error::Device { .. }) => return Err(error),
                Err(error) => {
                    let mut pending = Pending::new(claim);
                    pending.seconds = start.elapsed().as_secs_f64();
                    let open = pending.open(&error.to_string());
                    Outcome { open, ..pending.outcome(Verdict::Error, self.settings.method.stage()) }
                }
            });
        }
        Ok(outcomes)
    }

    /// All stages.
    async fn stages(&mut self, session: &mut dyn Session, claims: &[Claim]) -> Result<Vec<Outcome>> {
        assert!(claims.len() <= self.settings.batch, "{} claims for batches of {}", claims.len(), self.settings.batch);
        let mut pending: Vec<Pending<'_>> = claims.iter().map(Pending::new).collect();
        for claim in claims {
            claim.property.check(self.network.input().elements(), self.network.outputs())?;
        }
        timed(&mut pending, |open| self.natural(open))?;
        self.attack(session, &mut pending).await?;
        timed(&mut pending, |open| self.intervals(open))?;
        if self.settings.method >= Method::CrownIbp {
            timed(&mut pending, |open| self.crown_ibp(open))?;
        }
        if self.settings.method >= Method::Crown {
            self.relaxed(session, &mut pending).await?;
        }
        Ok(pending.into_iter().map(|mut p| self.finish(&mut p)).collect())
    }

    fn finish(&self, pending: &mut Pending<'_>) -> Outcome {
        let mut outcome = pending.decided.take().unwrap_or_else(|| Outcome {
            open: pending.open("no bound of this method is positive"),
            ..pending.outcome(Verdict::Unknown, self.settings.method.stage())
        });
        outcome.seconds = pending.seconds;
        outcome
    }

    /// The given points.
    fn natural(&self, open: &mut [&mut Pending<'_>]) -> Result<()> {
        for pending in open {
            let property = &pending.claim.property;
            let middle = || property.lower.iter().zip(&property.upper).map(|(l, u)| 0.5 * (l + u)).collect();
            let point = pending.claim.point.clone().unwrap_or_else(middle);
            if self.prover.refutes(property, &point)? {
                pending.falsified(Stage::Natural, point);
            }
        }
        Ok(())
    }

    /// Counter-examples that an attack finds; it confirms them itself.
    async fn attack(&mut self, session: &mut dyn Session, pending: &mut [Pending<'_>]) -> Result<()> {
        let mut open: Vec<&mut Pending<'_>> = pending.iter_mut().filter(|p| p.decided.is_none()).collect();
        let (Some(attacker), false) = (&mut self.attacker, open.is_empty()) else { return Ok(()) };
        let start = Instant::now();
        let properties: Vec<Property> = open.iter().map(|p| p.claim.property.clone()).collect();
        let deadline = start + self.settings.timeout * open.len() as u32;
        let found = attacker.run(session, &properties, self.settings.seed, Some(deadline)).await?;
        share(&mut open, start);
        for (pending, found) in open.iter_mut().zip(found) {
            if let Some(point) = found.counterexample {
                pending.falsified(Stage::Attack, point);
            }
        }
        Ok(())
    }

    fn intervals(&self, open: &mut [&mut Pending<'_>]) -> Result<()> {
        for pending in open {
            let property = &pending.claim.property;
            let region = Region::interval(&self.prover, &property.lower, &property.upper)?;
            let bounds = region.interval_lower_bounds(&pending.native())?;
            pending.region = Some(region);
            pending.try_certify(Stage::Ibp, &bounds, false);
        }
        Ok(())
    }

    fn crown_ibp(&self, open: &mut [&mut Pending<'_>]) -> Result<()> {
        for pending in open {
            let objectives = pending.native();
            let leaves = vec![proof::Leaf::default(); objectives.len()];
            let region = pending.region.as_ref().expect("made for the intervals");
            let bounds = region.lower_bounds(&objectives, &leaves)?;
            pending.try_certify(Stage::CrownIbp, &bounds, false);
        }
        Ok(())
    }

    /// The stages that need the device.
    async fn relaxed(&mut self, session: &mut dyn Session, pending: &mut [Pending<'_>]) -> Result<()> {
        let mut open: Vec<&mut Pending<'_>> = pending.iter_mut().filter(|p| p.decided.is_none()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let ends: Vec<(&[f64], &[f64])> =
            open.iter().map(|p| (&p.claim.property.lower[..], &p.claim.property.upper[..])).collect();
        let boxes = Boxes::new(self.network, &ends);
        let mut bounds = self.relaxer.interval(session, &boxes).await?;
        self.relaxer.tighten(session, &mut bounds, false).await?;
        let objectives: Vec<Objective> = open.iter().enumerate().flat_map(|(sample, p)| p.device(sample)).collect();
        let lower = self.relaxer.lower_bounds(session, &bounds, &objectives).await?;
        share(&mut open, start);
        let mut at = 0;
        for (sample, pending) in open.iter_mut().enumerate() {
            let start = Instant::now();
            let n = pending.objectives.len();
            let net: Vec<f32> = lower[at..at + n].iter().zip(pending.thresholds()).map(|(l, t)| l - t).collect();
            at += n;
            pending.unstable = bounds.unstable(sample);
            if pending.note(&net) {
                self.region(pending)?;
                let objectives = pending.native();
                let leaves = vec![proof::Leaf::default(); objectives.len()];
                let region = pending.region.as_ref().expect("made above");
                let proved = region.lower_bounds(&objectives, &leaves)?;
                pending.try_certify(Stage::Crown, &proved, true);
            }
            pending.seconds += start.elapsed().as_secs_f64();
        }
        let left: Vec<usize> = (0..open.len()).filter(|&sample| open[sample].decided.is_none()).collect();
        if self.settings.method >= Method::AlphaCrown && !left.is_empty() {
            self.starts(session, &mut bounds, &mut open, &left).await?;
            self.ascend(session, &bounds, &mut open).await?;
        }
        Ok(())
    }

    /// Bounds of the ReLU inputs of what is left, with slopes of their own.
    async fn starts(
        &mut self,
        session: &mut dyn Session,
        bounds: &mut Bounds,
        open: &mut [&mut Pending<'_>],
        left: &[usize],
    ) -> Result<()> {
        let start = Instant::now();
        let deadline = start + self.settings.timeout / STARTS_PART * left.len() as u32;
        let found = self.relaxer.ascend(session, bounds, left, &self.settings.starts, deadline).await?;
        let each = start.elapsed().as_secs_f64() / left.len() as f64;
        for (&sample, starts) in left.iter().zip(found) {
            open[sample].starts = starts;
            open[sample].unstable = bounds.unstable(sample);
            open[sample].seconds += each;
        }
        Ok(())
    }

    /// Proved bounds of the ReLU inputs by backward passes.
    fn region(&self, pending: &mut Pending<'_>) -> Result<()> {
        let property = &pending.claim.property;
        pending.region = Some(Region::crown(&self.prover, &property.lower, &property.upper)?);
        Ok(())
    }

    /// α-CROWN for all that is open, then branch-and-bound for one after the other.
    async fn ascend(
        &mut self,
        session: &mut dyn Session,
        bounds: &Bounds,
        open: &mut [&mut Pending<'_>],
    ) -> Result<()> {
        if open.iter().all(|p| p.decided.is_some()) {
            return Ok(());
        }
        let start = Instant::now();
        let tables: Vec<Neurons> = (0..open.len()).map(|sample| Neurons::of(self.network, bounds, sample)).collect();
        let mut roots: Vec<Vec<Root>> = vec![Vec::new(); open.len()];
        // (claim, objective) of every clause that the bounds so far leave open; the others keep the default slopes.
        let mut rows: Vec<(usize, usize)> = Vec::new();
        for (sample, pending) in open.iter().enumerate().filter(|(_, p)| p.decided.is_none()) {
            for (o, &(clause, constraint)) in pending.objectives.iter().enumerate() {
                let lower = pending.lower[clause];
                if lower > 0.0 {
                    let slopes = tables[sample].default_slopes();
                    roots[sample].push(Root { clause, constraint, lower, slopes });
                } else {
                    rows.push((sample, o));
                }
            }
        }
        if self.ascent.is_none() {
            let rows = rows.len().next_power_of_two().min(self.settings.ascent_rows);
            self.ascent = Some(Ascent::new(session, self.network, self.settings.batch, rows, false, "root")?);
        }
        let ascent = self.ascent.as_ref().expect("made above");
        for chunk in rows.chunks(ascent.rows()) {
            let objectives: Vec<Objective> =
                chunk.iter().map(|&(sample, o)| open[sample].device(sample).swap_remove(o)).collect();
            let thresholds: Vec<f32> = chunk.iter().map(|&(sample, o)| open[sample].thresholds()[o]).collect();
            let mut parameters = ascent.defaults(bounds, &objectives);
            let schedule = &self.settings.ascent;
            let found = ascent.run(session, bounds, &objectives, &thresholds, &mut parameters, schedule).await?;
            for (row, &(sample, o)) in chunk.iter().enumerate() {
                let (clause, constraint) = open[sample].objectives[o];
                roots[sample].push(Root {
                    clause,
                    constraint,
                    lower: found.lower[row] - thresholds[row],
                    slopes: tables[sample].slopes(&parameters, row),
                });
            }
        }
        let mut undecided: Vec<&mut &mut Pending<'_>> = open.iter_mut().filter(|p| p.decided.is_none()).collect();
        let each = start.elapsed().as_secs_f64() / undecided.len() as f64;
        undecided.iter_mut().for_each(|p| p.seconds += each);
        for (sample, pending) in open.iter_mut().enumerate().filter(|(_, p)| p.decided.is_none()) {
            let start = Instant::now();
            let (table, roots) = (&tables[sample], std::mem::take(&mut roots[sample]));
            self.prove(session, bounds, sample, pending, table, roots).await?;
            pending.seconds += start.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// Proves one claim with slopes from its roots, and by branch-and-bound what those leave open.
    async fn prove(
        &mut self,
        session: &mut dyn Session,
        bounds: &Bounds,
        sample: usize,
        pending: &mut Pending<'_>,
        neurons: &Neurons,
        roots: Vec<Root>,
    ) -> Result<()> {
        let spent = Duration::from_secs_f64(pending.seconds);
        let deadline = Instant::now() + self.settings.timeout.saturating_sub(spent);
        for root in &roots {
            pending.lower[root.clause] = pending.lower[root.clause].max(root.lower);
        }
        if pending.lower.iter().any(|&l| l <= 0.0) && self.settings.method < Method::Bab {
            return Ok(());
        }
        let slopes = Arc::new(Slopes::new(&self.prover, neurons.table.clone())?);
        let derivation = Derivation::Crown(std::mem::take(&mut pending.starts));
        let (lower, upper) = (&pending.claim.property.lower, &pending.claim.property.upper);
        let region = Region::new(&self.prover, lower, upper, &slopes, derivation.clone())?;
        // What the slopes prove, natively.
        let of_root = |root: &Root| {
            let constraint = &pending.claim.property.clauses[root.clause][root.constraint];
            proof::Objective::exact(constraint.coefficients.clone(), constraint.bound)
        };
        let objectives: Vec<proof::Objective> = roots.iter().map(of_root).collect();
        let leaves: Vec<proof::Leaf<'_>> =
            roots.iter().map(|root| proof::Leaf { slopes: Some(&root.slopes), ..proof::Leaf::default() }).collect();
        let lower = region.lower_bounds(&objectives, &leaves)?;
        let mut trees: Vec<Tree> = vec![Tree::new(); pending.claim.property.clauses.len()];
        let mut left = Vec::new();
        for (clause, tree) in trees.iter_mut().enumerate() {
            let of_clause = || roots.iter().zip(&lower).filter(|(root, _)| root.clause == clause);
            match of_clause().max_by(|a, b| a.1.total_cmp(b.1)) {
                Some((root, &lower)) if lower > 0.0 => {
                    let constraints = pending.claim.property.clauses[clause].len();
                    let (weights, slopes) = (Leaf::only(root.constraint, constraints), root.slopes.clone());
                    tree.nodes[0] = Node::Leaf(Leaf { weights, slopes, multipliers: Vec::new(), lower });
                }
                _ => left.extend(of_clause().map(|(root, _)| root.clone())),
            }
        }
        let mut statistics = Statistics::default();
        let mut stage = Stage::AlphaCrown;
        if !left.is_empty() && self.settings.method >= Method::Bab {
            stage = Stage::Bab;
            let property = &pending.claim.property;
            let task = Task { sample, property, bounds, neurons, region: &region, roots: left, deadline };
            let found = self.search.run(session, task).await?;
            statistics = found.statistics;
            for (clause, tree) in found.trees {
                trees[clause] = tree;
            }
            if let Some((clause, gap)) = found.worst {
                pending.lower[clause] = gap;
            }
            if let Some(stopped) = found.stopped {
                let (verdict, reason) = match stopped {
                    Stopped::Timeout => (Verdict::Timeout, "the time ran out".to_string()),
                    Stopped::Domains => (Verdict::Unknown, "the allowed number of domains was bounded".to_string()),
                    Stopped::Refuted { point } => {
                        pending.falsified(stage, point);
                        if let Some(outcome) = &mut pending.decided {
                            outcome.search = statistics;
                        }
                        return Ok(());
                    }
                    Stopped::Exhausted { splits } => {
                        let reason = "every neuron is split and the least value is within rounding of 0";
                        (Verdict::Unknown, format!("{reason} ({} splits)", splits.len()))
                    }
                    Stopped::Large { splits, entries, most } => {
                        let program = format!("a linear program of {entries} entries: at most {most} are tried");
                        (
                            Verdict::Unknown,
                            format!("every neuron is split ({} splits), which leaves {program}", splits.len()),
                        )
                    }
                };
                let open = found.worst.map(|(clause, gap)| Open { clause, gap, reason });
                pending.decided = Some(Outcome { open, search: statistics, ..pending.outcome(verdict, stage) });
                return Ok(());
            }
        }
        if !trees.iter().all(Tree::is_proved) {
            return Ok(());
        }
        let least = |tree: &Tree| tree.leaves().iter().map(|(_, leaf)| leaf.lower).fold(f64::INFINITY, f64::min);
        let margin = trees.iter().map(least).fold(f64::INFINITY, f64::min);
        let proof = Proof { derivation, table: neurons.table.clone(), trees };
        pending.decided = Some(Outcome {
            margin: Some(margin),
            search: statistics,
            proof: Some(proof),
            ..pending.outcome(Verdict::Certified, stage)
        });
        Ok(())
    }

    /// Frees what is on the device.
    pub fn release(self, session: &mut dyn Session) {
        if let Some(attacker) = self.attacker {
            attacker.release(session);
        }
        self.relaxer.release(session);
        self.search.release(session);
        if let Some(ascent) = self.ascent {
            ascent.release(session);
        }
    }
}

/// The ascents for single neurons may take one part in so many of a claim's time.
const STARTS_PART: u32 = 4;

/// Rows of an ascent that fit, 2 at least: a domain has two parts.
fn rows_that_fit(network: &ReluNetwork) -> usize {
    let neurons: usize = network.relus().iter().map(|&relu| network.nodes()[relu].shape.elements()).sum();
    (MOST_ELEMENTS / neurons.max(1)).max(2)
}

/// Runs a stage on what is open and shares its time among it.
fn timed<'c>(pending: &mut [Pending<'c>], stage: impl FnOnce(&mut [&mut Pending<'c>]) -> Result<()>) -> Result<()> {
    let mut open: Vec<&mut Pending<'c>> = pending.iter_mut().filter(|p| p.decided.is_none()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    stage(&mut open)?;
    share(&mut open, start);
    Ok(())
}

fn share(open: &mut [&mut Pending<'_>], start: Instant) {
    let each = start.elapsed().as_secs_f64() / open.len() as f64;
    open.iter_mut().for_each(|p| p.seconds += each);
}
