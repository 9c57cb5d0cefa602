//! Which dispatches the variants make, without a device.

use std::collections::BTreeSet;

use smallbox::graph::Plan;
use smallbox::kernel::{Dispatch, GpuLimits};
use smallbox::ops::shaders;

use super::variants;
use super::workloads::all;

/// Every dispatch of every workload under `limits`.
pub fn dispatches(limits: &GpuLimits) -> Vec<Dispatch> {
    let mut found = Vec::new();
    for w in all() {
        for step in Plan::new(w.graph).unwrap().steps {
            found.extend(step.op.gpu(&step.signature, limits).unwrap().dispatches);
        }
    }
    found
}

#[test]
fn the_variants_use_every_shader() {
    let used: BTreeSet<&str> =
        variants().iter().flat_map(|(_, limits)| dispatches(limits)).map(|d| d.shader.name).collect();
    let all: BTreeSet<&str> = shaders::ALL.iter().map(|s| s.name).collect();
    assert_eq!(used, all);
}

#[test]
fn every_dispatch_fits_the_portable_limits() {
    for d in dispatches(&GpuLimits::PORTABLE) {
        assert_eq!(d.binds.len(), d.shader.bindings.len(), "{}", d.shader.name);
        assert!(d.binds.len() <= 8, "{}: 8 storage buffers are all that WebGPU guarantees", d.shader.name);
        assert!(d.groups.iter().all(|&g| (1..=65_535).contains(&g)), "{}: {:?}", d.shader.name, d.groups);
    }
}
