//! How long work takes on the device, waited for.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::context::Context;
use crate::error::Result;

/// Two timestamps around a compute pass where the adapter writes them, else the host's clock around submission and wait.
pub(super) struct Stopwatch(Option<Ticks>);

struct Ticks {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
    seconds_per_tick: f64,
}

/// Bytes of two timestamps.
const BYTES: u64 = 2 * wgpu::QUERY_SIZE as u64;

impl Stopwatch {
    pub(super) fn new(context: &Context) -> Result<Stopwatch> {
        if !context.timestamps {
            return Ok(Stopwatch(None));
        }
        let buffer = |usage| {
            let label = Some("stopwatch");
            context.device.create_buffer(&wgpu::BufferDescriptor {
                label,
                size: BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        let ticks = context.scoped(&"a stopwatch", || Ticks {
            set: context.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("stopwatch"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readable: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            seconds_per_tick: 1e-9 * f64::from(context.queue.get_timestamp_period()),
        })?;
        Ok(Stopwatch(Some(ticks)))
    }

    /// Seconds of a pass with what `record` puts into it. Blocks the thread until it is done.
    pub(super) fn seconds(&self, context: &Context, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Result<f64> {
        let mut encoder =
            context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("stopwatch") });
        let writes = self.0.as_ref().map(|ticks| wgpu::ComputePassTimestampWrites {
            query_set: &ticks.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        {
            let descriptor = wgpu::ComputePassDescriptor { label: Some("stopwatch"), timestamp_writes: writes };
            record(&mut encoder.begin_compute_pass(&descriptor));
        }
        if let Some(ticks) = &self.0 {
            encoder.resolve_query_set(&ticks.set, 0..2, &ticks.resolved, 0);
            encoder.copy_buffer_to_buffer(&ticks.resolved, 0, &ticks.readable, 0, BYTES);
        }
        let begun = Instant::now();
        context.queue.submit([encoder.finish()]);
        let Some(ticks) = &self.0 else {
            wait(context)?;
            return Ok(begun.elapsed().as_secs_f64());
        };
        // What became of the mapping shows in the view.
        ticks.readable.slice(..).map_async(wgpu::MapMode::Read, drop);
        wait(context)?;
        let failed = |error: &dyn std::fmt::Display| context.error(format!("reading timestamps failed: {error}"));
        let words: [u64; 2] = {
            let view = ticks.readable.slice(..).get_mapped_range().map_err(|e| failed(&e))?;
            [0, 8].map(|at| u64::from_le_bytes(view[at..at + 8].try_into().expect("eight bytes")))
        };
        ticks.readable.unmap();
        Ok(words[1].saturating_sub(words[0]) as f64 * ticks.seconds_per_tick)
    }
}

/// Waits for everything submitted.
fn wait(context: &Context) -> Result<()> {
    context.waits.fetch_add(1, Ordering::Relaxed);
    let waited = context.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None });
    waited.map_err(|e| context.error(format!("waiting for the device failed: {e}")))?;
    context.check()
}
