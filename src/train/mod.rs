//! Training: configuration, methods, the step as a program, the loop, checkpoints, evaluation.

pub mod attack;
mod bench;
pub mod checkpoint;
mod classify;
pub mod clip;
mod config;
mod evaluate;
pub mod latent;
pub mod methods;
mod objective;
mod population;
pub mod presets;
pub mod published;
pub mod regulariser;
mod run_directory;
pub mod schedule;
pub mod step;
mod trainer;

pub use bench::{StepBench, Work};
pub use classify::{logits, outputs};
pub use config::{BnStats, Config, Init, MethodKind, Optimizer, Regulariser, RunRecord};
pub use evaluate::{Evaluation, Evaluator, Rate, SmallBox};
pub use run_directory::RunDirectory;
pub use trainer::{
    BestEpoch, DryRun, EVALUATION_BATCH, EpochMetrics, Observer, Outcome, PhaseInfo, Progress, SliceRates, Stop,
    Trainer, network_for,
};
