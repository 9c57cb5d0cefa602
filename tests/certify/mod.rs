//! Certification: networks and properties as verifiers see them.

mod network;
