//! `smallbox train --dry-run`: what a run would do, phase by phase.

use std::sync::Arc;

use smallbox::data::Dataset;
use smallbox::device::Session;
use smallbox::error::Result;
use smallbox::train::{Config, DryRun, Trainer};

use super::format::{Side, bytes, count, flops, table};
use super::output;

/// Compiles every phase on the device and prints it.
pub fn run(config: &Config, dataset: Arc<Dataset>, session: Box<dyn Session>, json: bool) -> Result<()> {
    let device = session.device().id.clone();
    let found = Trainer::new(config, dataset, session, None)?.dry_run()?;
    if json {
        let mut document = serde_json::to_value(&found).expect("figures are plain data");
        document["device"] = device.into();
        return output::print_json(&document);
    }
    output::print(&format!(
        "{} parameters, batch {}, on {device}; per step:\n\n{}\npeak device memory {}\n",
        count(found.parameters as u64),
        config.batch,
        phases(&found),
        bytes(found.peak_bytes as u64)
    ))
}

fn phases(found: &DryRun) -> String {
    let head =
        ["phase", "nodes", "after fusion", "kernels", "launches", "arithmetic", "traffic", "work buffers", "memory"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(found.phases.iter().map(|phase| {
        vec![
            phase.name.to_string(),
            count(phase.nodes as u64),
            count(phase.steps as u64),
            count(phase.kernels as u64),
            count(phase.launches as u64),
            flops(phase.flops),
            bytes(phase.bytes),
            bytes(phase.slot_bytes as u64),
            bytes(phase.memory.total() as u64),
        ]
    }));
    let mut sides = [Side::Right; 9];
    sides[0] = Side::Left;
    table(&sides, &rows)
}
