//! `smallbox data`: list, download, check and look at datasets.

use std::path::{Path, PathBuf};

use serde_json::json;
use smallbox::data::{self, FileReport, FileStatus, LoadOptions, Location};
use smallbox::error::{Error, Result};
use smallbox::formats::atomic::write_atomically;

use super::format::{Side, count, left_table, table};
use super::options::{DataDir, SplitName};
use super::{fetch, output};

/// Subcommands of `data`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the datasets and where they are
    List {
        #[command(flatten)]
        place: DataDir,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Download a dataset, checking each file against its SHA-256
    Fetch {
        /// Name of the dataset
        name: String,
        #[command(flatten)]
        place: DataDir,
    },
    /// Check every file of a dataset; exit code 5 if one is missing or wrong
    Verify {
        /// Name of the dataset
        name: String,
        #[command(flatten)]
        place: DataDir,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write the first images of a dataset as one picture
    Show {
        /// Name of the dataset
        name: String,
        /// The PNG file to write; an existing one is replaced
        #[arg(long, value_name = "F.png")]
        out: PathBuf,
        /// Which part of the dataset
        #[arg(long, value_enum, default_value_t = SplitName::Train)]
        split: SplitName,
        /// Images above each other
        #[arg(long, value_name = "N", default_value_t = 10)]
        rows: usize,
        /// Images beside each other
        #[arg(long, value_name = "N", default_value_t = 20)]
        columns: usize,
        #[command(flatten)]
        place: DataDir,
    },
}

/// Does what `command` asks for.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::List { place, json } => list(place.folder(), *json),
        Command::Fetch { name, place } => fetch::run(name, place.folder()),
        Command::Verify { name, place, json } => verify(name, place.folder(), *json),
        Command::Show { name, out, split, rows, columns, place } => {
            let options = LoadOptions { data_dir: place.data_dir.clone(), ..Default::default() };
            show(name, &options, *split, out, *rows, *columns)
        }
    }
}

fn list(folder: Option<&Path>, as_json: bool) -> Result<()> {
    let infos = data::list(folder);
    if as_json {
        let datasets: Vec<_> = infos
            .iter()
            .map(|info| {
                let (location, path) = match &info.location {
                    Location::BuiltIn => ("built-in", None),
                    Location::Folder(path) => ("folder", Some(path)),
                    Location::Missing(_) => ("missing", None),
                };
                json!({
                    "name": info.name, "title": info.title, "classes": info.classes, "shape": info.shape,
                    "train": info.train, "test": info.test, "licence": info.licence, "location": location, "path": path,
                })
            })
            .collect();
        return output::print_json(&json!({ "datasets": datasets }));
    }
    let mut rows = vec![["name", "what", "classes", "shape", "train", "test", "where"].map(String::from).to_vec()];
    for info in infos {
        let place = match &info.location {
            Location::BuiltIn => "in the program".to_string(),
            Location::Folder(path) => path.display().to_string(),
            Location::Missing(_) => format!("not here; get it with `smallbox data fetch {}`", info.name),
        };
        let [channels, height, width] = info.shape;
        rows.push(vec![
            info.name,
            info.title,
            info.classes.to_string(),
            format!("{channels}×{height}×{width}"),
            count(info.train as u64),
            count(info.test as u64),
            place,
        ]);
    }
    use Side::{Left, Right};
    output::print(&table(&[Left, Left, Right, Left, Right, Right, Left], &rows))
}

fn verify(name: &str, folder: Option<&Path>, as_json: bool) -> Result<()> {
    let reports = data::verify(name, folder)?;
    if as_json {
        let files: Vec<_> = reports.iter().map(report_json).collect();
        let ok = reports.iter().all(|report| report.status.is_ok());
        output::print_json(&json!({ "dataset": name, "ok": ok, "files": files }))?;
    } else {
        let rows: Vec<_> = reports.iter().map(|report| vec![place(report), report.status.to_string()]).collect();
        output::print(&left_table(&rows))?;
    }
    let bad: Vec<_> = reports.iter().filter(|report| !report.status.is_ok()).collect();
    match bad.first() {
        None => Ok(()),
        Some(first) => {
            let message =
                format!("{} ({} of {} files of {name} are not in order)", first.status, bad.len(), reports.len());
            Err(Error::data(place(first), message))
        }
    }
}

fn report_json(report: &FileReport) -> serde_json::Value {
    let status = match report.status {
        FileStatus::Ok(_) => "ok",
        FileStatus::Missing => "missing",
        FileStatus::Wrong(_) => "wrong",
    };
    json!({ "name": report.name, "path": report.path, "status": status, "detail": report.status.to_string() })
}

/// What to call the thing that was checked.
fn place(report: &FileReport) -> String {
    report.path.as_ref().map_or_else(|| format!("{} (generated)", report.name), |path| path.display().to_string())
}

fn show(name: &str, options: &LoadOptions, split: SplitName, out: &Path, rows: usize, columns: usize) -> Result<()> {
    if !out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return Err(Error::Usage(format!("--out {}: expected a file name that ends in .png", out.display())));
    }
    let dataset = data::load(name, options)?;
    let sheet = data::contact_sheet(split.of(&dataset)?, rows, columns)?;
    let mut png = Vec::new();
    sheet
        .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
        .map_err(|error| Error::io(out)(std::io::Error::other(error)))?;
    write_atomically(out, &png)?;
    output::print(&format!("{}\n", out.display()))
}
