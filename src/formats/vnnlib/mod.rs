//! VNN-LIB files: boxes of inputs and what a counter-example would do, for verifiers; and the list of instances that goes with
//! them. The form is that of VNN-COMP's benchmarks.

mod decimal;
mod expression;
mod read;
mod write;

pub use decimal::Decimal;
pub use read::{Case, Inequality, Query};
pub use write::{Property, instance};
