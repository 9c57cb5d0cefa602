//! Timestamps around the launches of a traced run.

use super::context::Context;
use super::program::Place;
use super::readback;
use crate::error::Result;

/// Launches whose two timestamps one query set holds.
const LAUNCHES_PER_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Room for the timestamps of a run.
pub(super) struct Timestamps {
    sets: Vec<wgpu::QuerySet>,
    /// Where the device writes the ticks to, begin and end of each launch in turn.
    resolved: wgpu::Buffer,
    seconds_per_tick: f64,
}

impl Timestamps {
    /// Room for `launches` launches.
    pub(super) fn new(context: &Context, launches: usize) -> Result<Timestamps> {
        let count = launches.div_ceil(LAUNCHES_PER_SET).max(1);
        let bytes = count as u64 * u64::from(wgpu::QUERY_SET_MAX_QUERIES * wgpu::QUERY_SIZE);
        context.scoped(&format_args!("timestamps of {launches} launches"), || {
            let set = |_| {
                context.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: wgpu::QUERY_SET_MAX_QUERIES,
                })
            };
            let resolved = context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: bytes,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            // wgpu's period is in nanoseconds.
            let seconds_per_tick = 1e-9 * f64::from(context.queue.get_timestamp_period());
            Timestamps { sets: (0..count).map(set).collect(), resolved, seconds_per_tick }
        })
    }

    /// Whether the timestamps of that many launches fit.
    pub(super) fn hold(&self, launches: usize) -> bool {
        launches <= self.sets.len() * LAUNCHES_PER_SET
    }

    /// Length of a tick.
    pub(super) fn seconds_per_tick(&self) -> f64 {
        self.seconds_per_tick
    }

    /// What the pass of launch `index` writes.
    pub(super) fn around(&self, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * (index % LAUNCHES_PER_SET) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[index / LAUNCHES_PER_SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Records that the ticks of the first `launches` launches become readable.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, launches: usize) {
        for (index, set) in self.sets.iter().enumerate() {
            let first = index * LAUNCHES_PER_SET;
            let queries = 2 * launches.saturating_sub(first).min(LAUNCHES_PER_SET) as u32;
            if queries > 0 {
                let offset = 2 * first as u64 * u64::from(wgpu::QUERY_SIZE);
                encoder.resolve_query_set(set, 0..queries, &self.resolved, offset);
            }
        }
    }

    /// Ticks (begin, end) of the first `launches` launches.
    pub(super) async fn read(&self, context: &Context, launches: usize) -> Result<Vec<(u64, u64)>> {
        let place = Place { buffer: self.resolved.clone(), first: 0 };
        let words = readback::read(context, place, 4 * launches).await?;
        let tick = |words: &[u32]| u64::from(words[0]) | u64::from(words[1]) << 32;
        Ok(words.chunks_exact(4).map(|pair| (tick(&pair[..2]), tick(&pair[2..]))).collect())
    }
}
