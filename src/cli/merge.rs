//! `smallbox report merge`: the parts of one certification as a whole.

use std::path::{Path, PathBuf};

use smallbox::certify::record::{self, Counts, Record};
use smallbox::error::{Error, Result};
use smallbox::formats::atomic::write_atomically;

use super::{certify, output};

/// Options of `report merge`.
#[derive(clap::Args)]
pub struct Args {
    /// Files that `certify --out` wrote, of the same model, dataset, ε, method, timeout and attack
    #[arg(required = true, value_name = "F.jsonl")]
    parts: Vec<PathBuf>,
    /// The file to write, in the order of the images; an existing one is replaced
    #[arg(long, value_name = "F.jsonl")]
    out: Option<PathBuf>,
    /// Print the counts as one JSON document
    #[arg(long)]
    json: bool,
}

/// Merges and counts.
pub fn run(args: &Args) -> Result<()> {
    let parts = args.parts.iter().map(|path| Ok((path.as_path(), record::read(path)?)));
    let parts: Vec<(&Path, Vec<Record>)> = parts.collect::<Result<_>>()?;
    let records = record::merge(&parts)?;
    if let Some(out) = &args.out {
        let line = |r: &Record| serde_json::to_string(r).map_err(|e| Error::Config(format!("a record: {e}")));
        let lines: Vec<String> = records.iter().map(line).collect::<Result<_>>()?;
        write_atomically(out, (lines.join("\n") + "\n").as_bytes())?;
    }
    let (counts, job) = (Counts::of(&records), &records[0].job);
    if args.json {
        return output::print_json(&certify::document(None, job, &counts));
    }
    output::print(&format!("{}\n{}", certify::head(job, &counts), certify::tables(&counts, &records)))
}
