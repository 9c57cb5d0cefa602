//! Takes the files of a dataset out of its `.tar.gz`.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::manifest::Entry;
use crate::error::{Error, Result};

/// Writes each file of `entry` that is in `archive` to `folder`, under its own name whatever folder the archive has it in; a file
/// appears whole or not at all.
///
/// # Errors
/// [`Error::Data`] when the archive is damaged or lacks a file, [`Error::Io`] when the folder can't be written.
pub(super) fn unpack(archive: &Path, entry: &Entry, folder: &Path) -> Result<()> {
    let damaged = |error: std::io::Error| Error::data(archive, format!("damaged archive ({error})"));
    let file = File::open(archive).map_err(Error::io(archive))?;
    let mut content = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut missing: Vec<&str> = entry.files.iter().map(|file| file.name.as_str()).collect();
    for packed in content.entries().map_err(damaged)? {
        let packed = packed.map_err(damaged)?;
        let path = packed.path().map_err(damaged)?.into_owned();
        let Some(file) =
            entry.files.iter().find(|file| path.file_name().is_some_and(|name| name == file.name.as_str()))
        else {
            continue;
        };
        let mut temporary =
            tempfile::Builder::new().prefix(".unpack-").tempfile_in(folder).map_err(Error::io(folder))?;
        // One byte more than there may be shows that the file is too long.
        let mut limited = packed.take(file.bytes + 1);
        std::io::copy(&mut limited, temporary.as_file_mut()).map_err(damaged)?;
        temporary.flush().map_err(Error::io(temporary.path()))?;
        let target = folder.join(&file.name);
        temporary.persist(&target).map_err(|error| Error::io(&target)(error.error))?;
        missing.retain(|name| *name != file.name);
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(Error::data(archive, format!("holds no {name}"))),
    }
}
