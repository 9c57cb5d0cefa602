//! The GPU device: plans as compute passes through wgpu, over Vulkan, Metal and DX12. Nothing outside this folder names wgpu.
//!
//! A program is compiled once into pipelines, buffers and bind groups; a run uploads its inputs, records one compute pass
//! and submits it. Set-up and reading are futures, and nothing here blocks: the command line and tests do.
//! Results on one adapter with one driver are reproducible bit for bit (no float atomics, fixed trees); between adapters
//! they agree up to rounding, which WGSL leaves open.
//!
//! Where several kernels can do the same, a session with a [`crate::device::Store`] measures which is fastest (`tune`). They differ in
//! tiles and groups, never in the order of a sum, and parts of sums come from the shapes, so the choice changes no bit where the driver
//! rounds each multiplication and addition alone, or fuses all alike; on lavapipe a test compares them. WGSL lets a driver decide
//! kernel by kernel whether it fuses: there two choices may differ in the last bits, and a session without a store (`--deterministic`)
//! takes the same kernels in every process.

mod adapter;
mod context;
mod params;
mod pipeline_cache;
mod pipelines;
mod program;
mod readback;
mod session;
mod staging;
mod stopwatch;
mod timestamps;
mod tune;
mod tuning;

pub use adapter::{AdapterDescription, Selector, adapters};
pub use context::GpuOptions;
pub use session::GpuSession;

use sha2::{Digest, Sha256};

use super::DeviceInfo;

/// What the files of an adapter with its driver are called.
fn store_name(info: &DeviceInfo) -> String {
    let digest = Sha256::digest(format!("{}\n{}\n{}", info.name, info.backend, info.driver));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("gpu-{digest}")
}
