//! The GPU device: shaders as text, every op against the native device, kernel variants, cutting to limits, errors.

mod devices;
mod shaders;
mod speed;
mod tuning;
mod variants;
mod workloads;

use smallbox::device::gpu::{GpuOptions, GpuSession, Selector};
use smallbox::kernel::{GpuLimits, Variant, WIDE_TILES};

/// A session on the first adapter of any kind; `None`, with a line that says so, where there is none.
/// With `SMALLBOX_REQUIRE_GPU=1` that is a failure.
fn session(options: GpuOptions) -> Option<GpuSession> {
    let options = GpuOptions { selector: Selector::Index(0), ..options };
    match pollster::block_on(GpuSession::open(&options)) {
        Ok(session) => Some(session),
        Err(error) => {
            assert!(std::env::var("SMALLBOX_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {error}");
            println!("skipped: no adapter");
            None
        }
    }
}

/// Limits that ask for the kernels of a hardware adapter, of a software adapter, and the baseline.
fn variants() -> [(&'static str, GpuLimits); 7] {
    let tiled = GpuLimits { workgroup_bytes: 32_768, invocations: 1024, ..GpuLimits::PORTABLE };
    [
        ("tiled", tiled),
        ("tiled, portable", GpuLimits::PORTABLE),
        ("wide", GpuLimits { variant: Some(Variant::Wide(WIDE_TILES[0])), ..tiled }),
        ("subgroups", GpuLimits { subgroups: 8, ..tiled }),
        ("register", GpuLimits { software: true, ..tiled }),
        ("register, subgroups", GpuLimits { software: true, subgroups: 8, ..tiled }),
        ("plain", GpuLimits { variant: Some(Variant::Plain), ..tiled }),
    ]
}
