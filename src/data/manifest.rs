//! The list of datasets that are read from files: `datasets/manifest.toml`, compiled into the program.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The datasets that smallbox knows, except the embedded one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One entry per dataset.
    #[serde(rename = "dataset")]
    pub datasets: Vec<Entry>,
}

/// One dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name on the command line, and of the folder that the files are looked for in.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Number of classes.
    pub classes: usize,
    /// C, H, W as stored.
    pub shape: [usize; 3],
    /// Samples in the training files.
    pub train: usize,
    /// Samples in the test files.
    pub test: usize,
    /// What the files are like.
    pub format: Format,
    /// Folders that the files may lie in, beside that of the dataset's name.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Licence of the data and its holder.
    pub licence: String,
    /// Where the dataset is described.
    pub homepage: String,
    /// Addresses of folders that hold the archive or else every file as `NAME.gz`, best first.
    pub mirrors: Vec<String>,
    /// The archive that holds all files, where they are distributed so.
    pub archive: Option<Archive>,
    /// Mean and deviation that the field normalises by; without them images enter the network as they are.
    pub normalisation: Option<Normalisation>,
    /// How the field varies the training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// The files, in the order they are read; none for a tree of pictures.
    #[serde(rename = "file", default)]
    pub files: Vec<FileEntry>,
}

/// What the files of a dataset are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// IDX, images and labels apart.
    Idx,
    /// Records of one label byte and the pixels, C, H, W.
    Cifar10,
    /// Records of a coarse label, a fine label and the pixels; the fine one counts.
    Cifar100,
    /// A tree of JPEG pictures, one folder a class, or an archive of it.
    TinyImagenet,
}

impl Format {
    /// Label bytes before the pixels of a record; the last of them counts.
    pub(super) fn label_bytes(self) -> usize {
        if self == Format::Cifar100 { 2 } else { 1 }
    }
}

/// An archive of a whole dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Name at the mirrors; `.tar.gz` or `.zip`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// What the input layer of a network subtracts and divides by, per channel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean of each channel, pixels in `[0, 1]`.
    pub mean: Vec<f32>,
    /// Deviation of each channel.
    pub deviation: Vec<f32>,
}

/// How training images vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirror left and right with probability ½.
    pub flip: bool,
    /// Pixels by which the borders are continued before a random window is cut.
    pub padding: usize,
    /// Side of the square that the network sees, if not the whole image: a random window in training, the middle in
    /// evaluation.
    pub crop: Option<usize>,
}

/// One file of a dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name without `.gz`.
    pub name: String,
    /// What it holds.
    pub role: Role,
    /// Length of the uncompressed content.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content in lower-case hexadecimal, where known.
    pub sha256: Option<String>,
    /// SHA-256 of the published .gz in lower-case hexadecimal, where known.
    pub archive_sha256: Option<String>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Training images.
    TrainImages,
    /// Labels of the training images.
    TrainLabels,
    /// Test images.
    TestImages,
    /// Labels of the test images.
    TestLabels,
    /// A part of the training images with their labels.
    TrainRecords,
    /// A part of the test images with their labels.
    TestRecords,
}

impl Entry {
    /// Bytes of a record of labels and pixels.
    pub(super) fn record_bytes(&self) -> usize {
        self.format.label_bytes() + self.shape.iter().product::<usize>()
    }

    /// The extents that an IDX file of `role` has when it is complete; images N, H, W, labels N.
    pub(super) fn dims(&self, role: Role) -> Vec<usize> {
        let [_, height, width] = self.shape;
        match role {
            Role::TrainImages => vec![self.train, height, width],
            Role::TrainLabels => vec![self.train],
            Role::TestImages => vec![self.test, height, width],
            Role::TestLabels => vec![self.test],
            Role::TrainRecords | Role::TestRecords => unreachable!("records are no IDX files"),
        }
    }
}

impl Manifest {
    /// Parses the text of a manifest.
    ///
    /// # Errors
    /// [`Error::Config`] with the place in the text.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::Config(format!("dataset manifest: {error}")))
    }

    /// The manifest compiled into the program.
    pub fn built_in() -> &'static Manifest {
        static BUILT_IN: LazyLock<Manifest> = LazyLock::new(|| {
            Manifest::parse(include_str!("../../datasets/manifest.toml"))
                .expect("the manifest in the program is parsed by a test")
        });
        &BUILT_IN
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.datasets.iter().find(|entry| entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sum(sum: &str) -> bool {
        sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }

    #[test]
    fn built_in_manifest_is_consistent() {
        let manifest = Manifest::built_in();
        for name in ["mnist", "fashion-mnist", "cifar10", "cifar100", "tinyimagenet"] {
            assert!(manifest.get(name).is_some(), "{name}");
        }
        for entry in &manifest.datasets {
            assert!(!entry.mirrors.is_empty(), "{}", entry.name);
            assert!(entry.archive.iter().all(|archive| is_sum(&archive.sha256)), "{}", entry.name);
            let channels = entry.shape[0];
            if let Some(Normalisation { mean, deviation }) = &entry.normalisation {
                assert_eq!((mean.len(), deviation.len()), (channels, channels), "{}", entry.name);
            }
            let samples = |role: Role| {
                let files = entry.files.iter().filter(|file| file.role == role);
                files.map(|file| file.bytes as usize).sum::<usize>() / entry.record_bytes()
            };
            match entry.format {
                Format::Idx => assert_eq!(entry.files.len(), 4),
                Format::TinyImagenet => assert!(entry.files.is_empty() && entry.archive.is_some()),
                Format::Cifar10 | Format::Cifar100 => {
                    let counts = [samples(Role::TrainRecords), samples(Role::TestRecords)];
                    assert_eq!(counts, [entry.train, entry.test], "{}", entry.name);
                }
            }
            for file in &entry.files {
                if entry.format == Format::Idx {
                    let dims = entry.dims(file.role);
                    let elements: usize = dims.iter().product();
                    assert_eq!(file.bytes, (4 + 4 * dims.len() + elements) as u64, "{} {}", entry.name, file.name);
                    assert!(file.name.contains(&format!("idx{}", dims.len())), "{}", file.name);
                }
                assert!(file.sha256.iter().chain(&file.archive_sha256).all(|sum| is_sum(sum)), "{}", file.name);
            }
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = Manifest::parse("[[dataset]]\nnmae = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("nmae"), "{error}");
    }
}
