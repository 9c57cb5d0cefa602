//! Datasets: reading, generating, checking and downloading them, and cutting them into batches.
//!
//! ```text
//! manifest ─→ fetch ─→ files ─→ idx, records, tiny_imagenet ─┐
//!                                       embedded, plane (generated) ┴─→ Dataset { train, validation, test } ─→ Batches ─→ Loader
//! ```
//!
//! Stands on `error` and `philox` alone. Nothing here prints: progress goes through a callback, results are returned.

mod augment;
mod batches;
mod catalog;
mod check;
mod contact_sheet;
mod dataset;
mod download;
pub mod embedded;
mod fetch;
mod gzip;
pub mod idx;
mod loader;
mod locate;
mod manifest;
pub mod plane;
mod records;
mod split;
mod tiny_imagenet;
mod unpack;

pub use augment::View;
pub use batches::{Batches, epoch_order};
pub use catalog::{DatasetInfo, FileReport, FileStatus, Location, list, split_sha256, verify, verify_entry};
pub use check::Checked;
pub use contact_sheet::contact_sheet;
pub use dataset::{Dataset, LoadOptions, augmentation, load};
pub use fetch::{FetchEvent, Progress, fetch, fetch_entry};
pub use loader::{Loader, LoaderOptions, TrainingBatch};
pub use locate::{DATA_DIR_VARIABLE, DEFAULT_DATA_DIR, data_root};
pub use manifest::{Archive, Augmentation, Entry, FileEntry, Format, Manifest, Normalisation, Role};
pub use split::{ChannelStatistics, Split};
