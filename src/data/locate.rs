//! Where data files are looked for.

use std::path::{Path, PathBuf};

use super::manifest::{Entry, FileEntry, Format};
use super::tiny_imagenet::{self, Source};
use crate::error::{Error, Result};

/// Environment variable that names the folder of the datasets.
pub const DATA_DIR_VARIABLE: &str = "SMALLBOX_DATA_DIR";
/// Folder of the datasets when nothing else is said, relative to the working directory.
pub const DEFAULT_DATA_DIR: &str = "datasets";

/// The folder that holds the datasets: `chosen`, else the environment variable [`DATA_DIR_VARIABLE`], else
/// [`DEFAULT_DATA_DIR`]. Only the first of them that is given counts: data that were asked for in one place are never
/// taken from another.
pub fn data_root(chosen: Option<&Path>) -> PathBuf {
    if let Some(folder) = chosen {
        return folder.to_path_buf();
    }
    match std::env::var_os(DATA_DIR_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(DEFAULT_DATA_DIR),
    }
}

/// What was found of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All files, in the order of [`Entry::files`]. They always come from one folder.
    Files(Vec<PathBuf>),
    /// A tree of pictures.
    Pictures(Source),
}

impl Found {
    /// The folder that holds it.
    pub(super) fn folder(&self) -> PathBuf {
        match self {
            Found::Files(paths) => paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("")).to_path_buf(),
            Found::Pictures(source) => source.folder().to_path_buf(),
        }
    }
}

/// The folder that a download goes to.
pub(super) fn download_folder(root: &Path, entry: &Entry) -> PathBuf {
    root.join(&entry.name)
}

/// The folders under `root` in which the files of `entry` may lie, in the order they are looked at.
pub(super) fn candidates(root: &Path, entry: &Entry) -> Vec<PathBuf> {
    let own = root.join(&entry.name);
    let mut folders = vec![own.clone()];
    if entry.format == Format::Idx {
        folders.push(own.join("raw"));
    } else {
        folders.extend(entry.folders.iter().map(|folder| own.join(folder)));
    }
    // Pictures in the root itself would be anybody's.
    if entry.format != Format::TinyImagenet {
        folders.push(root.to_path_buf());
    }
    folders.extend(entry.folders.iter().map(|folder| root.join(folder)));
    folders
}

/// `file` in `folder`, plain or with `.gz`.
pub(super) fn find_file(folder: &Path, file: &FileEntry) -> Option<PathBuf> {
    [folder.join(&file.name), folder.join(format!("{}.gz", file.name))].into_iter().find(|path| path.is_file())
}

/// A dataset of which nothing is missing.
pub(super) fn find_all(root: &Path, entry: &Entry) -> Option<Found> {
    let folders = candidates(root, entry);
    if entry.format == Format::TinyImagenet {
        return tiny_imagenet::find(&folders).map(Found::Pictures);
    }
    folders.iter().find_map(|folder| {
        entry.files.iter().map(|file| find_file(folder, file)).collect::<Option<Vec<_>>>().map(Found::Files)
    })
}

/// The folder that holds some of the files, though not necessarily all.
pub(super) fn partial_folder(root: &Path, entry: &Entry) -> Option<PathBuf> {
    candidates(root, entry).into_iter().find(|folder| entry.files.iter().any(|file| find_file(folder, file).is_some()))
}

/// As [`find_all`], with an error that says what is missing, where it was looked for and how to get it.
pub(super) fn require_all(root: &Path, entry: &Entry) -> Result<Found> {
    find_all(root, entry).ok_or_else(|| {
        let get = format!(
            "get them with `smallbox data fetch {} --data-dir {}`, or name the right folder with --data-dir or \
             {DATA_DIR_VARIABLE}",
            entry.name,
            root.display()
        );
        match partial_folder(root, entry) {
            Some(folder) => {
                let missing: Vec<_> = entry
                    .files
                    .iter()
                    .filter(|file| find_file(&folder, file).is_none())
                    .map(|file| file.name.as_str())
                    .collect();
                Error::data(
                    folder,
                    format!("incomplete {}: no {} (plain or .gz); {get}", entry.name, missing.join(", ")),
                )
            }
            None => {
                let looked: Vec<_> =
                    candidates(root, entry).iter().map(|folder| folder.display().to_string()).collect();
                let what = match entry.files.first() {
                    Some(file) => format!("{} (plain or .gz) and the like", file.name),
                    None => "wnids.txt or an archive (.zip, .tar, .tar.gz)".to_string(),
                };
                let message = format!("no {} files: looked for {what} in {}; {get}", entry.name, looked.join(", "));
                Error::data(root, message)
            }
        }
    })
}
