//! `smallbox verify`: one property of one network, as VNN-COMP asks.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use smallbox::certify::attack::AttackSpec;
use smallbox::certify::cascade::{Cascade, Claim, Outcome, Settings, Verdict};
use smallbox::certify::certificate::About;
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::Prover;
use smallbox::certify::query::{Question, questions};
use smallbox::error::{Error, Result};
use smallbox::formats::vnnlib::Query;

use super::options::DeviceOptions;
use super::search::SearchOptions;
use super::{output, parse};

/// Options of `verify`.
#[derive(clap::Args)]
pub struct Args {
    /// Network: an ONNX file, gzip'd or not
    #[arg(value_name = "NET.onnx")]
    network: PathBuf,
    /// What a counter-example would be: a VNN-LIB file, gzip'd or not
    #[arg(value_name = "SPEC.vnnlib")]
    property: PathBuf,
    /// Time for all of it
    #[arg(long, value_name = "T", value_parser = parse::duration, default_value = "5m")]
    timeout: Duration,
    /// Write the verdict, and the counter-example if there is one, to a file too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder that gets a certificate for each box of the property that is proved, to be checked by `smallbox check --model NET.onnx`
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Steps of the attack that comes first; 0: no attack
    #[arg(long, value_name = "N", default_value_t = 100)]
    attack_steps: usize,
    /// Starts of the attack for each clause
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value_t = 5)]
    attack_restarts: usize,
    /// Seed of the attack's starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// The verdict on all boxes together.
struct Answer {
    word: &'static str,
    reason: Option<String>,
    /// Inputs and outputs of a counter-example.
    witness: Option<(Vec<f64>, Vec<f64>)>,
    /// The box that decided, or the first that is open.
    outcome: Option<Outcome>,
    domains: usize,
}

