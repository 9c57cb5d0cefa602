//! Datasets: reading, generating, checking and downloading them, and cutting them into batches.
//!
//! ```text
//! manifest ─→ fetch ─→ files ─→ idx ─┐
//!                embedded (generated) ┴─→ Dataset { train, validation, test } ─→ Batches
//! ```
//!
//! Stands on `error` and `philox` alone. Nothing here prints: progress goes through a callback, results are returned.

mod batches;
mod catalog;
mod check;
mod contact_sheet;
mod dataset;
pub mod embedded;
mod fetch;
pub mod idx;
mod locate;
mod manifest;
mod split;

pub use batches::{Batches, epoch_order};
pub use catalog::{DatasetInfo, FileReport, FileStatus, Location, list, split_sha256, verify, verify_entry};
pub use check::Checked;
pub use contact_sheet::contact_sheet;
pub use dataset::{Dataset, LoadOptions, load};
pub use fetch::{FetchEvent, Progress, fetch, fetch_entry};
pub use locate::{DATA_DIR_VARIABLE, DEFAULT_DATA_DIR, data_root};
pub use manifest::{Entry, FileEntry, Manifest};
pub use split::{ChannelStatistics, Split};
