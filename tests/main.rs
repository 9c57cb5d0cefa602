//! All integration tests in one binary: one link instead of many.

mod common;
mod data;
mod golden;
mod graph;
mod layering;
mod ops;
mod soundness;
mod train;
