//! The command line: the only place that prints and that waits for a device.
//!
//! Results go to the standard output, with `--json` as one document; progress and the one line of an error go to the
//! standard error. Each subcommand has a file of its own.

mod accuracies;
mod analyze;
mod attack;
mod bench;
mod cache;
mod certify;
mod check;
mod data;
mod devices;
mod dry_run;
mod eval;
mod export;
mod fetch;
mod format;
mod interrupt;
mod machine;
mod merge;
mod model;
mod options;
mod output;
mod parse;
mod profile;
mod progress;
mod report;
mod search;
mod self_test;
mod settings;
mod train;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use smallbox::error::{Error, Result};

/// Trains provably robust image classifiers with SABR (small adversarial bounding boxes), on any GPU and without one.
#[derive(Parser)]
#[command(name = "smallbox", version, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Try it without any data: smallbox train
Exit codes: 0 done, 2 usage, 3 configuration or model, 4 device, 5 data, 6 diverged, 7 gate failed, 130 interrupted, \
1 anything else";

#[derive(Subcommand)]
enum Command {
    /// Train a network; without options, with SABR on the dataset that the program draws itself
    Train(Box<train::Args>),
    /// Measure natural, adversarial and IBP-certified accuracy of a model
    Eval(Box<eval::Args>),
    /// Certify that a model keeps its answer on a whole box around each image
    Certify(Box<certify::Args>),
    /// Decide a VNN-LIB property of an ONNX network: unsat, sat with a counter-example, unknown or timeout
    Verify(Box<verify::Args>),
    /// Prove certificates again, independently of the search that found them
    Check(Box<check::Args>),
    /// Attack a model's images, and save what turns them
    Attack(Box<attack::Args>),
    /// Write a model as ONNX, and properties of images as VNN-LIB, for other verifiers
    Export(Box<export::Args>),
    /// Say in numbers and pictures what training did to networks
    #[command(subcommand)]
    Analyze(Box<analyze::Command>),
    /// Compare runs on one HTML page (accuracies, curves, settings), with what analyses say
    Report(report::Args),
    /// List the devices that can be computed on, each with a numeric self-test
    Devices(devices::Args),
    /// List, download, check and look at datasets
    #[command(subcommand)]
    Data(data::Command),
    /// Measure speed
    #[command(subcommand)]
    Bench(bench::Command),
    /// Show where the time of a training step goes, kernel by kernel, and how near the device's limits each comes
    Profile(profile::Args),
}

/// Parses the arguments, does what they ask for, reports an error in one line.
pub fn main() -> ExitCode {
    machine::start();
    quiet_vulkan();
    match parse_and_run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                // Not a mistake: what was asked for has happened.
                Error::Interrupted(_) => output::note(&one_line(&error.to_string())),
                _ => output::note(&format!("error: {}", one_line(&error.to_string()))),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Keeps Mesa's device selection layer out where there is no desktop: it would look for one, and complain on the standard
/// error that there is none. The layer only reorders adapters, which smallbox orders itself.
fn quiet_vulkan() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing that the program does, so no other thread reads the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn parse_and_run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match cli.command {
            Command::Train(args) => train::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Certify(args) => certify::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Attack(args) => attack::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Analyze(command) => analyze::run(&command),
            Command::Report(args) => report::run(&args),
            Command::Devices(args) => devices::run(&args),
            Command::Data(command) => data::run(&command),
            Command::Bench(command) => bench::run(&command),
            Command::Profile(args) => profile::run(&args),
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print(&error.render().to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                output::note(error.render().to_string().trim_end());
                Err(Error::Usage("a subcommand is needed".into()))
            }
            _ => Err(Error::Usage(usage_line(&error.render().to_string()))),
        },
    }
}

/// What clap says about wrong arguments in several paragraphs, as one line: the mistake and the tip, not the usage.
fn usage_line(rendered: &str) -> String {
    let kept = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let kept: Vec<&str> = kept.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let text = kept.join(" ");
    format!("{} (see --help)", text.strip_prefix("error: ").unwrap_or(&text))
}

/// Messages of other crates may have several lines.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_argument_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line_with_the_mistake() {
        let error = parse_and_run(["smallbox", "data", "show"].map(OsString::from)).unwrap_err();
        let Error::Usage(line) = error else { panic!("{error}") };
        assert!(line.contains("--out") && !line.contains('\n') && !line.contains("Usage"), "{line}");
    }
}
