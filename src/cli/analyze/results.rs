//! `smallbox analyze results`: natural against certified accuracy of runs, beside what was published.

use std::path::{Path, PathBuf};

use smallbox::analyze::results::{Measured, Results, Verifier};
use smallbox::certify::record::{self, Counts, Job, Record};
use smallbox::error::{Error, Result};
use smallbox::report::{ReportedRun, read_runs};
use smallbox::train::RunDirectory;

use super::place::Place;
use crate::cli::model::ModelOptions;
use crate::cli::options::DataDir;
use crate::cli::output;

/// Options of `analyze results`.
#[derive(clap::Args)]
pub struct Args {
    /// Run directories with a result; what certify wrote to certified.jsonl there is shown too
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// A file that `certify --out` wrote for one of the runs; may be given several times, also for parts of one certification
    #[arg(long, value_name = "F.jsonl")]
    certified: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// A file and its lines.
type Part<'a> = (&'a Path, Vec<Record>);

/// A certification of a network, which may have come in parts.
struct Certification {
    /// The first of its files.
    file: PathBuf,
    job: Job,
    counts: Counts,
}

/// Weights of a run, by the digest that certifications name them with.
struct Weights {
    digest: String,
    best: bool,
}

/// Collects and says it.
pub fn run(args: &Args) -> Result<()> {
    let runs = read_runs(&args.runs)?;
    let mut named = certifications(&args.certified)?;
    let mut measured = Vec::new();
    for run in &runs {
        let own = estimate(run)?;
        let beside = run.path.join("certified.jsonl");
        // One that is named is counted there.
        let beside = if beside.is_file() && !is_named(&args.certified, &beside) { vec![beside] } else { Vec::new() };
        let beside = certifications(&beside)?;
        let weights = if named.is_empty() && beside.is_empty() { Vec::new() } else { weights(run)? };
        let (mine, others): (Vec<_>, Vec<_>) = named.into_iter().partition(|c| of(&weights, &c.job).is_some());
        named = others;
        measured.push(own.clone());
        for certification in beside.iter().chain(&mine) {
            measured.push(proved(run, &own, &weights, certification)?);
        }
    }
    if let Some(stray) = named.first() {
        let message = "certifies a network that none of the runs holds: expected one of their weights, last or best";
        return Err(Error::model(&stray.file, message));
    }
    if !args.place.quiet {
        for (run, note) in runs.iter().filter_map(|run| Some((run, run.history.note.as_ref()?))) {
            output::note(&format!("{}: {note}", run.label));
        }
    }
    let results = Results::new(measured);
    args.place.put(results.document(), &results.sheet())
}

fn is_named(files: &[PathBuf], file: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    files.iter().any(|named| real(named) == real(file))
}

/// What a run's result says, by intervals.
fn estimate(run: &ReportedRun) -> Result<Measured> {
    let result = run.result.as_ref().ok_or_else(|| {
        Error::data(
            run.path.join("result.json"),
            format!("no such file: expected a run with a result ({})", run.status()),
        )
    })?;
    Ok(Measured {
        network: run.label.clone(),
        method: run.config.method.name().into(),
        arch: run.config.arch.clone(),
        incomplete: (!run.complete()).then(|| run.status()),
        dataset: run.config.dataset.clone(),
        epsilon: run.config.epsilon,
        images: result.test.images,
        natural: result.test.natural,
        certified: result.test.ibp,
        verifier: Verifier::Intervals,
    })
}

/// Files as certifications: those of one job are its parts.
fn certifications(files: &[PathBuf]) -> Result<Vec<Certification>> {
    let mut jobs: Vec<(Job, Vec<Part>)> = Vec::new();
    for file in files {
        let records = record::read(file)?;
        let Some(job) = records.first().map(|record| record.job.clone()) else {
            return Err(Error::data(file, "no line: expected what certify --out wrote"));
        };
        match jobs.iter_mut().find(|(other, _)| *other == job) {
            Some((_, parts)) => parts.push((file, records)),
            None => jobs.push((job, vec![(file, records)])),
        }
    }
    let counted = |(job, parts): (Job, Vec<Part>)| {
        let counts = Counts::of(&record::merge(&parts)?);
        Ok(Certification { file: parts[0].0.to_path_buf(), job, counts })
    };
    jobs.into_iter().map(counted).collect()
}

/// The weights that the run keeps: a run that was recorded without them has none.
fn weights(run: &ReportedRun) -> Result<Vec<Weights>> {
    let (folder, _) = RunDirectory::open(&run.path)?;
    let mut weights = Vec::new();
    for (best, file) in [(false, folder.model()), (true, folder.best())] {
        if file.is_file() {
            let options = ModelOptions::named(&run.path, None, None, best, DataDir { data_dir: None });
            weights.push(Weights { digest: options.find()?.relu_network(None)?.digest(), best });
        }
    }
    Ok(weights)
}

/// Those of `weights` that were certified; the last ones, where the best ones are the same.
fn of<'a>(weights: &'a [Weights], job: &Job) -> Option<&'a Weights> {
    weights.iter().find(|weights| weights.digest == job.model)
}

/// A run's network as a certification found it.
fn proved(run: &ReportedRun, own: &Measured, weights: &[Weights], of_run: &Certification) -> Result<Measured> {
    let Certification { file, job, counts } = of_run;
    let certified = of(weights, job);
    if certified.is_none() && !weights.is_empty() {
        let path = run.path.display();
        return Err(Error::model(
            file,
            format!("certifies another network than that of {path}, neither its last nor its best weights"),
        ));
    }
    if job.dataset != run.config.dataset || job.split != "test" {
        let (split, dataset, expected) = (&job.split, &job.dataset, &run.config.dataset);
        return Err(Error::data(file, format!("of {split} images of {dataset}: expected test images of {expected}")));
    }
    let mut measured = own.certified(job, counts);
    if certified.is_some_and(|weights| weights.best) {
        measured.network += ", best epoch";
    }
    Ok(measured)
}
