//! One file over HTTP, into a hidden file beside its place. What has come stays there when a download breaks off, and the next
//! one goes on from it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fetch::{FetchEvent, Progress, tell};
use crate::error::{Error, Result};

/// How long a connection may take to come about, and a server to answer or to send more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Size of the pieces in which a body is read, and the least distance between two [`FetchEvent::Received`].
const PIECE_BYTES: usize = 1 << 16;

/// A download that is not complete: a hidden file that belongs to this process until it is dropped.
pub(super) struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// The part of the file that is to be called `name` in `folder`; what an earlier process left is kept.
    ///
    /// # Errors
    /// [`Error::Usage`] when another process is downloading it, [`Error::Io`] when it can't be made.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Part> {
        let path = folder.join(format!(".{name}.part"));
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Part { path, file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Usage(format!("{}: another process is downloading this file", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
        }
    }

    /// The hidden file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(Error::io(&self.path))?.len())
    }

    /// Drops what is there.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(Error::io(&self.path))
    }

    /// Gives the file its name.
    pub(super) fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))?;
        std::fs::rename(&self.path, target).map_err(Error::io(target))
    }

    /// Removes the file.
    pub(super) fn discard(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }

    /// Downloads what is missing of `url`, `limit` bytes at most. The outer error ends everything (the folder can't be written,
    /// the user interrupted); the inner one is the reason why this mirror did not do. What has come is kept in both cases.
    pub(super) fn download(
        &mut self,
        url: &str,
        limit: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Result<(), String>> {
        let have = self.bytes()?;
        let (mut body, from, total) = match request(url, have, limit) {
            Ok(answer) => answer,
            Err(reason) => return Ok(Err(reason)),
        };
        if from == 0 {
            self.clear()?;
        }
        self.file.seek(SeekFrom::Start(from)).map_err(Error::io(&self.path))?;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut bytes, mut told) = (from, from);
        loop {
            let count = match body.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(format!("broke off after {bytes} bytes ({error})"))),
            };
            self.file.write_all(&piece[..count]).map_err(Error::io(&self.path))?;
            bytes += count as u64;
            if bytes - told >= PIECE_BYTES as u64 {
                told = bytes;
                tell(progress, &FetchEvent::Received { bytes, total })?;
            }
        }
        tell(progress, &FetchEvent::Received { bytes, total })?;
        Ok(Ok(()))
    }
}

/// Asks for `url` from byte `have` on: the body, the byte that it really begins at, and the length of the whole where the server
/// says it.
fn request(url: &str, have: u64, limit: u64) -> std::result::Result<(impl Read, u64, Option<u64>), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .user_agent(concat!("smallbox/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build()
        .into();
    let whole = || agent.get(url).call();
    let answer = match have {
        0 => whole(),
        _ => match agent.get(url).header("Range", format!("bytes={have}-")).call() {
            // Nothing is left, or another file is there now: from the beginning.
            Err(ureq::Error::StatusCode(416)) => whole(),
            answer => answer,
        },
    };
    let response = answer.map_err(|error| error.to_string())?;
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
    let goes_on = response.status() == 206 && range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    if response.status() == 206 && !goes_on {
        return Err(format!("answers with another part than the one asked for ({})", range.unwrap_or("no range")));
    }
    let from = if goes_on { have } else { 0 };
    let body = response.into_body();
    let total = body.content_length().map(|length| from + length);
    Ok((body.into_with_config().limit(limit.saturating_sub(from)).reader(), from, total))
}
