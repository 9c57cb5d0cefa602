//! Autodiff, plans, programs.

mod allocation;
mod autodiff;
mod determinism;
mod plan;
mod poison;
