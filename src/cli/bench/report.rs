//! `smallbox bench report`: everything about a device and its speed in one file, for a user to send.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use smallbox::certify::network::ReluNetwork;
use smallbox::data::{self, LoadOptions};
use smallbox::device::Session;
use smallbox::device::gpu;
use smallbox::error::Result;
use smallbox::formats::atomic::write_atomically;
use smallbox::nn::{architecture, initial_values};
use smallbox::profile::Roofs;
use smallbox::train::{Config, MethodKind, Work};

use super::{crown, kernels, roofs_document, step};
use crate::cli::certify::claim;
use crate::cli::options::DeviceOptions;
use crate::cli::progress::Meter;
use crate::cli::{devices, machine, output, parse, self_test};

/// Options of `bench report`.
#[derive(clap::Args)]
pub struct Args {
    /// The file
    #[arg(long, value_name = "F.json", value_parser = parse::new_file)]
    out: PathBuf,
    /// Only what a slow device does in a minute: the kernels of cnn3 and the small ops, its steps at batch 32
    #[arg(long)]
    small: bool,
    /// Time to measure each kernel for
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "300ms")]
    time: Duration,
    #[command(flatten)]
    device: DeviceOptions,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// The bounds: their row, images, images at once, ε.
const CROWN_NAME: &str = "crown/cnn3 first weights";
const CROWN_IMAGES: usize = 32;
const CROWN_BATCH: usize = 16;
const CROWN_EPSILON: f64 = 0.02;
/// Steps timed, after one that is not.
const STEPS: usize = 5;
/// Passes over the bounded images, likewise.
const PASSES: usize = 3;

/// Measures all and writes the file.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let mut meter = Meter::new(args.quiet);
    let result = report(args, &mut meter);
    meter.finish();
    let report = result?;
    let mut text = serde_json::to_string_pretty(&report).expect("a JSON value is JSON");
    text.push('\n');
    write_atomically(&args.out, text.as_bytes())?;
    output::print(&format!("{}\n", summary(&args.out, &report)))
}

fn report(args: &Args, meter: &mut Meter) -> Result<Value> {
    let mut session = args.device.open_traced()?;
    let info = session.device().clone();
    // A device that computes wrongly is worth a report all the same.
    let test = devices::verdict(&pollster::block_on(self_test::run(session.as_mut())));
    meter.line(&format!("self-test {test}"));
    let roofs = pollster::block_on(Roofs::measure(session.as_mut()))?;
    let chosen = kernels::choose(&[])?;
    let wanted = |name: &str| !args.small || !name.contains("64x64x28x28") && !name.contains("cnn7");
    let chosen: Vec<_> = chosen.into_iter().filter(|case| wanted(case.name())).collect();
    let mut of_kernels = Vec::with_capacity(chosen.len());
    for (done, case) in chosen.iter().enumerate() {
        meter.set("kernels", done as u64, chosen.len() as u64, case.name());
        of_kernels.push(or_error(case.name(), kernels::measure(session.as_mut(), case, args.time, &roofs)));
    }
    drop(session);
    let steps: &[(MethodKind, &str, usize)] = match args.small {
        true => &[(MethodKind::Std, "cnn3", 32), (MethodKind::Sabr, "cnn3", 32)],
        false => &[(MethodKind::Std, "cnn3", 256), (MethodKind::Sabr, "cnn3", 256), (MethodKind::Sabr, "cnn7", 64)],
    };
    let mut of_steps = Vec::with_capacity(steps.len());
    for (done, &(method, arch, batch)) in steps.iter().enumerate() {
        meter.set("steps", done as u64, steps.len() as u64, &format!("{} {arch}", method.name()));
        let config = Config { arch: arch.into(), method, batch, ..Config::default() }.resolve()?;
        // A session of its own: networks of one session share the names of their parameters.
        let measured = step::measure(args.device.open_or(None)?.as_mut(), &config, Work::Step, 1, STEPS);
        of_steps.push(or_error(&step::row_name(&config, Work::Step), measured.map(|measured| measured.row())));
    }
    meter.line("bounds");
    let crown = or_error(CROWN_NAME, crown(args.device.open_or(None)?.as_mut()));
    Ok(json!({
        "format": "smallbox bench report 1",
        "version": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "optimised": !cfg!(debug_assertions),
        "device": info.id,
        "device_name": info.name,
        "backend": info.backend,
        "driver": info.driver,
        "about": about(&info.id),
        "threads": rayon::current_num_threads(),
        "self_test": test,
        "small": args.small,
        "roofs": roofs_document(&roofs),
        "kernels": of_kernels,
        "steps": of_steps,
        "crown": crown,
        "peak_rss_bytes": machine::peak_rss_bytes(),
    }))
}

/// A row; where something was in the way, with that instead of times: the rest of a report is worth having all the same.
fn or_error(name: &str, row: Result<Value>) -> Value {
    row.unwrap_or_else(|error| json!({ "name": name, "error": error.to_string() }))
}

/// What `devices --json` says about the device.
fn about(id: &str) -> Value {
    let adapters = pollster::block_on(gpu::adapters());
    let found = adapters.iter().find(|adapter| id == format!("gpu:{}", adapter.index));
    found.map_or_else(devices::native_json, devices::adapter_json)
}

/// CROWN bounds of `cnn3` with its first weights on embedded images: the same work on every machine, without a file.
fn crown(session: &mut dyn Session) -> Result<Value> {
    let options = LoadOptions { limit: Some(CROWN_IMAGES), validation: Some(0), ..LoadOptions::default() };
    let dataset = data::load(data::embedded::NAME, &options)?;
    let (mean, deviation) = dataset.normalisation_constants();
    let network = architecture("cnn3", dataset.input(), dataset.train.classes, mean, deviation)?;
    let network = ReluNetwork::from_model(&network, &initial_values(&network, false, 0))?;
    let images = dataset.test.len().min(CROWN_IMAGES);
    let properties: Vec<_> = (0..images).map(|index| claim(&dataset.test, index, CROWN_EPSILON).property).collect();
    Ok(crown::measure(session, &network, &properties, CROWN_BATCH, PASSES)?.row(CROWN_NAME))
}

fn summary(out: &Path, report: &Value) -> String {
    let rows = |key: &str| report[key].as_array().map_or(0, Vec::len);
    let all = ["kernels", "steps"].into_iter().filter_map(|key| report[key].as_array()).flatten();
    let failed = all.chain([&report["crown"]]).filter(|row| !row["error"].is_null()).count();
    let failed = if failed == 0 { String::new() } else { format!("; {failed} of these failed, see \"error\" there") };
    format!(
        "{}: {} ({}), self-test {}, {} kernels, {} steps, bounds{failed}",
        out.display(),
        report["device_name"].as_str().unwrap_or_default(),
        report["driver"].as_str().unwrap_or_default(),
        report["self_test"].as_str().unwrap_or_default(),
        rows("kernels"),
        rows("steps")
    )
}

#[cfg(test)]
mod tests {
    use smallbox::error::Error;

    use super::*;

    #[test]
    fn what_failed_is_said() {
        let rows = |failed: bool| {
            let row = match failed {
                true => or_error("a", Err(Error::device("gpu:0", "out of memory for slot"))),
                false => or_error("a", Ok(json!({ "name": "a", "median_ms": 1.0 }))),
            };
            summary(Path::new("r.json"), &json!({ "kernels": [row], "steps": [], "crown": {} }))
        };
        assert!(rows(true).contains("1 of these failed"), "{}", rows(true));
        assert!(!rows(false).contains("failed"), "{}", rows(false));
    }
}
