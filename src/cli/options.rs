//! Options that several subcommands share.

use std::path::{Path, PathBuf};

use smallbox::data::{Dataset, Split};
use smallbox::error::{Error, Result};

/// Where datasets are.
#[derive(clap::Args)]
pub struct DataDir {
    /// Folder of the datasets [default: $SMALLBOX_DATA_DIR, else datasets/]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DataDir {
    /// The folder, if one was named.
    pub fn folder(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }
}

/// A part of a dataset.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SplitName {
    /// What is trained on
    Train,
    /// Training images held back to choose on
    Validation,
    /// What is reported
    Test,
}

impl SplitName {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            SplitName::Train => "train",
            SplitName::Validation => "validation",
            SplitName::Test => "test",
        }
    }

    /// This part of `dataset`.
    pub fn of(self, dataset: &Dataset) -> Result<&Split> {
        match self {
            SplitName::Train => Ok(&dataset.train),
            SplitName::Test => Ok(&dataset.test),
            SplitName::Validation => dataset.validation.as_ref().ok_or_else(|| {
                Error::Usage(format!(
                    "--split validation: no images of {} were held back (validation = 0)",
                    dataset.name
                ))
            }),
        }
    }
}
