//! Shared native kernels of the heavy ops: convolution, linear, and their interval forms.
//!
//! From the ground: [`lanes`] (vectors of one instruction set; [`x86`], [`neon`]) → [`tile`] and [`channel_tile`] (micro-kernels over a
//! register tile), [`blocks`] (copies, transposition), [`epilogue`] (what happens to sums before they are written) and
//! [`box_relu`] (and after that), [`ahead`] (what is asked for before it is needed) with [`cache`] → [`gather`] (convolution and its input gradient), [`correlate`] (the weight gradient, with
//! that of the [`bias`]), [`columns`] (all three where sums have few terms) and [`matmul`] (the three products of a linear
//! layer), each over [`workers`].
//! [`axis`] and [`band`] describe which input a convolution reads. [`winograd`] does with fewer multiplications what another
//! rounding is allowed for, and [`convolution`] chooses.
//!
//! Images lie in planes or, for kernels that take that, in blocks of channels as wide as a vector ([`Layout`](crate::kernel::Layout)).
//!
//! Everything that depends on shapes is decided when the call is built; a call allocates nothing. Work is cut by shapes
//! and partial sums are added in a fixed order: results don't depend on the number of threads.

mod ahead;
mod axis;
mod band;
pub(crate) mod bias;
pub(crate) mod blocks;
mod box_relu;
mod cache;
mod channel_tile;
mod columns;
pub(crate) mod convolution;
pub(crate) mod correlate;
mod epilogue;
pub(crate) mod gather;
pub(crate) mod lanes;
pub(crate) mod matmul;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod peak;
#[cfg(test)]
mod tests;
mod tile;
pub(crate) mod winograd;
pub(crate) mod workers;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use epilogue::Epilogue;
