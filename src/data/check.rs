//! What is known about a data file after looking at it: structure, counts, checksums.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::idx::{self, Idx, Kind};
use super::manifest::{Entry, FileEntry, Role};
use super::records;
use crate::error::{Error, Result};

/// How far a file that is in order could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The SHA-256 of the uncompressed content is the known one.
    Content,
    /// The file is bit for bit the archive that the publishers distribute (SHA-256).
    Archive,
    /// Magic number, sizes, counts and label range are right; no checksum is known for the form this file has.
    Structure,
}

/// Where a file came from, which decides what a differing checksum of the archive means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Found in a folder: may have been packed anew, so another archive checksum proves nothing.
    Found,
    /// Just downloaded from a mirror: has to be the published archive.
    Downloaded,
}

/// Checks the file at `path` as the file `expected` of `entry`.
///
/// # Errors
/// [`Error::Data`] saying what is wrong, [`Error::Io`] when it can't be read.
pub(super) fn check_file(path: &Path, entry: &Entry, expected: &FileEntry, origin: Origin) -> Result<Checked> {
    let found = content_checked(path, entry, expected)?;
    if let Some(known) = &expected.sha256 {
        return if found == *known {
            Ok(Checked::Content)
        } else {
            Err(wrong_sum(path, "of the uncompressed content", known, &found))
        };
    }
    if let Some(known) = &expected.archive_sha256 {
        let found = file_sha256(path)?;
        if found == *known {
            return Ok(Checked::Archive);
        }
        if origin == Origin::Downloaded {
            return Err(wrong_sum(path, "of the .gz", known, &found));
        }
    }
    Ok(Checked::Structure)
}

/// SHA-256 of a file's uncompressed content, whose structure is the one that `expected` has.
fn content_checked(path: &Path, entry: &Entry, expected: &FileEntry) -> Result<String> {
    let kind = match expected.role {
        Role::TrainImages | Role::TestImages => Kind::Images,
        Role::TrainLabels | Role::TestLabels => Kind::Labels,
        Role::TrainRecords | Role::TestRecords => {
            let content = records::read(path, entry, expected)?.content;
            if content.len() as u64 != expected.bytes {
                let message =
                    format!("expected {} of {} bytes, found {}", expected.name, expected.bytes, content.len());
                return Err(Error::data(path, message));
            }
            return Ok(hex(&Sha256::digest(&content)));
        }
    };
    let content = idx::read(path, kind)?;
    let dims = entry.dims(expected.role);
    if content.dims != dims {
        let message = format!("expected {} of sizes {dims:?}, found {:?}", expected.name, content.dims);
        return Err(Error::data(path, message));
    }
    if kind == Kind::Labels {
        check_labels(path, &content.bytes, entry.classes)?;
    }
    Ok(content_sha256(&content))
}

pub(super) fn wrong_sum(path: &Path, of: &str, expected: &str, found: &str) -> Error {
    Error::data(path, format!("wrong SHA-256 {of}: expected {expected}, found {found}"))
}

/// Every label has to be below `classes`.
pub(super) fn check_labels(path: &Path, labels: &[u8], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(at) => {
            Err(Error::data(path, format!("label {} at position {at}; expected labels below {classes}", labels[at])))
        }
    }
}

/// SHA-256 of the uncompressed file that `content` was read from.
pub(super) fn content_sha256(content: &Idx) -> String {
    let mut hasher = Sha256::new();
    hasher.update(content.header());
    hasher.update(&content.bytes);
    hex(&hasher.finalize())
}

/// SHA-256 of the bytes of a file.
pub(super) fn file_sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut hasher = HashWriter(Sha256::new());
    io::copy(&mut file, &mut hasher).map_err(Error::io(path))?;
    Ok(hex(&hasher.0.finalize()))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}

/// Feeds what is written into a hash.
struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
