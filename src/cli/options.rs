//! Options that several subcommands share.

use std::path::{Path, PathBuf};

use smallbox::data::{Dataset, Split};
use smallbox::device::{self, OpenOptions, Session};
use smallbox::error::{Error, Result};

use super::cache::CacheFolder;
use super::parse;

/// Where datasets are.
#[derive(clap::Args)]
pub struct DataDir {
    /// Folder of the datasets `[default: $SMALLBOX_DATA_DIR, else datasets/]`
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

/// What to compute on.
#[derive(clap::Args)]
pub struct DeviceOptions {
    /// auto, cpu, gpu, gpu:N (by number) or gpu:NAME (by a part of its name), see `smallbox devices` `[default: auto]`
    #[arg(long, value_name = "D")]
    device: Option<String>,
    /// Threads of the native device `[default: one per core]`
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    threads: Option<usize>,
    /// Keep the bounds checks in shaders
    #[arg(long)]
    shader_checks: bool,
    /// Use no more than WebGPU's default limits
    #[arg(long)]
    portable: bool,
    /// Choose the GPU's kernels by rule, not by measuring, and keep nothing of it: the same kernels in every process
    #[arg(long)]
    deterministic: bool,
}

impl DeviceOptions {
    /// Sets the number of threads; to be called before any work is done on them.
    pub fn set_threads(&self) -> Result<()> {
        set_threads(self.threads)
    }

    /// Whether kernels are to be chosen by rule.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// Opens the device that was asked for, else `fallback`, else the best one.
    pub fn open_or(&self, fallback: Option<&str>) -> Result<Box<dyn Session>> {
        self.open(fallback, self.deterministic, false)
    }

    /// [`DeviceOptions::open_or`] for a run whose settings may ask for kernels by rule too.
    pub fn open_as(&self, fallback: Option<&str>, deterministic: bool) -> Result<Box<dyn Session>> {
        self.open(fallback, deterministic, false)
    }

    /// Opens the device that was asked for, else the best one, with timestamps where it has them.
    pub fn open_traced(&self) -> Result<Box<dyn Session>> {
        self.open(None, self.deterministic, true)
    }

    fn open(&self, fallback: Option<&str>, deterministic: bool, timestamps: bool) -> Result<Box<dyn Session>> {
        let choice = self.device.as_deref().or(fallback).unwrap_or("auto");
        let store = if deterministic { None } else { CacheFolder::find() };
        let options = OpenOptions { shader_checks: self.shader_checks, portable: self.portable, timestamps, store };
        pollster::block_on(device::open(choice, options))
    }
}

/// Sets the number of threads of native work, if it is given; to be called before any is done.
pub fn set_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let made = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    made.map_err(|error| Error::device("cpu", format!("{threads} threads: {error}")))
}
