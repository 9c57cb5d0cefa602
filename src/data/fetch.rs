//! Downloading a dataset: each file goes to a temporary file beside its place, is checked, and only then takes its
//! name.

use std::fs;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::check::{Checked, Origin, check_file};
use super::dataset::entry;
use super::embedded;
use super::locate::{data_root, download_folder, find_all, find_file};
use super::manifest::{Entry, FileEntry, Role};
use crate::error::{Error, Result};

/// How long a connection may take to come about, and a server to answer or to send more.
const PATIENCE: Duration = Duration::from_secs(30);
/// A .gz is never much larger than its content; what is larger is something else.
const ARCHIVE_OVERHEAD_BYTES: u64 = 1 << 20;
/// Size of the pieces in which a body is read, and the least distance between two [`FetchEvent::Received`].
const PIECE_BYTES: usize = 1 << 16;

/// What happens during [`fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// The file is there already and in order.
    Present {
        /// The file.
        path: PathBuf,
        /// How far it was checked.
        checked: Checked,
    },
    /// A download begins.
    Started {
        /// The address.
        url: String,
    },
    /// More of the body has come.
    Received {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, where the server says it.
        total: Option<u64>,
    },
    /// This mirror did not deliver; the next one is tried.
    MirrorFailed {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The file was downloaded, checked and put in its place.
    Stored {
        /// The file.
        path: PathBuf,
        /// How far it was checked.
        checked: Checked,
    },
}

/// Told about each [`FetchEvent`]; `Break` stops the download with [`Error::Interrupted`], leaving nothing
/// half-written.
pub type Progress<'a> = dyn FnMut(&FetchEvent) -> ControlFlow<()> + 'a;

/// Makes sure that the files of dataset `name` are in its folder under `data_dir` (`None`: see [`data_root`]),
/// downloading what is missing or damaged. Returns the folder that holds them.
///
/// # Errors
/// [`Error::Usage`] for a name that is not known or needs no files, [`Error::Data`] when no mirror delivers the right
/// file, saying how to get it by hand, [`Error::Io`] when the folder can't be written.
pub fn fetch(name: &str, data_dir: Option<&Path>, progress: &mut Progress<'_>) -> Result<PathBuf> {
    if name == embedded::NAME {
        return Err(Error::Usage(format!("dataset {name:?} is built into the program; there is nothing to fetch")));
    }
    fetch_entry(entry(name)?, &data_root(data_dir), progress)
}

/// As [`fetch`], for any entry of a manifest and with the root folder given.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_entry(entry: &Entry, root: &Path, progress: &mut Progress<'_>) -> Result<PathBuf> {
    if let Some(folder) = report_complete(entry, root, progress)? {
        return Ok(folder);
    }
    let folder = download_folder(root, entry);
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    for role in Role::ALL {
        fetch_file(entry, root, &folder, role, progress)?;
    }
    Ok(folder)
}

/// The folder of the files when all of them are there and in order, in any of the places that loading looks at.
fn report_complete(entry: &Entry, root: &Path, progress: &mut Progress<'_>) -> Result<Option<PathBuf>> {
    let Some(paths) = find_all(root, entry) else {
        return Ok(None);
    };
    let mut events = Vec::new();
    for (role, path) in Role::ALL.into_iter().zip(&paths) {
        // What is wrong is said when the file is looked at again below.
        let Ok(checked) = check_file(path, entry, role, Origin::Found) else {
            return Ok(None);
        };
        let path = path.clone();
        events.push(FetchEvent::Present { path, checked });
    }
    for event in &events {
        tell(progress, event)?;
    }
    Ok(paths[0].parent().map(Path::to_path_buf))
}

