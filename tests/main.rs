//! All integration tests in one binary: one link instead of many.

mod data;
mod gpu;
