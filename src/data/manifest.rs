//! The list of datasets that are read from files: `datasets/manifest.toml`, compiled into the program.

use std::sync::LazyLock;

use serde::Deserialize;

use super::idx::Kind;
use crate::error::{Error, Result};

/// The datasets that smallbox knows, except the embedded one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One entry per dataset.
    #[serde(rename = "dataset")]
    pub datasets: Vec<Entry>,
}

/// One dataset of four IDX files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name on the command line, and of the folder that the files are looked for in.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Number of classes.
    pub classes: usize,
    /// C, H, W.
    pub shape: [usize; 3],
    /// Samples in the training files.
    pub train: usize,
    /// Samples in the test files.
    pub test: usize,
    /// Folder that torchvision keeps this dataset in.
    pub torchvision: String,
    /// Licence of the data and its holder.
    pub licence: String,
    /// Where the dataset is described.
    pub homepage: String,
    /// Addresses of folders that hold every file as `NAME.gz`, best first.
    pub mirrors: Vec<String>,
    /// The files: training images and labels, test images and labels.
    #[serde(rename = "file")]
    pub files: [FileEntry; 4],
}

/// One file of a dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name without `.gz`.
    pub name: String,
    /// Length of the uncompressed content.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content in lower-case hexadecimal, where known.
    pub sha256: Option<String>,
    /// SHA-256 of the published .gz in lower-case hexadecimal, where known.
    pub archive_sha256: Option<String>,
}

/// Which of a dataset's four files: the index into [`Entry::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    TrainImages = 0,
    TrainLabels = 1,
    TestImages = 2,
    TestLabels = 3,
}

impl Role {
    pub(super) const ALL: [Role; 4] = [Role::TrainImages, Role::TrainLabels, Role::TestImages, Role::TestLabels];

    pub(super) fn kind(self) -> Kind {
        match self {
            Role::TrainImages | Role::TestImages => Kind::Images,
            Role::TrainLabels | Role::TestLabels => Kind::Labels,
        }
    }
}

impl Entry {
    pub(super) fn file(&self, role: Role) -> &FileEntry {
        &self.files[role as usize]
    }

    /// The extents that the file of `role` has when it is complete.
    pub(super) fn dims(&self, role: Role) -> Vec<usize> {
        let [_, height, width] = self.shape;
        match role {
            Role::TrainImages => vec![self.train, height, width],
            Role::TrainLabels => vec![self.train],
            Role::TestImages => vec![self.test, height, width],
            Role::TestLabels => vec![self.test],
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

    #[test]
    fn built_in_manifest_is_consistent() {
        let manifest = Manifest::built_in();
        assert!(manifest.get("mnist").is_some());
        assert!(manifest.get("fashion-mnist").is_some());
        for entry in &manifest.datasets {
            assert!(!entry.mirrors.is_empty(), "{}", entry.name);
            for role in Role::ALL {
                let file = entry.file(role);
                let dims = entry.dims(role);
                let elements: usize = dims.iter().product();
                assert_eq!(file.bytes, (4 + 4 * dims.len() + elements) as u64, "{} {}", entry.name, file.name);
                let rank = format!("idx{}", dims.len());
                assert!(file.name.contains(&rank), "{}", file.name);
                for sum in file.sha256.iter().chain(&file.archive_sha256) {
                    assert_eq!(sum.len(), 64);
                    assert!(sum.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
                }
            }
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = Manifest::parse("[[dataset]]\nnmae = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("nmae"), "{error}");
    }
}
