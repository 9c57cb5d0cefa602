//! Proofs of lower bounds that hold for real arithmetic over the stored weights.

mod backward;
mod forward;
mod kernels;
mod objective;
mod point;
mod prover;
mod region;
mod rounding;
mod rows;

pub use objective::{Leaf, Objective, Side, Slopes, Split, Start};
pub use point::{evaluate, refutes};
pub use prover::Prover;
pub use region::{Derivation, Region};
