//! All integration tests in one binary: one link instead of many.

mod analyze;
mod certify;
mod cli;
mod common;
mod data;
mod golden;
mod gpu;
mod graph;
mod interchange;
mod layering;
mod ops;
mod profile;
mod soundness;
mod train;
