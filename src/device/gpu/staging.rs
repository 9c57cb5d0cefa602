//! Buffers that the inputs of a run pass through: the host writes one while the device still copies from others.

use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use crate::error::Result;

/// Buffers of one size, made when none is free and used again once the device has read them.
pub(super) struct Staging {
    bytes: u64,
    /// Those that are mapped for writing.
    free: Arc<Mutex<Vec<wgpu::Buffer>>>,
}

impl Staging {
    /// No buffers yet, of `bytes` bytes each.
    pub(super) fn new(bytes: u64) -> Staging {
        Staging { bytes, free: Arc::default() }
    }

    /// A buffer with what `write` writes into it, unmapped.
    pub(super) fn fill(
        &self,
        context: &Context,
        write: impl FnOnce(&mut wgpu::BufferViewMut) -> Result<()>,
    ) -> Result<wgpu::Buffer> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match free {
            Some(buffer) => buffer,
            None => context.scoped(&format_args!("inputs, {} bytes", self.bytes), || {
                context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("inputs"),
                    size: self.bytes,
                    usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                })
            })?,
        };
        let mut view = buffer.get_mapped_range_mut(..).map_err(|e| context.error(format!("writing inputs: {e}")))?;
        write(&mut view)?;
        drop(view);
        buffer.unmap();
        Ok(buffer)
    }

    /// Takes a buffer back, after the submission of what reads it.
    pub(super) fn take_back(&self, buffer: wgpu::Buffer) {
        let (free, mapped) = (self.free.clone(), buffer.clone());
        buffer.slice(..).map_async(wgpu::MapMode::Write, move |outcome| {
            // One that can't be mapped again, as after the loss of the device, is dropped.
            if outcome.is_ok() {
                free.lock().unwrap_or_else(PoisonError::into_inner).push(mapped);
            }
        });
    }
}
