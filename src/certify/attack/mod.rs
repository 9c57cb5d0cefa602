//! Attacks: searches for a point of a box that breaks a property.
//!
//! ```text
//! properties ─→ rows (property × clause) ─→ start ─→ N steps on the device ─→ point of the least margin ─→ replay in f64
//! ```
//! Every row has its own copy of the input and its own objective; the gradients of all rows are one backward pass. The steps of
//! an attack are queued without waiting for the device, but for a few looks (see [`Attacker::run`]).
//!
//! # Points
//! Devices work in f32. A counter-example is an f64 point that lies in the property's box, an ulp or two inside where the ends
//! were rounded, and that [`Prover::refutes`](crate::certify::proof::Prover::refutes) has confirmed over the real numbers. What a device says about a point counts
//! for nothing.

mod attacker;
mod objective;
mod point;
mod program;
mod save;
mod spec;

pub use attacker::{Attacked, Attacker, Strongest, rows_that_fit};
pub use point::in_ball;
pub use save::Adversarial;
pub use spec::{AttackSpec, Loss, Method};
