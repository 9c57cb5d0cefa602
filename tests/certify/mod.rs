//! Certification: networks and properties as verifiers see them, bounds on devices, attacks, proofs.

mod attack;
mod bounds;
mod golden;
mod nets;
mod network;
mod oracle;
mod proof;
