//! How far a cascade goes.

use std::time::Duration;

use super::Stage;
use crate::certify::attack::AttackSpec;
use crate::certify::bounds::Schedule;
use crate::certify::branch::{self, Branching, Strategy};

/// The dearest stage that is allowed to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Intervals.
    Ibp,
    /// One backward pass over interval bounds.
    CrownIbp,
    /// Backward passes for every layer.
    Crown,
    /// With slopes by ascent.
    AlphaCrown,
    /// With branch-and-bound.
    Bab,
}

impl Method {
    /// The stage.
    pub fn stage(self) -> Stage {
        match self {
            Method::Ibp => Stage::Ibp,
            Method::CrownIbp => Stage::CrownIbp,
            Method::Crown => Stage::Crown,
            Method::AlphaCrown => Stage::AlphaCrown,
            Method::Bab => Stage::Bab,
        }
    }

    /// By the name of its stage.
    pub fn parse(name: &str) -> Option<Method> {
        let all = [Method::Ibp, Method::CrownIbp, Method::Crown, Method::AlphaCrown, Method::Bab];
        all.into_iter().find(|method| method.stage().name() == name)
    }
}

/// How a cascade goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The dearest stage.
    pub method: Method,
    /// Claims that go through the first stages together.
    pub batch: usize,
    /// Time for one claim.
    pub timeout: Duration,
    /// The search for counter-examples that comes before any bound; `None`: none.
    pub attack: Option<AttackSpec>,
    /// Seed of its starts.
    pub seed: u64,
    /// The ascents of α-CROWN for the bounds of single neurons.
    pub starts: Schedule,
    /// The ascent of α-CROWN.
    pub ascent: Schedule,
    /// Rows of that ascent.
    pub ascent_rows: usize,
    /// Branch-and-bound.
    pub search: branch::Settings,
}

impl Default for Settings {
    fn default() -> Settings {
        let schedule = |iterations, slope_rate, multiplier_rate| Schedule {
            iterations,
            slope_rate,
            multiplier_rate,
            decay: 0.98,
            until_proved: true,
        };
        Settings {
            method: Method::Bab,
            batch: 16,
            timeout: Duration::from_secs(30),
            attack: Some(AttackSpec::pgd(100, 1)),
            seed: 0,
            starts: Schedule { until_proved: false, ..schedule(20, 0.25, 0.0) },
            ascent: schedule(30, 0.25, 0.0),
            ascent_rows: 128,
            search: branch::Settings {
                rows: 128,
                schedule: schedule(20, 0.05, 0.1),
                branching: Branching::Kfsb(3),
                most_domains: usize::MAX,
                strategy: Strategy::Either,
            },
        }
    }
}
