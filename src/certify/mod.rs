//! Certification: bounds of a network over a box, attacks, branch-and-bound, and proofs that anyone can check.
//!
//! Everything here works on a [`network::ReluNetwork`] (affine maps and ReLUs over the real numbers, from a trained model or an ONNX
//! file) and a [`property::Property`] (a box of inputs and what a counter-example would do there). Devices propose: bounds,
//! slopes, multipliers, splits. Only the native checker, which derives every number again, proves.

pub mod attack;
pub mod bounds;
pub mod branch;
pub mod cascade;
pub mod certificate;
pub mod exact;
pub mod network;
pub mod proof;
pub mod property;
pub mod query;
pub mod record;
