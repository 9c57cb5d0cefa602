//! Downloading a dataset: each file or archive goes to a hidden file beside its place, is checked, and only then takes its
//! name.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::catalog::verify_entry;
use super::check::{Checked, Origin, check_file, file_sha256, wrong_sum};
use super::dataset::entry;
use super::download::Part;
use super::embedded;
use super::locate::{Found, data_root, download_folder, find_all, find_file};
use super::manifest::{Archive, Entry, FileEntry, Format};
use super::plane;
use super::tiny_imagenet::Source;
use super::unpack::unpack;
use crate::error::{Error, Result};

/// A .gz is never much larger than its content; what is larger is something else.
const ARCHIVE_OVERHEAD_BYTES: u64 = 1 << 20;

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

/// Told about each [`FetchEvent`]; `Break` stops the download with [`Error::Interrupted`]. No file under its own name is ever
/// half-written, and the next download goes on where this one stopped.
pub type Progress<'a> = dyn FnMut(&FetchEvent) -> ControlFlow<()> + 'a;

/// Makes sure that the files of dataset `name` are in its folder under `data_dir` (`None`: see [`data_root`]),
/// downloading what is missing or damaged. Returns the folder that holds them.
///
/// # Errors
/// [`Error::Usage`] for a name that is not known or needs no files, [`Error::Data`] when no mirror delivers the right
/// file, saying how to get it by hand, [`Error::Io`] when the folder can't be written.
pub fn fetch(name: &str, data_dir: Option<&Path>, progress: &mut Progress<'_>) -> Result<PathBuf> {
    if [embedded::NAME, plane::NAME].contains(&name) {
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
    match &entry.archive {
        Some(archive) => fetch_archive(entry, archive, root, &folder, progress)?,
        None => {
            for file in &entry.files {
                fetch_file(entry, file, root, &folder, progress)?;
            }
        }
    }
    Ok(folder)
}

/// The folder of the files when all of them are there and in order, in any of the places that loading looks at.
fn report_complete(entry: &Entry, root: &Path, progress: &mut Progress<'_>) -> Result<Option<PathBuf>> {
    let mut events = Vec::new();
    let found = match find_all(root, entry) {
        None => return Ok(None),
        Some(found) => found,
    };
    match &found {
        Found::Files(paths) => {
            for (file, path) in entry.files.iter().zip(paths) {
                // What is wrong is said when the file is looked at again.
                let Ok(checked) = check_file(path, entry, file, Origin::Found) else { return Ok(None) };
                events.push(FetchEvent::Present { path: path.clone(), checked });
            }
        }
        Found::Pictures(source) => {
            let rows = verify_entry(entry, root);
            if let Some(row) = rows.iter().find(|row| !row.status.is_ok()) {
                return match source {
                    // A tree comes before an archive, so it would hide the new one, and is not ours to delete.
                    Source::Tree(folder) => Err(in_the_way(folder, &format!("{}: {}", row.name, row.status))),
                    Source::Archives(_) => Ok(None),
                };
            }
            // The first row has the deepest check: the archive's sum, where it is the published one.
            if let super::catalog::FileStatus::Ok(checked) = rows[0].status {
                events.push(FetchEvent::Present { path: found.folder(), checked });
            }
        }
    }
    for event in &events {
        tell(progress, event)?;
    }
    Ok(Some(found.folder()))
}

fn in_the_way(path: &Path, reason: &str) -> Error {
    Error::data(path, format!("is in the way of the download; delete it and try again ({reason})"))
}

fn fetch_file(entry: &Entry, file: &FileEntry, root: &Path, folder: &Path, progress: &mut Progress<'_>) -> Result<()> {
    let name = format!("{}.gz", file.name);
    let target = folder.join(&name);
    if let Some(path) = find_file(folder, file) {
        match check_file(&path, entry, file, Origin::Found) {
            Ok(checked) => return tell(progress, &FetchEvent::Present { path, checked }),
            // A damaged archive is replaced. A damaged plain file would hide the new one, and is not ours to delete.
            Err(_) if path == target => {}
            Err(error) => return Err(in_the_way(&path, &error.to_string())),
        }
    }
    let check = |path: &Path| check_file(path, entry, file, Origin::Downloaded);
    let limit = file.bytes + ARCHIVE_OVERHEAD_BYTES;
    let checked = fetch_from_mirrors(entry, root, folder, &Wanted { name: &name, limit, check: &check }, progress)?;
    tell(progress, &FetchEvent::Stored { path: target, checked })
}

/// Downloads the archive. Files of records are taken out of it, and it goes; pictures are read from it.
fn fetch_archive(
    entry: &Entry,
    archive: &Archive,
    root: &Path,
    folder: &Path,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let check = |path: &Path| {
        let found = file_sha256(path)?;
        if found == archive.sha256 {
            return Ok(Checked::Archive);
        }
        Err(wrong_sum(path, "of the archive", &archive.sha256, &found))
    };
    let wanted = Wanted { name: &archive.name, limit: archive.bytes + ARCHIVE_OVERHEAD_BYTES, check: &check };
    let path = folder.join(&archive.name);
    // An archive that was brought here by hand.
    if entry.format != Format::TinyImagenet && path.is_file() && check(&path).is_ok() {
        tell(progress, &FetchEvent::Present { path: path.clone(), checked: Checked::Archive })?;
    } else {
        let checked = fetch_from_mirrors(entry, root, folder, &wanted, progress)?;
        if entry.format == Format::TinyImagenet {
            return tell(progress, &FetchEvent::Stored { path, checked });
        }
    }
    unpack(&path, entry, folder)?;
    for file in &entry.files {
        let path = folder.join(&file.name);
        let checked = check_file(&path, entry, file, Origin::Downloaded)?;
        tell(progress, &FetchEvent::Stored { path, checked })?;
    }
    fs::remove_file(&path).map_err(Error::io(&path))
}

/// What is to be downloaded.
struct Wanted<'a> {
    /// Name at the mirrors and in the folder.
    name: &'a str,
    /// Greatest length.
    limit: u64,
    /// Tells a good file from a wrong one.
    check: &'a dyn Fn(&Path) -> Result<Checked>,
}

