//! Reader of CIFAR's binary files: records of label bytes and pixels, C, H, W. Source: the format's description at
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! The files have no header, so all that can be told from one is that it holds whole records and that every label is a class.

use std::path::Path;

use super::check::check_labels;
use super::gzip;
use super::manifest::{Entry, FileEntry};
use crate::error::{Error, Result};

/// What a file of records holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Records {
    /// The last label byte of each record.
    pub(super) labels: Vec<u8>,
    /// Pixels of all records, N, C, H, W.
    pub(super) images: Vec<u8>,
    /// The uncompressed file as it is stored.
    pub(super) content: Vec<u8>,
}

/// Reads `path`, plain or gzip'd, as the file `file` of `entry`.
///
/// # Errors
/// [`Error::Data`] when the file is larger than published, does not consist of whole records, or holds a label that is no
/// class; [`Error::Io`] when the system can't read it.
pub(super) fn read(path: &Path, entry: &Entry, file: &FileEntry) -> Result<Records> {
    let record = entry.record_bytes();
    let content = gzip::read(path, file.bytes)?;
    if content.len() as u64 > file.bytes {
        return Err(Error::data(path, format!("too long: expected at most {} bytes, found more", file.bytes)));
    }
    if content.is_empty() || content.len() % record != 0 {
        return Err(Error::data(
            path,
            format!(
                "truncated or not a file of {}: expected records of {record} bytes, found {} bytes in all",
                entry.name,
                content.len()
            ),
        ));
    }
    let label_bytes = entry.format.label_bytes();
    let labels: Vec<u8> = content.chunks_exact(record).map(|r| r[label_bytes - 1]).collect();
    check_labels(path, &labels, entry.classes)?;
    let images = content.chunks_exact(record).flat_map(|r| &r[label_bytes..]).copied().collect();
    Ok(Records { labels, images, content })
}
