//! Loading a dataset by name.

use std::path::{Path, PathBuf};

use super::check::{check_labels, content_sha256, file_sha256};
use super::embedded;
use super::idx::{self, Kind};
use super::locate::{self, Found};
use super::manifest::{Augmentation, Entry, FileEntry, Format, Manifest, Normalisation, Role};
use super::plane;
use super::split::{ChannelStatistics, Split};
use super::{records, tiny_imagenet};
use crate::error::{Error, Result};

/// Validation samples of a dataset read from files, unless told otherwise.
const DEFAULT_VALIDATION: usize = 5_000;
/// Validation samples of a dataset that the program makes, unless told otherwise.
const DEFAULT_BUILT_IN_VALIDATION: usize = 1_000;
/// The default never takes more than this part of the training samples.
const LARGEST_DEFAULT_PART: usize = 6;

/// A dataset in memory. Choose anything (epochs, λ, learning rate) on `validation`; `test` is only to be reported.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name it was loaded by.
    pub name: String,
    /// Samples to train on.
    pub train: Split,
    /// The last samples of the training files, held back; `None` when that was asked for.
    pub validation: Option<Split>,
    /// Samples to report.
    pub test: Split,
    /// Mean and deviation over all training samples of the files (validation included, before any limit).
    pub statistics: ChannelStatistics,
    /// What the network's input layer subtracts and divides by; `None`: it has no such layer.
    pub normalisation: Option<Normalisation>,
}

impl Dataset {
    /// Mean and deviation of each channel in the input layer; empty without one.
    pub fn normalisation_constants(&self) -> (&[f32], &[f32]) {
        self.normalisation.as_ref().map_or((&[], &[]), |n| (&n.mean, &n.deviation))
    }

    /// C, H, W of what the network sees.
    pub fn input(&self) -> [usize; 3] {
        self.train.input()
    }
}

/// How to load a dataset.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Folder that holds the datasets; `None`: see [`locate::data_root`].
    pub data_dir: Option<PathBuf>,
    /// Number of training samples to hold back for validation; 0 = none. `None`: 5 000 (what the program makes: 1 000),
    /// though at most a sixth of the training samples.
    pub validation: Option<usize>,
    /// Keep only the first samples of every split, for quick trials.
    pub limit: Option<usize>,
    /// Side of the square in the middle that the network sees; `None`: what the dataset's [`Augmentation`] says.
    pub crop: Option<usize>,
}

/// How the field varies the training images of the dataset called `name`; not at all for an unknown one.
pub fn augmentation(name: &str) -> Augmentation {
    Manifest::built_in().get(name).map(|entry| entry.augmentation).unwrap_or_default()
}

/// The names that [`load`] knows, as one line.
pub(super) fn known_names() -> String {
    let mut names = vec![embedded::NAME, plane::NAME];
    names.extend(Manifest::built_in().datasets.iter().map(|e| e.name.as_str()));
    names.join(", ")
}

/// The manifest's entry called `name`.
pub(super) fn entry(name: &str) -> Result<&'static Entry> {
    Manifest::built_in()
        .get(name)
        .ok_or_else(|| Error::Usage(format!("unknown dataset {name:?}: expected one of {}", known_names())))
}

/// Loads the dataset called `name`: `embedded`, `plane` or one of the manifest.
///
/// # Errors
/// [`Error::Usage`] for an unknown name or options that don't fit the dataset, [`Error::Data`] for missing or wrong
/// files (naming every place that was looked at), [`Error::Io`] when the system can't read them.
pub fn load(name: &str, options: &LoadOptions) -> Result<Dataset> {
    if options.limit == Some(0) {
        return Err(Error::Usage("limit 0: expected at least 1 sample".into()));
    }
    let mut normalisation = None;
    let (mut train, mut test, default_validation) = if name == embedded::NAME {
        let (train, test) = (embedded::train(), embedded::test());
        (train, test, DEFAULT_BUILT_IN_VALIDATION)
    } else if name == plane::NAME {
        normalisation = Some(plane::normalisation());
        (plane::train(), plane::test(), DEFAULT_BUILT_IN_VALIDATION)
    } else {
        let entry = entry(name)?;
        let root = locate::data_root(options.data_dir.as_deref());
        let (train, test) = read_splits(entry, &root)?;
        normalisation.clone_from(&entry.normalisation);
        (train, test, DEFAULT_VALIDATION)
    };
    if let Some(side) = options.crop.or(augmentation(name).crop) {
        for split in [&mut train, &mut test] {
            split.crop(side)?;
        }
    }
    let statistics = train.channel_statistics();
    let held_back = match options.validation {
        Some(count) if count >= train.len() => {
            return Err(Error::Usage(format!(
                "validation {count}: expected fewer than the {} training samples of {name}",
                train.len()
            )));
        }
        Some(count) => count,
        None => default_validation.min(train.len() / LARGEST_DEFAULT_PART),
    };
    let mut validation = (held_back > 0).then(|| train.split_off(train.len() - held_back));
    if let Some(limit) = options.limit {
        train.truncate(limit);
        test.truncate(limit);
        if let Some(validation) = &mut validation {
            validation.truncate(limit);
        }
    }
    Ok(Dataset { name: name.to_string(), train, validation, test, statistics, normalisation })
}

