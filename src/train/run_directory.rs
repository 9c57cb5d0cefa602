//! The folder of a run: resolved configuration, metrics, model, state.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::config::{Config, RunRecord};
use super::trainer::EpochMetrics;
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::formats::{atomic::write_atomically, tensorboard};

/// TensorBoard finds event files by this pattern. A resumed run appends: TensorBoard takes the later of two points of a step.
const EVENTS: &str = "events.out.tfevents.0.smallbox";

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes the folder, which must be new or empty, and writes the resolved configuration.
    pub fn create(path: &Path, config: &Config, device: &DeviceInfo) -> Result<RunDirectory> {
        fs::create_dir_all(path).map_err(Error::io(path))?;
        if fs::read_dir(path).map_err(Error::io(path))?.next().is_some() {
            let message = format!("{}: not empty; choose another --out, or go on with --resume", path.display());
            return Err(Error::Usage(message));
        }
        let record = RunRecord { version: env!("CARGO_PKG_VERSION").into(), device: device.clone() };
        let config = Config { run: Some(record), ..config.clone() };
        let directory = RunDirectory { path: path.to_path_buf() };
        write_atomically(&directory.config(), config.to_toml().as_bytes())?;
        Ok(directory)
    }

    /// Opens the folder of an earlier run and reads its configuration.
    pub fn open(path: &Path) -> Result<(RunDirectory, Config)> {
        let directory = RunDirectory { path: path.to_path_buf() };
        let file = directory.config();
        let text = fs::read_to_string(&file).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::model(path, "not a run directory: it has no config.toml"),
            _ => Error::io(&file)(e),
        })?;
        let config = Config::from_toml(&text, &file.display().to_string())?.resolve()?;
        Ok((directory, config))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `model.safetensors`.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// `best.safetensors`: the weights of the best epoch by the validation split.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// `state.safetensors`.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// Writes `name` as JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).expect("results are plain data");
        write_atomically(&self.path.join(name), format!("{text}\n").as_bytes())
    }

    /// Appends an epoch to `metrics.jsonl`, `metrics.csv` and the TensorBoard events.
    pub fn append(&self, metrics: &EpochMetrics) -> Result<()> {
        let row = metrics.row();
        let scalars: Vec<_> = row.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        tensorboard::append_scalars(&self.path.join(EVENTS), now, metrics.step, &scalars)?;
        let json = serde_json::to_string(&row).expect("metrics are plain data");
        self.append_line("metrics.jsonl", None, &json)?;
        let cell = |value: &serde_json::Value| if value.is_null() { String::new() } else { value.to_string() };
        let header = row.keys().cloned().collect::<Vec<_>>().join(",");
        let line = row.values().map(cell).collect::<Vec<_>>().join(",");
        self.append_line("metrics.csv", Some(&header), &line)
    }

    fn append_line(&self, name: &str, header: Option<&str>, line: &str) -> Result<()> {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        let mut text = String::new();
        if let Some(header) = header.filter(|_| file.metadata().is_ok_and(|m| m.len() == 0)) {
            text = format!("{header}\n");
        }
        text.push_str(line);
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(Error::io(&path))
    }

    /// Drops the metrics of `epoch` and later ones, which a resumed run writes again.
    pub fn forget_from(&self, epoch: u32) -> Result<()> {
        let jsonl = self.path.join("metrics.jsonl");
        let kept = |path: &Path, keep: &dyn Fn(&str) -> bool| -> Result<()> {
            if !path.exists() {
                return Ok(());
            }
            let text = fs::read_to_string(path).map_err(Error::io(path))?;
            let lines: String = text.lines().filter(|l| keep(l)).map(|l| format!("{l}\n")).collect();
            write_atomically(path, lines.as_bytes())
        };
        kept(&jsonl, &|line| {
            let row: Option<serde_json::Value> = serde_json::from_str(line).ok();
            row.and_then(|row| row["epoch"].as_u64()).is_some_and(|e| e < u64::from(epoch))
        })?;
        // The first column is the epoch; the header has none.
        kept(&self.path.join("metrics.csv"), &|line| {
            line.split(',').next().and_then(|cell| cell.parse::<u32>().ok()).is_none_or(|e| e < epoch)
        })
    }
}
