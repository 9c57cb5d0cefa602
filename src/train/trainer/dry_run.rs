//! What a run would do: each phase's program, compiled and described.

use serde::Serialize;

use super::Trainer;
use crate::device::Memory;
use crate::error::Result;
use crate::train::step::{Phase, plan_step};

/// What `--dry-run` shows.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Each phase in the order it comes.
    pub phases: Vec<PhaseInfo>,
    /// Trainable scalars.
    pub parameters: usize,
    /// Greatest device memory of any phase and of the evaluations.
    pub peak_bytes: usize,
}

/// One phase's program.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseInfo {
    /// `natural`, `mixed`, `annealing` or `full`.
    pub name: &'static str,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Nodes left after dead-code elimination and fusion.
    pub steps: usize,
    /// Different kernels.
    pub kernels: usize,
    /// Kernel launches (on a GPU: dispatches) per step.
    pub launches: usize,
    /// Floating-point operations per step.
    pub flops: u64,
    /// Bytes read and written per step if every operand crosses memory once.
    pub bytes: u64,
    /// Bytes of the reused work buffers.
    pub slot_bytes: usize,
    /// Device memory with this phase's program.
    pub memory: Memory,
}

impl Trainer {
    /// Compiles each phase's program and describes it, and those of the evaluations for their memory; trains nothing.
    pub fn dry_run(&mut self) -> Result<DryRun> {
        let mut phases: Vec<(Phase, PhaseInfo)> = Vec::new();
        let per_epoch = self.steps_per_epoch();
        for epoch in 1..=self.config.epochs {
            for batch in [0, per_epoch - 1] {
                let phase = self.scheduled(epoch, batch).phase;
                if phases.iter().any(|(seen, _)| *seen == phase) {
                    continue;
                }
                let plan = plan_step(&self.network, &self.config, phase)?;
                let program = self.program(phase)?;
                let launches = self.session.program_info(program).launches;
                let mut kernels: Vec<&str> = launches.iter().map(|launch| launch.kernel).collect();
                kernels.sort_unstable();
                kernels.dedup();
                let cost = plan.cost();
                let info = PhaseInfo {
                    name: phase.name(),
                    nodes: plan.graph_nodes,
                    steps: plan.steps.len(),
                    kernels: kernels.len(),
                    launches: launches.len(),
                    flops: cost.flops,
                    bytes: cost.bytes,
                    slot_bytes: plan.slot_bytes(),
                    memory: self.session.memory(),
                };
                phases.push((phase, info));
            }
        }
        self.monitor_evaluator()?.release(self.session.as_mut());
        self.final_evaluator()?.release(self.session.as_mut());
        Ok(DryRun {
            phases: phases.into_iter().map(|(_, info)| info).collect(),
            parameters: self.network.parameter_count(),
            peak_bytes: self.peak_bytes,
        })
    }
}
