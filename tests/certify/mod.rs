//! Certification: networks and properties as verifiers see them, proofs and certificates.

mod certificate;
mod nets;
mod network;
mod proof;
