//! Certification: networks as verifiers see them, proofs and certificates.

mod nets;
mod proof;
