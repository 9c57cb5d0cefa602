//! The end of a search at domains that cannot be cut any more.

use std::time::Instant;

use super::domain::Domain;
use super::search::{Stopped, Task};
use super::tree::Leaf;
use crate::certify::exact::{self, Decider, Decision};
use crate::certify::proof::Split;
use crate::error::Result;

/// What proves a domain in which every neuron is split, or why that ends the search.
pub(super) fn decide(
    decider: &Decider<'_>,
    task: &Task<'_>,
    domain: &Domain,
    deadline: Instant,
) -> Result<std::result::Result<Leaf, Stopped>> {
    let splits: Vec<Split> = domain.splits.iter().map(|(split, _)| *split).collect();
    let of = exact::Domain {
        region: task.region,
        property: task.property,
        clause: domain.clause,
        splits: &splits,
        slopes: Some(&domain.slopes),
    };
    Ok(match decider.decide(&of, deadline)? {
        Decision::Proved { weights, multipliers, lower } => {
            Ok(Leaf { weights, slopes: domain.slopes.clone(), multipliers, lower })
        }
        Decision::Refuted { point } => Err(Stopped::Refuted { point }),
        Decision::Close if Instant::now() >= deadline => Err(Stopped::Timeout),
        Decision::Close => Err(Stopped::Exhausted { splits }),
        Decision::Large { entries, most } => Err(Stopped::Large { splits, entries, most }),
    })
}
