//! smallbox trains and certifies provably robust image classifiers with SABR (small adversarial bounding boxes), on its own
//! tensor engine: hand-written WGSL compute shaders through wgpu, and native kernels for machines without a GPU.
//!
//! # The way of the data
//! ```text
//! config ─→ dataset ─→ batches ─┐
//!                               ├─→ Program.run ─→ metrics, checkpoint
//! network ─→ Graph ─→ autodiff ─→ Plan ─→ Program (per device)
//! ```
//! A [`graph::Graph`] is a dataflow of ops over shaped values. [`graph::autodiff`] extends it by gradients (graph → graph),
//! [`graph::Plan`] drops dead nodes, fuses, orders, and shares buffers; a [`device::Session`] compiles plans into programs
//! and keeps the states they share. Training, attacks, evaluation and bounds are all programs.
//!
//! # Modules, from the ground up
//! [`error`], [`shape`], [`kernel`] (plain descriptions of device work) and [`philox`] (random numbers) → [`graph`] →
//! [`ops`] and [`device`], side by side: they meet in the [`graph::Op`] trait and the kernel descriptions; [`profile`] measures both → [`interval`] →
//! [`nn`] → [`train`], [`certify`] and [`export`] → [`analyze`] → [`report`] → the command line. [`data`] and [`formats`] stand apart on [`error`] and
//! [`shape`], [`numbers`] and [`figure`] (charts) on nothing else.
//! Nothing here prints; a test holds the `use crate::` lines against this order.
//!
//! # Letters
//! N batch, C/O channels in and out, H W, KH KW, F/G features in and out, K classes.

pub mod analyze;
pub mod certify;
pub mod data;
pub mod device;
pub mod error;
pub mod export;
pub mod figure;
pub mod formats;
pub mod graph;
pub mod interval;
pub mod kernel;
pub mod nn;
pub mod numbers;
pub mod ops;
pub mod philox;
pub mod profile;
pub mod report;
pub mod shape;
pub mod train;
