//! Where the time goes: traced runs as tables and timelines, held against what the device can do.
//!
//! [`Roofs`] are the best that kernels made for it get out of a device: multiply-adds in registers, streams through memory, launches
//! of next to no work. A [`Profile`] gathers the [`RunTrace`](crate::device::RunTrace)s of one program into [`Row`]s and says how
//! near the roofs each kernel comes (Williams, Waterman and Patterson 2009). [`timeline`] is the same as a file for Chrome or
//! Perfetto. [`kernels`] holds kernels at the sizes of real layers, for benches.

pub mod kernels;
mod roofs;
mod table;
mod timeline;

pub use roofs::{Bound, Least, Roofs, Stream};
pub use table::{By, Profile, Row, RunTimes, quantile};
pub use timeline::timeline;
