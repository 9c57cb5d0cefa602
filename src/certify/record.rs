//! What became of each image, one line of JSON each, and the counts over them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cascade::{Outcome, Stage, Verdict};
use crate::error::{Error, Result};

/// What all lines of one certification have in common: lines that differ in any of it must not be counted together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Digest of the network.
    pub model: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Part of it.
    pub split: String,
    /// Radius of the box around each image.
    pub epsilon: f64,
    /// The dearest stage that was allowed.
    pub method: String,
    /// Seconds that an image had.
    pub timeout: f64,
    /// How branch-and-bound went: bounds of neurons and choice of splits, in words.
    #[serde(default = "first_search")]
    pub search: String,
    /// The attack, in words that say all of its settings; `none` without one.
    pub attack: String,
}

/// The only search that there was before lines said which.
fn first_search() -> String {
    "fixed, kfsb".to_string()
}

/// One image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the split.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// What became of the claim that its whole box has that class.
    pub verdict: Verdict,
    /// What decided it, or tried last.
    pub stage: Stage,
    /// Least proved margin, of a certified image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Seconds of wall-clock time, its share of what ran for a batch.
    pub seconds: f64,
    /// Domains that branch-and-bound looked at.
    pub domains: usize,
    /// Most splits of a domain.
    pub depth: usize,
    /// Unstable neurons of each ReLU layer; empty if a stage before CROWN decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unstable: Vec<usize>,
    /// Of an image without a proof: the class that could not be ruled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_class: Option<usize>,
    /// Of an image on which branch-and-bound gave up: what it had proved of the classes under search, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<f64>,
    /// Best bound of the margin to that class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<f32>,
    /// Why there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Device that proposed.
    pub adapter: String,
    /// What the image was certified for.
    pub job: Job,
}

impl Record {
    /// Of the claim that image `index` keeps its label.
    pub fn new(index: usize, label: usize, outcome: &Outcome, adapter: &str, job: &Job) -> Record {
        // Clauses are the other classes, in order.
        let class = |clause: usize| if clause < label { clause } else { clause + 1 };
        Record {
            index,
            label,
            verdict: outcome.verdict,
            stage: outcome.stage,
            margin: outcome.margin,
            seconds: outcome.seconds,
            domains: outcome.search.domains,
            depth: outcome.search.depth,
            unstable: outcome.unstable.clone(),
            open_class: outcome.open.as_ref().map(|open| class(open.clause)),
            proved: outcome.gave_up().then_some(outcome.search.proved),
            gap: outcome.open.as_ref().map(|open| open.gap),
            reason: outcome.open.as_ref().map(|open| open.reason.clone()),
            adapter: adapter.to_string(),
            job: job.clone(),
        }
    }
}

/// A file of lines that grows.
pub struct Log {
    file: File,
    path: std::path::PathBuf,
}

impl Log {
    /// Opens `path` and returns what it holds already. A last line that a crash cut short is taken away.
    ///
    /// # Errors
    /// [`Error::Config`] for lines that are no records, or that belong to another job.
    pub fn open(path: &Path, job: &Job) -> Result<(Log, Vec<Record>)> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let records = parse(path, &text[..whole])?;
        if let Some(other) = records.iter().find(|r| r.job != *job) {
            let line = other.index;
            return Err(Error::Config(format!(
                "{}: image {line} was certified for something else ({}): choose another file, or the same model, dataset, ε, method, timeout and attack",
                path.display(),
                difference(job, &other.job),
            )));
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        if whole < text.len() {
            file.set_len(whole as u64).map_err(Error::io(path))?;
        }
        Ok((Log { file, path: path.to_path_buf() }, records))
    }

    /// Adds a line.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::Config(format!("a record: {e}")))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }
}

/// Reads all lines of a file.
///
/// # Errors
/// [`Error::Config`] for a line that is no record.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Record>> {
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            Error::Config(format!("{}, line {}: no record of a certification: {e}", path.display(), number + 1))
        })
    };
    text.lines().enumerate().map(parse).collect()
}

