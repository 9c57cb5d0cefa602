//! The exact greatest margin over a ball, by claims that a complete verifier decides.
//!
//! The best point that an attack finds bounds it from below. The claim "no point reaches that margin plus a step" is either proved, which
//! bounds it from above, or a counter-example raises the lower bound, after which steps double; proved steps are halved. It ends when both bounds
//! are within the tolerance. Mostly the attack has found the best point and a single claim shows it.

use std::sync::Arc;
use std::time::Duration;

use super::approximations::greatest_margin;
use crate::certify::attack::{self, AttackSpec, Attacker};
use crate::certify::cascade::{Cascade, Claim, Settings, Verdict};
use crate::certify::network::ReluNetwork;
use crate::certify::property::Property;
use crate::device::Session;
use crate::error::Result;

/// How exact values are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactSettings {
    /// Greatest distance of the two bounds at the end, positive.
    pub tolerance: f64,
    /// Time for one claim.
    pub timeout: Duration,
    /// The attack that gives the first lower bound.
    pub attack: AttackSpec,
    /// Seed of its starts.
    pub seed: u64,
}

/// A ball and what is asked about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ball {
    /// Least values.
    pub lower: Vec<f64>,
    /// Greatest values.
    pub upper: Vec<f64>,
    /// The class y.
    pub label: u32,
    /// Points of the ball that are known already, at least one.
    pub points: Vec<Vec<f64>>,
}

/// Bounds of the greatest margin over a ball.
#[derive(Clone, Debug, PartialEq)]
pub struct Enclosure {
    /// The margin of `point`.
    pub lower: f64,
    /// No point has this margin or a greater one, proved over the real numbers; none if nothing was proved.
    pub upper: Option<f64>,
    /// Why the bounds are further apart than the tolerance, where they are.
    pub open: Option<String>,
    /// The worst point that was found.
    pub point: Vec<f64>,
    /// The margin of the attack's strongest point.
    pub attack: f64,
    /// Claims that were put to the verifier.
    pub claims: usize,
}

/// An enclosure under construction.
struct Search<'b> {
    ball: &'b Ball,
    found: Enclosure,
    step: f64,
    /// Nothing is left to be asked.
    ended: bool,
}

/// Finds exact values on one network.
pub struct Enclosures<'a> {
    network: &'a ReluNetwork,
    settings: ExactSettings,
    cascade: Cascade<'a>,
    attacker: Attacker<'a>,
}

impl<'a> Enclosures<'a> {
    /// Puts `network` into the session.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a network that the native prover refuses.
    pub fn new(session: &mut dyn Session, network: &'a ReluNetwork, settings: ExactSettings) -> Result<Enclosures<'a>> {
        // The attack of this search is stronger than one that stops at the first counter-example.
        let of_claims =
            Settings { timeout: settings.timeout, attack: None, seed: settings.seed, ..Settings::default() };
        let cascade = Cascade::new(session, network, of_claims)?;
        let prover = Arc::clone(cascade.prover());
        let attacker = Attacker::new(network, prover, settings.attack, attack::rows_that_fit(network))?;
        Ok(Enclosures { network, settings, cascade, attacker })
    }

    /// Balls that go at once.
    pub fn batch() -> usize {
        Settings::default().batch
    }

    /// Encloses the greatest margin of each of up to a batch of balls.
    ///
    /// # Errors
    /// Those of the device, and [`Error::Config`](crate::error::Error::Config) for a ball that does not fit the network.
    ///
    /// # Panics
    /// If there are too many balls.
    pub async fn of(&mut self, session: &mut dyn Session, balls: &[Ball]) -> Result<Vec<Enclosure>> {
        let properties: Vec<Property> = balls.iter().map(|ball| self.claim(ball, 0.0)).collect();
        let attacked = self.attacker.strongest(session, &properties, self.settings.seed).await?;
        let tolerance = self.settings.tolerance;
        let mut searches: Vec<Search<'_>> = Vec::with_capacity(balls.len());
        for (ball, attacked) in balls.iter().zip(attacked) {
            searches.push(Search::new(self.network, ball, attacked.point, tolerance));
        }
        loop {
            let open: Vec<usize> = (0..searches.len()).filter(|&i| !searches[i].ended).collect();
            if open.is_empty() {
                break;
            }
            let claims: Vec<Claim> = open
                .iter()
                .map(|&i| {
                    let search = &searches[i];
                    let property = self.claim(search.ball, search.threshold(tolerance));
                    Claim { property, point: Some(search.found.point.clone()) }
                })
                .collect();
            let outcomes = self.cascade.run(session, &claims).await?;
            for (&i, outcome) in open.iter().zip(outcomes) {
                let search = &mut searches[i];
                let (threshold, aimed) = (search.threshold(tolerance), search.aimed(tolerance));
                search.found.claims += 1;
                match (outcome.verdict, outcome.counter_example) {
                    (Verdict::Certified, _) => {
                        search.found.upper = Some(threshold);
                        search.step = 0.5 * aimed;
                        // The difference of the bounds themselves carries rounding.
                        search.ended = aimed <= tolerance;
                    }
                    (Verdict::Falsified, Some(point)) => {
                        // Rounding of the f64 evaluation must not stop the search where it is.
                        search.raise(self.network, point);
                        search.found.lower = search.found.lower.max(threshold);
                        search.step *= 2.0;
                        search.ended = search.found.upper.is_some_and(|u| u - search.found.lower <= tolerance);
                    }
                    (_, _) => {
                        let reason = outcome.open.map_or("no verdict".to_string(), |open| open.reason);
                        search.found.open = Some(reason);
                        search.ended = true;
                    }
                }
            }
        }
        Ok(searches.into_iter().map(|search| search.found).collect())
    }

    /// The claim that no point of the ball reaches the margin `threshold`.
    fn claim(&self, ball: &Ball, threshold: f64) -> Property {
        let (lower, upper) = (ball.lower.clone(), ball.upper.clone());
        let mut property = Property::label(lower, upper, self.network.outputs(), ball.label as usize);
        property.clauses.iter_mut().flatten().for_each(|constraint| constraint.bound = -threshold);
        property
    }

    /// Frees what is on the device.
    pub fn release(self, session: &mut dyn Session) {
        self.cascade.release(session);
        self.attacker.release(session);
    }
}

impl<'b> Search<'b> {
    fn new(network: &ReluNetwork, ball: &'b Ball, strongest: Vec<f64>, tolerance: f64) -> Search<'b> {
        let attack = greatest_margin(&network.evaluate(&strongest), ball.label);
        let found = Enclosure { lower: attack, upper: None, open: None, point: strongest, attack, claims: 0 };
        let mut search = Search { ball, found, step: tolerance, ended: false };
        ball.points.iter().for_each(|point| search.raise(network, point.clone()));
        search
    }

    /// Takes `point`, which lies in the ball, if it is worse than those before.
    fn raise(&mut self, network: &ReluNetwork, point: Vec<f64>) {
        let margin = greatest_margin(&network.evaluate(&point), self.ball.label);
        if margin > self.found.lower {
            (self.found.lower, self.found.point) = (margin, point);
        }
    }

    /// How far above the lower bound the next claim is: by a tolerance at least, below the upper bound.
    fn aimed(&self, tolerance: f64) -> f64 {
        let middle = self.found.upper.map_or(f64::INFINITY, |upper| 0.5 * (upper - self.found.lower));
        self.step.min(middle).max(tolerance)
    }

    /// The margin that the next claim says no point reaches.
    fn threshold(&self, tolerance: f64) -> f64 {
        self.found.lower + self.aimed(tolerance)
    }
}
