//! Whole files that may be gzip'd: recognised by their first bytes, not by the name.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// How a gzip'd file begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The unpacked content of `path`, of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`] for a file that can't be read, [`Error::Data`] for one that is damaged or larger.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let content = if bytes.starts_with(&MAGIC) {
        let mut content = Vec::new();
        let unpacked = MultiGzDecoder::new(&bytes[..]).take(limit.saturating_add(1)).read_to_end(&mut content);
        unpacked.map_err(|e| Error::data(path, format!("damaged or truncated gzip data ({e})")))?;
        content
    } else {
        bytes
    };
    if content.len() as u64 > limit {
        return Err(Error::data(path, format!("more than {limit} bytes: expected a file of at most that size")));
    }
    Ok(content)
}