/// Training and test samples of `entry` from under `root`.
fn read_splits(entry: &Entry, root: &Path) -> Result<(Split, Split)> {
    let paths = match locate::require_all(root, entry)? {
        Found::Pictures(source) => return tiny_imagenet::read(&source, entry),
        Found::Files(paths) => paths,
    };
    let of = |role: Role| {
        let files = entry.files.iter().zip(&paths).filter(move |(file, _)| file.role == role);
        files.map(|(file, path)| (file, path.as_path())).collect::<Vec<_>>()
    };
    if entry.format == Format::Idx {
        let pair = |images: Role, labels: Role| read_idx(entry, of(images)[0].1, of(labels)[0].1);
        return Ok((pair(Role::TrainImages, Role::TrainLabels)?, pair(Role::TestImages, Role::TestLabels)?));
    }
    Ok((read_records(entry, &of(Role::TrainRecords))?, read_records(entry, &of(Role::TestRecords))?))
}

/// The samples of several files of records, one after the other.
fn read_records(entry: &Entry, files: &[(&FileEntry, &Path)]) -> Result<Split> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (file, path) in files {
        let records = records::read(path, entry, file)?;
        images.extend(records.images);
        labels.extend(records.labels);
    }
    Split::new(images, labels, entry.shape, entry.classes)
}

fn read_idx(entry: &Entry, images_path: &Path, labels_path: &Path) -> Result<Split> {
    // Labels first: they are small, and enough to tell that the files are another dataset's.
    let labels = idx::read(labels_path, Kind::Labels)?;
    check_labels(labels_path, &labels.bytes, entry.classes)?;
    refuse_other_dataset(entry, labels_path, &content_sha256(&labels))?;
    let images = idx::read(images_path, Kind::Images)?;
    // The shape of an entry has one channel, and Kind::Images has rank 3.
    let [_, height, width] = entry.shape;
    if images.dims[1..] != [height, width] {
        return Err(Error::data(
            images_path,
            format!("expected pictures of {height}x{width}, found {}x{}", images.dims[1], images.dims[2]),
        ));
    }
    if images.dims[0] != labels.dims[0] {
        return Err(Error::data(
            images_path,
            format!("{} images, but {} labels in {}", images.dims[0], labels.dims[0], labels_path.display()),
        ));
    }
    if labels.bytes.is_empty() {
        return Err(Error::data(images_path, "holds no images; expected at least 1"));
    }
    Split::new(images.bytes, labels.bytes, entry.shape, entry.classes)
}

/// Datasets of the same format have the same file names, so a folder may hold another one's files.
fn refuse_other_dataset(entry: &Entry, labels_path: &Path, content: &str) -> Result<()> {
    let file = file_sha256(labels_path)?;
    let other = Manifest::built_in().datasets.iter().find(|other| {
        other.name != entry.name
            && other
                .files
                .iter()
                .any(|known| known.sha256.as_deref() == Some(content) || known.archive_sha256.as_deref() == Some(&file))
    });
    match other {
        None => Ok(()),
        Some(other) => Err(Error::data(
            labels_path,
            format!(
                "these are the labels of {}; expected {} (keep each dataset in a folder of its name)",
                other.name, entry.name
            ),
        )),
    }
}
