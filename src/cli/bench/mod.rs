//! `smallbox bench`: how fast this machine is.

mod attack;
mod baseline;
mod crown;
mod kernels;
mod report;
mod scaling;
mod step;
mod whole;

use serde_json::{Value, json};
use smallbox::error::Result;
use smallbox::profile::Roofs;

pub use step::{StepOptions, finite, row_name};

/// Subcommands of `bench`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Time the attack of training alone at full epsilon on random images of 1×28×28
    Attack(attack::Args),
    /// Time CROWN bounds of images around which a model is certified
    Crown(crown::Args),
    /// Time single kernels at the sizes of real layers
    Kernels(kernels::Args),
    /// Write all about a device and its speed into one file, to be sent along with a question about it
    Report(report::Args),
    /// Time whole runs on the embedded dataset: data, training, evaluation
    Run(whole::Args),
    /// Time training steps over batch sizes, widths and threads, and say whether the times are in proportion
    Scaling(scaling::Args),
    /// Time whole training steps at full epsilon on random images of 1×28×28; the weights stay as they are initialised
    Step(step::Args),
}

/// Does what `command` asks for.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Attack(args) => attack::run(args),
        Command::Crown(args) => crown::run(args),
        Command::Kernels(args) => kernels::run(args),
        Command::Report(args) => report::run(args),
        Command::Run(args) => whole::run(args),
        Command::Scaling(args) => scaling::run(args),
        Command::Step(args) => step::run(args),
    }
}

/// The roofs as JSON, with the units in the names.
pub fn roofs_document(roofs: &Roofs) -> Value {
    let stream = |s: &smallbox::profile::Stream| json!({ "bytes": s.bytes, "gbytes_per_s": s.bytes_per_second / 1e9 });
    json!({
        "clock": roofs.clock,
        "gflops": roofs.flops_per_second / 1e9,
        "gbytes_per_s": roofs.memory_bytes_per_second() / 1e9,
        "streams": roofs.streams.iter().map(stream).collect::<Vec<_>>(),
        "launch_ms": 1e3 * roofs.launch_seconds,
    })
}

/// Median (of an even number, the mean of the middle two) and least of times.
pub fn median_and_best(seconds: &mut [f64]) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    let n = seconds.len();
    ((seconds[(n - 1) / 2] + seconds[n / 2]) / 2.0, seconds[0])
}

#[cfg(test)]
mod tests {
    use super::median_and_best;

    #[test]
    fn medians() {
        assert_eq!(median_and_best(&mut [3.0, 1.0, 2.0]), (2.0, 1.0));
        assert_eq!(median_and_best(&mut [4.0, 1.0, 2.0, 9.0]), (3.0, 1.0));
    }
}
