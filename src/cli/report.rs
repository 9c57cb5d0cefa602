//! `smallbox report`: runs side by side, and analyses, on one HTML page.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smallbox::error::Result;
use smallbox::formats::atomic::write_atomically;
use smallbox::report::{ReportedAnalysis, ReportedRun, page, read_analyses, read_runs};

use super::format::{Side, bytes, table};
use super::{merge, output};

/// Options of `report`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run directories, finished or not
    #[arg(required_unless_present = "analyses", value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// A file that `analyze --out` wrote, NAME.json, or a folder of such files; may be given several times
    #[arg(long, value_name = "PATH")]
    analyses: Vec<PathBuf>,
    /// The HTML file to write; an existing one is replaced
    #[arg(long, value_name = "F.html", required = true)]
    out: Option<PathBuf>,
    /// Print what was compared as one JSON document
    #[arg(long)]
    json: bool,
}

/// What `report` does besides pages.
#[derive(clap::Subcommand)]
enum Command {
    /// Put the parts of a certification together and count them as one
    Merge(merge::Args),
}

/// Reads the runs, writes the page, says what is in it.
pub fn run(args: &Args) -> Result<()> {
    if let Some(Command::Merge(args)) = &args.command {
        return merge::run(args);
    }
    let out = args.out.as_deref().expect("clap asks for it");
    let runs = read_runs(&args.runs)?;
    for note in runs.iter().filter_map(|run| run.history.note.as_ref()) {
        output::note(note);
    }
    let analyses = read_analyses(&args.analyses)?;
    let html = page(&runs, &analyses);
    write_atomically(out, html.as_bytes())?;
    if args.json {
        return output::print_json(&document(out, html.len(), &runs, &analyses));
    }
    let mut text = String::new();
    if !runs.is_empty() {
        text += &format!("{}\n", summary(&runs));
    }
    if !analyses.is_empty() {
        text += &format!("{}\n", list(&analyses));
    }
    output::print(&format!("{text}{} ({})\n", out.display(), bytes(html.len() as u64)))
}

fn list(analyses: &[ReportedAnalysis]) -> String {
    let head = ["analysis", "title", "figures", "tables", "file"].map(String::from).to_vec();
    let row = |analysis: &ReportedAnalysis| {
        let document = &analysis.document;
        let (figures, tables) = (document.figures.len().to_string(), document.tables.len().to_string());
        vec![document.analysis.clone(), analysis.title.clone(), figures, tables, analysis.path.display().to_string()]
    };
    let rows: Vec<_> = std::iter::once(head).chain(analyses.iter().map(row)).collect();
    table(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Left], &rows)
}

fn summary(runs: &[ReportedRun]) -> String {
    let head = ["run", "method", "natural", "adversarial", "IBP-certified", "state"].map(String::from).to_vec();
    let row = |run: &ReportedRun| {
        let percent = |rate: Option<f64>| rate.map_or("–".into(), |rate| format!("{:.2} %", 100.0 * rate));
        let test = run.result.as_ref().map(|result| &result.test);
        vec![
            run.label.clone(),
            run.config.method.name().into(),
            percent(test.map(|test| test.natural.rate)),
            percent(test.map(|test| test.adversarial.rate)),
            percent(test.map(|test| test.ibp.rate)),
            run.status(),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(runs.iter().map(row)).collect();
    table(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Left], &rows)
}

fn document(out: &Path, length: usize, runs: &[ReportedRun], analyses: &[ReportedAnalysis]) -> Value {
    let run = |run: &ReportedRun| {
        let (c, result) = (&run.config, run.result.as_ref());
        json!({
            "run": run.path,
            "label": run.label,
            "method": c.method.name(),
            "arch": c.arch,
            "dataset": c.dataset,
            "epsilon": c.epsilon,
            "seed": c.seed,
            "epochs": run.epochs(),
            "configured_epochs": c.epochs,
            "complete": run.complete(),
            "state": run.status(),
            "seconds": run.seconds(),
            "samples_per_second": run.samples_per_second(),
            "peak_bytes": result.map(|result| result.peak_bytes),
            "test": result.map(|result| &result.test),
            "best": result.and_then(|result| result.best.as_ref()),
            "published": result.and_then(|result| result.published.as_ref()),
        })
    };
    let analysis = |analysis: &ReportedAnalysis| {
        let document = &analysis.document;
        json!({
            "file": analysis.path,
            "analysis": document.analysis,
            "title": analysis.title,
            "command": document.command,
            "version": document.version,
            "findings": document.findings,
            "figures": document.figures.len(),
            "tables": document.tables.len(),
        })
    };
    json!({
        "out": out,
        "bytes": length,
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
        "analyses": analyses.iter().map(analysis).collect::<Vec<_>>(),
    })
}
