//! Certification: bounds on devices, proofs and certificates.

mod bounds;
mod golden;
mod nets;
mod oracle;
mod proof;
