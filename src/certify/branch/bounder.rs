//! Bounds of domains by the device, many at once.

use super::domain::Domain;
use super::score::{self, Branching};
use super::search::{Settings, Task};
use crate::certify::bounds::{Ascent, Objective};
use crate::certify::network::ReluNetwork;
use crate::device::Session;
use crate::error::Result;

/// Programs for batches of domains, kept from search to search.
pub(super) struct Bounder<'a> {
    network: &'a ReluNetwork,
    batch: usize,
    pub(super) settings: Settings,
    /// By number of rows, smallest first.
    ascents: Vec<Ascent>,
}

impl<'a> Bounder<'a> {
    pub(super) fn new(network: &'a ReluNetwork, batch: usize, settings: Settings) -> Bounder<'a> {
        Bounder { network, batch, settings, ascents: Vec::new() }
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

    /// Frees the programs.
    pub(super) fn release(self, session: &mut dyn Session) {
        for ascent in self.ascents {
            ascent.release(session);
        }
    }

    /// Bounds domains, at most as many as there are rows, and looks for where to cut them.
    pub(super) async fn bound(
        &mut self,
        session: &mut dyn Session,
        task: &Task<'_>,
        domains: &mut [Domain],
    ) -> Result<()> {
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
    pub(super) async fn choose(
        &mut self,
        session: &mut dyn Session,
        task: &Task<'_>,
        parents: &mut [Domain],
    ) -> Result<()> {
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
