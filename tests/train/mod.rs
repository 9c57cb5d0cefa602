//! Training as a whole: boxes and attacks as graphs, steps on both devices, determinism, resume, divergence.

mod attack;
mod cifar;
mod expressive;
mod pieces;
mod region;
mod runs;
mod taps;