/// The first thing that two jobs differ in.
fn difference(a: &Job, b: &Job) -> String {
    let fields = [
        ("model", a.model.clone(), b.model.clone()),
        ("dataset", a.dataset.clone(), b.dataset.clone()),
        ("split", a.split.clone(), b.split.clone()),
        ("ε", a.epsilon.to_string(), b.epsilon.to_string()),
        ("method", a.method.clone(), b.method.clone()),
        ("timeout", a.timeout.to_string(), b.timeout.to_string()),
        ("attack", a.attack.clone(), b.attack.clone()),
    ];
    let found = fields.into_iter().find(|(_, a, b)| a != b);
    found.map_or("nothing".into(), |(name, a, b)| format!("{name} {b} instead of {a}"))
}

/// Lines of several files as those of one certification, in the order of the images.
///
/// # Errors
/// [`Error::Config`] if they are of different jobs, an image occurs twice, or one between the first and the last is missing.
pub fn merge(parts: &[(&Path, Vec<Record>)]) -> Result<Vec<Record>> {
    let mut merged: BTreeMap<usize, (&Path, &Record)> = BTreeMap::new();
    let mut first: Option<(&Path, &Record)> = None;
    for (path, records) in parts {
        for record in records {
            let (first_path, first_record) = *first.get_or_insert((path, record));
            if record.job != first_record.job {
                return Err(Error::Config(format!(
                    "{}: certified for something else than {} ({})",
                    path.display(),
                    first_path.display(),
                    difference(&first_record.job, &record.job),
                )));
            }
            if let Some((other, _)) = merged.insert(record.index, (path, record)) {
                let index = record.index;
                return Err(Error::Config(format!(
                    "image {index} is in {} and again in {}: expected every image once",
                    other.display(),
                    path.display(),
                )));
            }
        }
    }
    let indices: Vec<usize> = merged.keys().copied().collect();
    if indices.is_empty() {
        return Err(Error::Config("no records to merge".into()));
    }
    if let Some(pair) = indices.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        return Err(Error::Config(format!(
            "images {} to {} are missing: expected every image between the first and the last",
            pair[0] + 1,
            pair[1] - 1,
        )));
    }
    Ok(merged.into_values().map(|(_, record)| record.clone()).collect())
}

/// Counts over records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Images.
    pub images: usize,
    /// Classified correctly.
    pub natural: usize,
    /// Classified correctly and not broken by the attack.
    pub adversarial: usize,
    /// Certified by intervals.
    pub ibp: usize,
    /// Certified by any stage.
    pub certified: usize,
    /// Broken: misclassified, attacked, or refuted by branch-and-bound.
    pub falsified: usize,
    /// Without a verdict.
    pub unknown: usize,
    /// Out of time.
    pub timeout: usize,
    /// Failed.
    pub error: usize,
    /// Seconds of all images.
    pub seconds: f64,
    /// For each stage how many images it certified, and how many it broke.
    pub stages: BTreeMap<&'static str, StageCounts>,
}

/// What one stage decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageCounts {
    /// Certified.
    pub certified: usize,
    /// Falsified.
    pub falsified: usize,
}

impl Counts {
    /// Of these records.
    pub fn of(records: &[Record]) -> Counts {
        let mut counts = Counts { images: records.len(), ..Counts::default() };
        for stage in Stage::ALL {
            counts.stages.insert(stage.name(), StageCounts::default());
        }
        for record in records {
            let stage = counts.stages.entry(record.stage.name()).or_default();
            match record.verdict {
                Verdict::Certified => {
                    stage.certified += 1;
                    counts.certified += 1;
                    counts.ibp += usize::from(record.stage == Stage::Ibp);
                }
                Verdict::Falsified => {
                    stage.falsified += 1;
                    counts.falsified += 1;
                }
                Verdict::Unknown => counts.unknown += 1,
                Verdict::Timeout => counts.timeout += 1,
                Verdict::Error => counts.error += 1,
            }
            let broken = |stage| record.verdict == Verdict::Falsified && record.stage == stage;
            counts.natural += usize::from(!broken(Stage::Natural));
            counts.adversarial += usize::from(!broken(Stage::Natural) && !broken(Stage::Attack));
            counts.seconds += record.seconds;
        }
        counts
    }
}
