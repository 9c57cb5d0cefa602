//! Autodiff, plans, programs.

mod autodiff;
mod determinism;
mod plan;
mod poison;
