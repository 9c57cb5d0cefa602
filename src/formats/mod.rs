//! Files that other programs read and write. Plain data in, plain data out: nothing here knows a network or a device.

pub mod atomic;
pub mod onnx;
mod packed;
pub mod tensorboard;
pub mod tensors;
pub mod vnnlib;
