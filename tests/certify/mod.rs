//! Certification: networks and properties as verifiers see them.

mod files;
mod network;
mod onnx;
