//! The GPU device: plans as compute passes through wgpu, over Vulkan, Metal and DX12. Nothing outside this folder names wgpu.
//!
//! A program is compiled once into pipelines, buffers and bind groups; a run uploads its inputs, records one compute pass
//! and submits it. Set-up and reading are futures, and nothing here blocks: the command line and tests do.
//! Results on one adapter with one driver are reproducible bit for bit (no float atomics, fixed trees); between adapters
//! they agree up to rounding, which WGSL leaves open.

mod adapter;
mod context;
mod pipelines;
mod program;
mod readback;
mod session;
mod timestamps;

pub use adapter::{AdapterDescription, Selector, adapters};
pub use context::GpuOptions;
pub use session::GpuSession;