/// Verifies.
pub fn run(args: &Args) -> Result<()> {
    let begun = Instant::now();
    args.device.set_threads()?;
    for path in [&args.network, &args.property] {
        if !path.is_file() {
            return Err(Error::data(path, "no such file"));
        }
    }
    let network = ReluNetwork::read_onnx(&args.network)?;
    let query = Query::read(&args.property)?;
    let questions = questions(&query, network.input().elements(), network.outputs())
        .map_err(|e| Error::data(&args.property, e.to_string()))?;
    if let Some(folder) = &args.certificates {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let answer = answer(args, &network, &questions, begun + args.timeout)?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut text = format!("{}\n", answer.word);
    if let Some((inputs, outputs)) = &answer.witness {
        let named = |letter: char, values: &[f64]| -> Vec<String> {
            values.iter().enumerate().map(|(i, v)| format!("({letter}_{i} {v})")).collect()
        };
        let all = [named('X', inputs), named('Y', outputs)].concat();
        writeln!(text, "({})", all.join("\n ")).expect("a string takes any text");
    }
    if let Some(path) = &args.out {
        std::fs::write(path, &text).map_err(Error::io(path))?;
    }
    if !args.json {
        return output::print(&text);
    }
    let outcome = answer.outcome.as_ref();
    output::print_json(&json!({
        "verdict": answer.word,
        "network": args.network, "property": args.property, "digest": network.digest(), "boxes": questions.len(),
        "seconds": seconds,
        "stage": outcome.map(|o| o.stage.name()),
        "margin": outcome.and_then(|o| o.margin),
        "domains": answer.domains,
        "depth": outcome.map(|o| o.search.depth),
        "proved": outcome.filter(|o| o.gave_up()).map(|o| o.search.proved),
        "gap": outcome.and_then(|o| o.open.as_ref().map(|open| open.gap)),
        "reason": answer.reason,
        "inputs": answer.witness.as_ref().map(|(x, _)| x),
        "outputs": answer.witness.as_ref().map(|(_, y)| y),
    }))
}

fn answer(args: &Args, network: &ReluNetwork, questions: &[Question], deadline: Instant) -> Result<Answer> {
    let mut answer = Answer { word: "unsat", reason: None, witness: None, outcome: None, domains: 0 };
    // A case that says nothing of the outputs is true in all of its box.
    let free: Vec<&Question> = questions.iter().filter(|q| q.claim.clauses.iter().any(Vec::is_empty)).collect();
    let holds_points = |q: &&&Question| q.nearest.lower.iter().zip(&q.nearest.upper).all(|(l, u)| l <= u);
    if let Some(question) = free.iter().find(holds_points) {
        let ends = question.nearest.lower.iter().zip(&question.nearest.upper);
        let point: Vec<f64> = ends.map(|(l, u)| l + 0.5 * (u - l)).collect();
        answer.witness = Some(witness(&Arc::new(Prover::new(network)?), point)?);
        return Ok(Answer { word: "sat", ..answer });
    }
    if !free.is_empty() {
        return Ok(Answer { word: "unknown", reason: Some("a box that is empty but for rounding".into()), ..answer });
    }
    if questions.is_empty() {
        return Ok(answer);
    }
    let attack = (args.attack_steps > 0).then(|| AttackSpec::pgd(args.attack_steps, args.attack_restarts));
    let mut settings = Settings { batch: 1, attack, seed: args.seed, ..Settings::default() };
    args.search.apply(&mut settings.search);
    let mut session = args.device.open_or(None)?;
    let session = session.as_mut();
    let mut cascade = Cascade::new(session, network, settings)?;
    for (index, question) in questions.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            answer = Answer { word: "timeout", reason: Some("the time ran out".into()), ..answer };
            break;
        }
        cascade.set_timeout(left);
        let claim = Claim { property: question.claim.clone(), point: None };
        let outcome = pollster::block_on(cascade.run(session, &[claim]))?.swap_remove(0);
        answer.domains += outcome.search.domains;
        match (outcome.verdict, &outcome.counter_example) {
            (Verdict::Certified, _) => {
                if let (Some(folder), Some(proof)) = (&args.certificates, &outcome.proof) {
                    let certificate = proof.certificate(network, &question.claim, About::default());
                    certificate.write(&folder.join(format!("{index:05}.certificate")))?;
                }
            }
            (Verdict::Falsified, Some(point)) => {
                let ends = question.nearest.lower.iter().zip(&question.nearest.upper);
                let point: Vec<f64> = point.iter().zip(ends).map(|(x, (l, u))| x.max(*l).min(*u)).collect();
                if cascade.prover().refutes(&question.nearest, &point)? {
                    answer.witness = Some(witness(cascade.prover(), point)?);
                    answer.word = "sat";
                    answer.outcome = Some(outcome);
                    break;
                }
                answer.word = "unknown";
                answer.reason = Some("a counter-example by no more than the rounding of the file's decimals".into());
                answer.outcome = Some(outcome);
                continue;
            }
            (Verdict::Error, _) => {
                let reason = outcome.open.map_or_else(String::new, |open| open.reason);
                return Err(Error::Config(reason));
            }
            (verdict, _) => {
                // A later box may still have a counter-example.
                if answer.word == "unsat" {
                    answer.word = if verdict == Verdict::Timeout { "timeout" } else { "unknown" };
                    answer.reason = outcome.open.as_ref().map(|open| open.reason.clone());
                    answer.outcome = Some(outcome);
                }
                continue;
            }
        }
        if answer.word == "unsat" {
            answer.outcome = Some(outcome);
        }
    }
    cascade.release(session);
    if answer.word == "sat" {
        answer.reason = None;
    }
    Ok(answer)
}

/// A point with the outputs there, to the middle of their proved intervals.
fn witness(prover: &Arc<Prover>, point: Vec<f64>) -> Result<(Vec<f64>, Vec<f64>)> {
    let outputs = prover.evaluate(&point)?.into_iter().map(|(l, u)| 0.5 * (l + u)).collect();
    Ok((point, outputs))
}
