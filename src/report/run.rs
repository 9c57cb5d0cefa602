//! One run as the report sees it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::history::{History, Row};
use crate::error::{Error, Result};
use crate::train::{Config, Evaluation, MethodKind, RunDirectory};

/// Figures that others have published for the same setting, measured by a verifier of theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Natural accuracy in 0..1.
    pub natural: Option<f64>,
    /// Certified accuracy in 0..1.
    pub certified: Option<f64>,
    /// What certified.
    pub verifier: Option<String>,
    /// Where the figures stand.
    pub source: Option<String>,
}

/// The best epoch of a run by its validation split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportedBest {
    /// From 1.
    pub epoch: u32,
    /// Its rates on the validation slice.
    pub validation: Evaluation,
}

/// What `result.json` holds of interest; other keys are passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RunResult {
    /// Epochs done when it was written.
    pub epochs: u32,
    /// All epochs were done.
    pub complete: bool,
    /// Seconds of training and monitoring.
    pub seconds: f64,
    /// Training samples per second.
    pub samples_per_second: f64,
    /// Greatest device memory.
    pub peak_bytes: u64,
    /// On the test split, with the last weights.
    pub test: Evaluation,
    /// The best epoch, where the run has one.
    #[serde(default)]
    pub best: Option<ReportedBest>,
    /// Published figures to compare with, where there are any.
    #[serde(default)]
    pub published: Option<Published>,
}

/// A run to report on.
#[derive(Clone, Debug)]
pub struct ReportedRun {
    /// Its directory, as the user named it.
    pub path: PathBuf,
    /// Its name on the page.
    pub label: String,
    /// Its settings.
    pub config: Config,
    /// Its epochs.
    pub history: History,
    /// Its result, once it has been evaluated.
    pub result: Option<RunResult>,
}

impl ReportedRun {
    /// Reads a run directory.
    ///
    /// # Errors
    /// [`Error::Model`] and [`Error::Config`] when this is not a run directory or its settings are wrong, [`Error::Data`] when
    /// metrics or result are.
    fn read(path: &Path) -> Result<ReportedRun> {
        let (_, config) = RunDirectory::open(path)?;
        let history = History::read(path)?;
        let result = read_result(&path.join("result.json"))?;
        Ok(ReportedRun { path: path.to_path_buf(), label: String::new(), config, history, result })
    }

    /// Epochs done.
    pub fn epochs(&self) -> u32 {
        self.last().epoch
    }

    /// The figures of the last epoch.
    pub fn last(&self) -> &Row {
        self.history.rows.last().expect("a history has rows")
    }

    /// Whether all epochs were trained and then evaluated.
    pub fn complete(&self) -> bool {
        let evaluated = self.result.as_ref().is_some_and(|result| result.complete && result.epochs == self.epochs());
        evaluated && self.epochs() >= self.config.epochs
    }

    /// `complete`, or what is missing.
    pub fn status(&self) -> String {
        if self.complete() {
            return "complete".into();
        }
        let done = format!("incomplete: {} of {} epochs", self.epochs(), self.config.epochs);
        match &self.result {
            None => format!("{done}, no result yet"),
            Some(result) if result.epochs != self.epochs() => {
                format!("{done}; the test figures are those after epoch {}", result.epochs)
            }
            Some(_) => done,
        }
    }

    /// Seconds of training so far.
    pub fn seconds(&self) -> Option<f64> {
        self.result.as_ref().map(|result| result.seconds).or(self.last().get("seconds"))
    }

    /// Training samples per second: of the whole run, or of its last epoch while it has no result.
    pub fn samples_per_second(&self) -> Option<f64> {
        let last = || self.epoch_speed(self.history.rows.len() - 1);
        self.result.as_ref().map(|result| result.samples_per_second).or_else(last)
    }

    /// Training samples per second of an epoch by its place in the history. Runs of earlier versions did not record it; there
    /// it follows from steps and seconds of the epoch.
    pub fn epoch_speed(&self, index: usize) -> Option<f64> {
        let row = &self.history.rows[index];
        row.get("samples_per_second").or_else(|| {
            let before = if index == 0 { 0.0 } else { self.history.rows[index - 1].get("step")? };
            Some((row.get("step")? - before) * self.config.batch as f64 / row.get("epoch_seconds")?)
        })
    }

    /// The method's own parameter beside ε, `λ = 0.4` or `α = 0.1`, where it has one.
    pub fn parameter(&self) -> Option<String> {
        match self.config.method {
            MethodKind::Sabr => Some(format!("λ = {}", self.config.lambda)),
            method if method.is_expressive() => Some(format!("α = {}", self.config.alpha)),
            _ => None,
        }
    }
}

fn read_result(path: &Path) -> Result<Option<RunResult>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let result: RunResult = serde_json::from_str(&text).map_err(|error| Error::data(path, error.to_string()))?;
    for (key, rate) in result.published.iter().flat_map(|p| [("natural", p.natural), ("certified", p.certified)]) {
        if let Some(rate) = rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(Error::data(path, format!("published.{key} = {rate}: expected a rate in 0..1")));
        }
    }
    Ok(Some(result))
}

/// Reads runs in the order given, and names each: by the last part of its path, or, where several share that, by the path.
///
/// # Errors
/// [`Error::Usage`] when a run is given twice, [`Error::Model`] and [`Error::Config`] when a path is not a run directory or its
/// settings are wrong, [`Error::Data`] when metrics or result are.
pub fn read_runs(paths: &[PathBuf]) -> Result<Vec<ReportedRun>> {
    let mut runs: Vec<ReportedRun> = paths.iter().map(|path| ReportedRun::read(path)).collect::<Result<_>>()?;
    let real: Vec<PathBuf> = paths.iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.clone())).collect();
    if let Some(i) = (1..real.len()).find(|&i| real[..i].contains(&real[i])) {
        return Err(Error::Usage(format!("{}: this run is given twice", paths[i].display())));
    }
    let names: Vec<String> =
        real.iter().map(|path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()).collect();
    for (i, run) in runs.iter_mut().enumerate() {
        let shared = names.iter().filter(|name| **name == names[i]).count() > 1;
        run.label = if shared { run.path.display().to_string() } else { names[i].clone() };
    }
    Ok(runs)
}
