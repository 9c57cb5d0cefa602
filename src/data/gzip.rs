//! Files that may be gzip'd: recognised by their content, not by the name.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// How a gzip'd file begins.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file's uncompressed content.
pub(super) struct Content {
    pub(super) reader: Box<dyn Read>,
    pub(super) form: Form,
}

/// How a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Packed,
}

impl Form {
    /// For a message about sizes, which are those of the uncompressed content.
    pub(super) fn note(self) -> &'static str {
        if self == Form::Packed { " (unpacked)" } else { "" }
    }

    /// What an error while reading means: damaged data, or a system that can't read.
    pub(super) fn broken(self, path: &Path, error: io::Error) -> Error {
        match self {
            Form::Packed => Error::data(path, format!("damaged or truncated gzip data ({error})")),
            Form::Plain => Error::io(path)(error),
        }
    }
}

/// Opens `path`.
pub(super) fn open(path: &Path) -> Result<Content> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut start = [0u8; 2];
    let found = read_up_to(&mut file, &mut start).map_err(Error::io(path))?;
    let packed = found == 2 && start == MAGIC;
    let whole = io::Cursor::new(start).take(found as u64).chain(file);
    Ok(if packed {
        Content { reader: Box::new(MultiGzDecoder::new(BufReader::new(whole))), form: Form::Packed }
    } else {
        Content { reader: Box::new(whole), form: Form::Plain }
    })
}

/// The uncompressed content of `path`, which has to have `bytes` bytes at most; one more tells that it has more.
pub(super) fn read(path: &Path, bytes: u64) -> Result<Vec<u8>> {
    let Content { reader, form } = open(path)?;
    // The buffer grows with what is really there.
    let mut content = Vec::new();
    reader.take(bytes + 1).read_to_end(&mut content).map_err(|error| form.broken(path, error))?;
    Ok(content)
}

/// Fills `buffer` as far as the input goes; returns the number of bytes.
pub(super) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
