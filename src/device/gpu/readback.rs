//! Reading a buffer without blocking: copy to a mappable buffer, map, copy out when the queue has come that far.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};

use super::context::Context;
use super::program::Place;
use crate::error::Result;

/// The outcome of a mapping or of a wait, or who waits for it.
#[derive(Default)]
struct Shared {
    outcome: Option<Result<(), String>>,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Mapping(Arc<Mutex<Shared>>);

impl Mapping {
    /// Settles the outcome, unless it is settled.
    fn settle(&self, outcome: Result<(), String>) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.outcome.get_or_insert(outcome);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Mapping {
    type Output = Result<(), String>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.outcome.clone() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                shared.waker = Some(task.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The first `words` words at `place`, after everything queued so far.
pub(super) async fn read(context: &Context, place: Place, words: usize) -> Result<Vec<u32>> {
    context.check()?;
    if words == 0 {
        return Ok(Vec::new());
    }
    let bytes = 4 * words as u64;
    let target = context.scoped(&format_args!("a readback of {bytes} bytes"), || {
        context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    })?;
    let mut encoder =
        context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("readback") });
    encoder.copy_buffer_to_buffer(&place.buffer, 4 * place.first as u64, &target, 0, bytes);
    let submission = context.queue.submit([encoder.finish()]);
    let mapping = Mapping::default();
    let callback = mapping.clone();
    target.slice(..).map_async(wgpu::MapMode::Read, move |result| {
        callback.settle(result.map_err(|e| format!("reading back failed: {e}")));
    });
    context.waits.fetch_add(1, Ordering::Relaxed);
    drive(context.device.clone(), submission, mapping.clone());
    let outcome = mapping.await;
    // A lost device also ends mappings; its own message says more.
    context.check()?;
    outcome.map_err(|message| context.error(message))?;
    let view = target.slice(..).get_mapped_range().map_err(|e| context.error(format!("reading back failed: {e}")))?;
    let mut result = vec![0u32; words];
    bytemuck::cast_slice_mut::<u32, u8>(&mut result).copy_from_slice(&view);
    Ok(result)
}

/// Ready when the queue is done with everything submitted so far, of which `submission` is the last.
pub(super) async fn done(context: &Context, submission: wgpu::SubmissionIndex) -> Result<()> {
    let mapping = Mapping::default();
    let callback = mapping.clone();
    context.queue.on_submitted_work_done(move || callback.settle(Ok(())));
    context.waits.fetch_add(1, Ordering::Relaxed);
    drive(context.device.clone(), submission, mapping.clone());
    let outcome = mapping.await;
    context.check()?;
    outcome.map_err(|message| context.error(message))
}

/// Outside a browser somebody has to wait for the queue so that the callback runs: a thread of its own, since the future
/// must not block.
#[cfg(not(target_arch = "wasm32"))]
fn drive(device: wgpu::Device, submission: wgpu::SubmissionIndex, mapping: Mapping) {
    std::thread::spawn(move || {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        let outcome = device.poll(wait);
        // The callback has run by now, unless the wait failed.
        mapping.settle(Err(match outcome {
            Ok(_) => "the queue is done, and nothing came of it".to_string(),
            Err(e) => format!("waiting for the device failed: {e}"),
        }));
    });
}

#[cfg(target_arch = "wasm32")]
fn drive(_: wgpu::Device, _: wgpu::SubmissionIndex, _: Mapping) {}
