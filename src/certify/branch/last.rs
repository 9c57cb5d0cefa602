//! The end of a search at domains that cannot be cut any more.

use std::time::Instant;

use super::search::{Stopped, Task};
use super::tree::Leaf;
use crate::certify::exact::{self, Decider, Decision};
use crate::certify::proof::{Region, Split};
use crate::error::Result;

/// A domain in which every neuron is split.
pub(super) struct Case<'a> {
    /// Bounds that hold there.
    pub(super) region: &'a Region,
    pub(super) clause: usize,
    pub(super) splits: &'a [Split],
    /// Slopes of the region's table; `None`: the default ones.
    pub(super) slopes: Option<&'a [f32]>,
}

/// What proves the domain, or why that ends the search.
pub(super) fn decide(
    decider: &Decider<'_>,
    task: &Task<'_>,
    case: &Case<'_>,
) -> Result<std::result::Result<Leaf, Stopped>> {
    let &Case { region, clause, splits, slopes } = case;
    let of = exact::Domain { region, property: task.property, clause, splits, slopes };
    Ok(match decider.decide(&of, task.deadline)? {
        Decision::Proved { weights, multipliers, lower } => {
            Ok(Leaf { weights, slopes: slopes.unwrap_or_default().to_vec(), multipliers, lower })
        }
        Decision::Refuted { point } => Err(Stopped::Refuted { point }),
        Decision::Close if Instant::now() >= task.deadline => Err(Stopped::Timeout),
        Decision::Close => Err(Stopped::Exhausted { splits: splits.to_vec() }),
        Decision::Large { entries, most } => Err(Stopped::Large { splits: splits.to_vec(), entries, most }),
    })
}
