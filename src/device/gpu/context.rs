//! An open device: its queue, its buffers, and the errors that wgpu reports out of turn.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};

use super::adapter::{self, Selector};
use crate::device::{DeviceInfo, Store};
use crate::error::{Error, Result};
use crate::kernel::GpuLimits;

/// How to open a GPU.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Which adapter.
    pub selector: Selector,
    /// Use no more than every WebGPU implementation guarantees, so that what runs here runs in a browser.
    pub portable: bool,
    /// Let every shader check its indices and bound its loops; slower, for tests and for hunting bugs.
    pub shader_checks: bool,
    /// Ask for timestamps, for [`crate::device::Session::run_traced`], where the adapter has them.
    pub timestamps: bool,
    /// Measure which kernels are fastest, and keep that and compiled pipelines here; see [`crate::device::OpenOptions`].
    pub store: Option<Arc<dyn Store>>,
    /// Tighter limits than the adapter's, for tests and benches of how work is cut. A value looser than the adapter's is cut to it.
    pub limits: Option<GpuLimits>,
}

/// The first error that wgpu reported outside a call, kept until a call can return it.
#[derive(Clone, Debug, Default)]
struct Latch(Arc<Mutex<Option<String>>>);

impl Latch {
    fn set(&self, message: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    pub(super) limits: GpuLimits,
    pub(super) shader_checks: bool,
    /// The device writes timestamps.
    pub(super) timestamps: bool,
    /// How often anything has waited for the queue.
    pub(super) waits: AtomicUsize,
    largest_buffer: u64,
    latch: Latch,
}

impl Context {
    pub(super) async fn open(options: &GpuOptions) -> Result<Context> {
        let (index, adapter) = adapter::choose(&options.selector).await?;
        let about = adapter.get_info();
        let info = DeviceInfo {
            id: format!("gpu:{index}"),
            name: about.name.clone(),
            backend: adapter::backend_name(about.backend),
            driver: adapter::driver_name(&about),
        };
        let required_limits = if options.portable { wgpu::Limits::default() } else { adapter.limits() };
        let subgroups = match adapter.features().contains(wgpu::Features::SUBGROUP) && !options.portable {
            true => about.subgroup_min_size,
            false => 0,
        };
        let mut limits = adapter::gpu_limits(&required_limits, about.device_type, subgroups);
        if let Some(wanted) = options.limits {
            limits = tighter(limits, wanted);
        }
        let largest_buffer = required_limits.max_buffer_size;
        let timed = options.timestamps || options.store.is_some();
        let mut wanted = wgpu::Features::empty();
        wanted.set(wgpu::Features::TIMESTAMP_QUERY, timed);
        wanted.set(wgpu::Features::PIPELINE_CACHE, options.store.is_some());
        wanted.set(wgpu::Features::SUBGROUP, limits.subgroups > 0);
        let required_features = adapter.features() & wanted;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("smallbox"),
            required_features,
            required_limits,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|e| Error::device(&info.id, format!("{}: {e}", info.name)))?;
        let latch = Latch::default();
        let uncaptured = latch.clone();
        device.on_uncaptured_error(Arc::new(move |e| uncaptured.set(e.to_string())));
        let lost = latch.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.set(format!("the device was lost: {message}"));
            }
        });
        let (shader_checks, waits) = (options.shader_checks, AtomicUsize::new(0));
        let timestamps = required_features.contains(wgpu::Features::TIMESTAMP_QUERY);
        Ok(Context { device, queue, info, limits, shader_checks, timestamps, waits, largest_buffer, latch })
    }

    /// An error of this device.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::device(&self.info.id, message)
    }

    /// What wgpu reported since the device was opened, if anything: nothing computed after it can be trusted.
    pub(super) fn check(&self) -> Result<()> {
        self.latch.get().map_or(Ok(()), |message| Err(self.error(message)))
    }

    /// Runs `work`, which talks to the device, and names `what` in the error it causes, if any.
    pub(super) fn scoped<T>(&self, what: &dyn std::fmt::Display, work: impl FnOnce() -> T) -> Result<T> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let errors = [ready(validation.pop()), ready(memory.pop()), ready(internal.pop())];
        match errors.into_iter().flatten().flatten().next() {
            None => Ok(result),
            Some(wgpu::Error::OutOfMemory { .. }) => Err(self.error(format!("out of memory for {what}"))),
            Some(error) => Err(self.error(format!("{what}: {error}"))),
        }
    }

    /// A storage buffer of `words` words, filled with zeros.
    pub(super) fn buffer(&self, label: &str, words: usize) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.buffer_for(label, 4 * words.max(1) as u64, usage)
    }

    /// A buffer of `bytes` bytes for `usage`, filled with zeros.
    pub(super) fn buffer_for(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        if bytes > self.largest_buffer {
            let message = format!("{label} needs {bytes} bytes, a buffer of this device holds {}", self.largest_buffer);
            return Err(self.error(message));
        }
        self.scoped(&format_args!("{label}, {bytes} bytes"), || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        })
    }
}

fn tighter(a: GpuLimits, b: GpuLimits) -> GpuLimits {
    GpuLimits {
        binding_words: a.binding_words.min(b.binding_words),
        groups_per_axis: a.groups_per_axis.min(b.groups_per_axis),
        workgroup_bytes: a.workgroup_bytes.min(b.workgroup_bytes),
        invocations: a.invocations.min(b.invocations),
        offset_words: a.offset_words.max(b.offset_words),
        dispatch_flops: a.dispatch_flops.min(b.dispatch_flops),
        software: b.software,
        subgroups: a.subgroups.min(b.subgroups),
        variant: b.variant,
    }
}

/// The value of a future that is ready, as the results of error scopes are outside a browser. In a browser they come
/// later, and the error reaches the latch instead.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