fn fetch_file(entry: &Entry, root: &Path, folder: &Path, role: Role, progress: &mut Progress<'_>) -> Result<()> {
    let file = entry.file(role);
    let target = folder.join(format!("{}.gz", file.name));
    if let Some(path) = find_file(folder, file) {
        match check_file(&path, entry, role, Origin::Found) {
            Ok(checked) => return tell(progress, &FetchEvent::Present { path, checked }),
            // A damaged archive is replaced. A damaged plain file would hide the new one, and is not ours to delete.
            Err(_) if path == target => {}
            Err(error) => {
                return Err(Error::data(
                    &path,
                    format!("is in the way of the download; delete it and try again ({error})"),
                ));
            }
        }
    }
    let mut reasons = Vec::new();
    for mirror in &entry.mirrors {
        let url = format!("{}/{}.gz", mirror.trim_end_matches('/'), file.name);
        tell(progress, &FetchEvent::Started { url: url.clone() })?;
        match download(&url, folder, entry, role, progress)? {
            Ok((temporary, checked)) => {
                temporary.persist(&target).map_err(|error| Error::io(&target)(error.error))?;
                let path = target;
                return tell(progress, &FetchEvent::Stored { path, checked });
            }
            Err(reason) => {
                reasons.push(format!("{url}: {reason}"));
                tell(progress, &FetchEvent::MirrorFailed { url, reason })?;
            }
        }
    }
    Err(Error::data(
        &target,
        format!("could not be downloaded ({}). {}", reasons.join("; "), by_hand(entry, root, folder)),
    ))
}

/// What to do on a machine without a connection.
fn by_hand(entry: &Entry, root: &Path, folder: &Path) -> String {
    let names: Vec<_> = entry.files.iter().map(|file| format!("{}.gz", file.name)).collect();
    format!(
        "To get the files by hand, on any machine with a connection: download {} from {}, put them into {}, then run \
         `smallbox data verify {} --data-dir {}`",
        names.join(", "),
        entry.mirrors.join(" or "),
        folder.display(),
        entry.name,
        root.display()
    )
}

/// Downloads `url` to a temporary file in `folder` and checks it. The outer error ends everything (the folder can't be
/// written, the user interrupted); the inner one is the reason why this mirror did not do.
fn download(
    url: &str,
    folder: &Path,
    entry: &Entry,
    role: Role,
    progress: &mut Progress<'_>,
) -> Result<Result<(NamedTempFile, Checked), String>> {
    let (mut body, total) = match open(url, entry.file(role)) {
        Ok(opened) => opened,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut temporary = temporary_file(folder)?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut told) = (0u64, 0u64);
    loop {
        let count = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(format!("broke off after {bytes} bytes ({error})"))),
        };
        temporary.write_all(&piece[..count]).map_err(Error::io(temporary.path()))?;
        bytes += count as u64;
        if bytes - told >= PIECE_BYTES as u64 {
            told = bytes;
            tell(progress, &FetchEvent::Received { bytes, total })?;
        }
    }
    tell(progress, &FetchEvent::Received { bytes, total })?;
    temporary.as_file().sync_all().map_err(Error::io(temporary.path()))?;
    match check_file(temporary.path(), entry, role, Origin::Downloaded) {
        Ok(checked) => Ok(Ok((temporary, checked))),
        // The path in the message would be that of the temporary file.
        Err(Error::Data { message, .. }) => Ok(Err(message)),
        Err(error) => Err(error),
    }
}

/// Asks for `url`: the body and its length where the server says it.
fn open(url: &str, file: &FileEntry) -> Result<(impl Read, Option<u64>), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .user_agent(concat!("smallbox/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    let body = response.into_body();
    let total = body.content_length();
    let body = body.into_with_config().limit(file.bytes + ARCHIVE_OVERHEAD_BYTES).reader();
    Ok((body, total))
}

/// A hidden file in `folder` that is deleted unless it is given its name.
fn temporary_file(folder: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".download-").suffix(".part");
    // As any new file, not readable by its owner alone as temporary files are: data folders are shared.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(Error::io(folder))
}

fn tell(progress: &mut Progress<'_>, event: &FetchEvent) -> Result<()> {
    match progress(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Error::Interrupted(": the download was stopped, files already complete are kept".into()))
        }
    }
}
