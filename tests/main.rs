//! All integration tests in one binary: one link instead of many.

mod common;
mod data;
mod golden;
mod gpu;
mod ops;
mod train;
