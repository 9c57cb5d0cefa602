//! Where data files are looked for.

use std::path::{Path, PathBuf};

use super::manifest::{Entry, FileEntry};
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

/// The folder that a download goes to.
pub(super) fn download_folder(root: &Path, entry: &Entry) -> PathBuf {
    root.join(&entry.name)
}

/// The folders under `root` in which the files of `entry` may lie, in the order they are looked at.
pub(super) fn candidates(root: &Path, entry: &Entry) -> [PathBuf; 4] {
    [
        root.join(&entry.name),
        root.join(&entry.name).join("raw"),
        root.to_path_buf(),
        root.join(&entry.torchvision).join("raw"),
    ]
}

/// `file` in `folder`, plain or with `.gz`.
pub(super) fn find_file(folder: &Path, file: &FileEntry) -> Option<PathBuf> {
    [folder.join(&file.name), folder.join(format!("{}.gz", file.name))].into_iter().find(|path| path.is_file())
}

/// The four files of a dataset, in the order of [`Entry::files`]. They always come from one folder.
pub(super) fn find_all(root: &Path, entry: &Entry) -> Option<[PathBuf; 4]> {
    candidates(root, entry).iter().find_map(|folder| {
        let [a, b, c, d] = &entry.files;
        Some([find_file(folder, a)?, find_file(folder, b)?, find_file(folder, c)?, find_file(folder, d)?])
    })
}

/// The folder that holds some of the files, though not necessarily all.
pub(super) fn partial_folder(root: &Path, entry: &Entry) -> Option<PathBuf> {
    candidates(root, entry).into_iter().find(|folder| entry.files.iter().any(|file| find_file(folder, file).is_some()))
}

/// As [`find_all`], with an error that says what is missing, where it was looked for and how to get it.
pub(super) fn require_all(root: &Path, entry: &Entry) -> Result<[PathBuf; 4]> {
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
                Error::data(
                    root,
                    format!(
                        "no {} files: looked for {} (plain or .gz) and the like in {}; {get}",
                        entry.name,
                        entry.files[0].name,
                        looked.join(", ")
                    ),
                )
            }
        }
    })
}
