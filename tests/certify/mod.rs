//! Certification: networks and properties as verifiers see them, bounds on devices, attacks, proofs and certificates.

mod attack;
mod bounds;
pub mod branch;
mod certificate;
mod exact;
pub mod files;
mod golden;
pub mod nets;
mod network;
mod onnx;
pub mod oracle;
mod proof;
mod query;
pub mod regions;
