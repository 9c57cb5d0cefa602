//! Documents of analyses, as `smallbox analyze` wrote them.

use std::path::{Path, PathBuf};

use crate::analyze::Document;
use crate::error::{Error, Result};

/// The order on the page: from what explains the training to what came out. Others follow by their names.
const ORDER: [&str; 6] = ["growth", "loss-growth", "loss-precision", "regularisation", "exact", "results"];

/// An analysis to report on.
#[derive(Clone, Debug)]
pub struct ReportedAnalysis {
    /// Its file.
    pub path: PathBuf,
    /// Its heading on the page: that of the document, with the name of the file where several share it.
    pub title: String,
    /// What it says.
    pub document: Document,
}

/// Reads analyses from files, and from all files `*.json` of folders, into the order of the page.
///
/// # Errors
/// [`Error::Data`] for a file that is no document, and for a folder without one; [`Error::Usage`] when a file is given twice.
pub fn read_analyses(places: &[PathBuf]) -> Result<Vec<ReportedAnalysis>> {
    let mut files = Vec::new();
    for place in places {
        match place.is_dir() {
            true => files.extend(documents_in(place)?),
            false => files.push(place.clone()),
        }
    }
    let real: Vec<PathBuf> = files.iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.clone())).collect();
    if let Some(i) = (1..real.len()).find(|&i| real[..i].contains(&real[i])) {
        return Err(Error::Usage(format!("{}: this analysis is given twice", files[i].display())));
    }
    let mut read: Vec<ReportedAnalysis> = files.iter().map(|file| read(file)).collect::<Result<_>>()?;
    // Stable: files of one analysis stay in the order given, those of a folder in that of their names.
    read.sort_by(|a, b| rank(&a.document.analysis).cmp(&rank(&b.document.analysis)));
    let titles: Vec<String> = read.iter().map(|analysis| analysis.title.clone()).collect();
    for analysis in &mut read {
        if titles.iter().filter(|title| **title == analysis.title).count() > 1 {
            let stem = analysis.path.file_stem().unwrap_or(analysis.path.as_os_str()).to_string_lossy();
            analysis.title = format!("{} ({stem})", analysis.title);
        }
    }
    Ok(read)
}

fn rank(analysis: &str) -> (usize, &str) {
    (ORDER.iter().position(|name| *name == analysis).unwrap_or(ORDER.len()), analysis)
}

/// The files `*.json` in a folder, by their names.
fn documents_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(folder)));
    let mut files: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "json") && path.is_file());
    if files.is_empty() {
        return Err(Error::data(folder, "no file *.json: expected what smallbox analyze --out wrote"));
    }
    // Without their ends: growth before growth-wide.
    files.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    Ok(files)
}

fn read(file: &Path) -> Result<ReportedAnalysis> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::data(file, "no such file or folder"),
        std::io::ErrorKind::InvalidData => Error::data(file, "not UTF-8 text"),
        _ => Error::io(file)(error),
    })?;
    let wrong = |reason: String| Error::data(file, format!("not the document of an analysis: {reason}"));
    let document: Document = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    document.check().map_err(|error| wrong(error.to_string()))?;
    Ok(ReportedAnalysis { path: file.to_path_buf(), title: document.title.clone(), document })
}