/// Puts a file into `folder`, from the first mirror that delivers it.
fn fetch_from_mirrors(
    entry: &Entry,
    root: &Path,
    folder: &Path,
    wanted: &Wanted<'_>,
    progress: &mut Progress<'_>,
) -> Result<Checked> {
    let target = folder.join(wanted.name);
    let mut part = Part::open(folder, wanted.name)?;
    let mut reasons = Vec::new();
    for mirror in &entry.mirrors {
        let url = format!("{}/{}", mirror.trim_end_matches('/'), wanted.name);
        loop {
            let resumed = part.bytes()? > 0;
            tell(progress, &FetchEvent::Started { url: url.clone() })?;
            let reason = match part.download(&url, wanted.limit, progress)? {
                Err(reason) => reason,
                Ok(()) => match (wanted.check)(part.path()) {
                    Ok(checked) => {
                        part.finish(&target)?;
                        return Ok(checked);
                    }
                    // The path in the message would be that of the hidden file.
                    Err(Error::Data { message, .. }) => {
                        part.clear()?;
                        if resumed {
                            // What was there before may have been another file's beginning: once more, from the start.
                            continue;
                        }
                        message
                    }
                    Err(error) => return Err(error),
                },
            };
            reasons.push(format!("{url}: {reason}"));
            tell(progress, &FetchEvent::MirrorFailed { url, reason })?;
            break;
        }
    }
    if part.bytes()? == 0 {
        part.discard()?;
    }
    Err(Error::data(
        &target,
        format!("could not be downloaded ({}). {}", reasons.join("; "), by_hand(entry, root, folder)),
    ))
}

/// What to do on a machine without a connection.
fn by_hand(entry: &Entry, root: &Path, folder: &Path) -> String {
    let names: Vec<_> = match &entry.archive {
        Some(archive) => vec![archive.name.clone()],
        None => entry.files.iter().map(|file| format!("{}.gz", file.name)).collect(),
    };
    // What is taken out of its archive, `data fetch` takes out.
    let then = match (&entry.archive, entry.format) {
        (Some(_), Format::Cifar10 | Format::Cifar100) => "fetch",
        _ => "verify",
    };
    format!(
        "To get the files by hand, on any machine with a connection: download {} from {}, put them into {}, then run \
         `smallbox data {then} {} --data-dir {}`",
        names.join(", "),
        entry.mirrors.join(" or "),
        folder.display(),
        entry.name,
        root.display()
    )
}

pub(super) fn tell(progress: &mut Progress<'_>, event: &FetchEvent) -> Result<()> {
    match progress(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Error::Interrupted(": the download was stopped; it goes on from there next time".into()))
        }
    }
}
