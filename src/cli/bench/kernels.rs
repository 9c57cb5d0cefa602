//! `smallbox bench kernels`: single kernels at the sizes of real layers.

use std::time::Duration;

use serde_json::{Value, json};
use smallbox::device::Session;
use smallbox::error::{Error, Result};
use smallbox::profile::kernels::{Case, cases};
use smallbox::profile::{Bound, Roofs, quantile};

use super::baseline::Gate;
use super::roofs_document;
use crate::cli::format::{Side, table};
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// Options of `bench kernels`.
#[derive(clap::Args)]
pub struct Args {
    /// Only kernels whose name has one of these in it, such as conv2 or adam
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Time to measure each kernel for, which runs at least 3 times
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "300ms")]
    time: Duration,
    /// Let each run find its operands in memory, not in caches, as in training of large networks: 256 MiB are moved before it
    #[arg(long)]
    cold: bool,
    /// List the names, measure nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    gate: Gate,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Times kernels.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let mut chosen = choose(&args.names)?;
    if args.cold {
        chosen = chosen.into_iter().map(Case::cold).collect();
    }
    if args.list {
        let names: String = chosen.iter().map(|case| format!("{}\n", case.name())).collect();
        return crate::cli::output::print(&names);
    }
    let mut session = args.device.open_traced()?;
    let session = session.as_mut();
    let baseline = args.gate.read(session.device())?;
    let roofs = pollster::block_on(Roofs::measure(session))?;
    let mut meter = Meter::new(args.quiet);
    let rows = measure_all(session, &chosen, args.time, &roofs, &mut meter);
    meter.finish();
    let rows = rows?;
    let device = session.device();
    let document = json!({
        "device": device.id, "device_name": device.name, "threads": rayon::current_num_threads(), "cold": args.cold,
        "roofs": roofs_document(&roofs), "rows": rows,
    });
    let head = format!(
        "{} ({}); {}; multiply-adds {:.1} GFLOP/s, memory {:.1} GB/s, {:.2} µs a launch{}\n\n",
        device.id,
        device.name,
        roofs.clock.words(),
        roofs.flops_per_second / 1e9,
        roofs.memory_bytes_per_second() / 1e9,
        1e6 * roofs.launch_seconds,
        if args.cold { "; operands in memory" } else { "" }
    );
    let text = head + &text(&rows);
    args.gate.finish(document, &text, baseline.as_ref(), args.names.is_empty())
}

/// The cases whose names have one of `parts` in them; all without any.
pub fn choose(parts: &[String]) -> Result<Vec<Case>> {
    let all = cases();
    if let Some(part) = parts.iter().find(|part| !all.iter().any(|case| case.name().contains(part.as_str()))) {
        return Err(Error::Usage(format!("no kernel has '{part}' in its name; bench kernels --list names them")));
    }
    let wanted = |case: &Case| parts.is_empty() || parts.iter().any(|part| case.name().contains(part.as_str()));
    Ok(all.into_iter().filter(wanted).collect())
}

/// One row per case.
fn measure_all(
    session: &mut dyn Session,
    cases: &[Case],
    time: Duration,
    roofs: &Roofs,
    meter: &mut Meter,
) -> Result<Vec<Value>> {
    let mut rows = Vec::with_capacity(cases.len());
    for (done, case) in cases.iter().enumerate() {
        meter.set("kernels", done as u64, cases.len() as u64, case.name());
        rows.push(measure(session, case, time, roofs)?);
    }
    Ok(rows)
}

/// The row of a case.
pub fn measure(session: &mut dyn Session, case: &Case, time: Duration, roofs: &Roofs) -> Result<Value> {
    let kernel = case.compile(session)?;
    let seconds = pollster::block_on(kernel.sample(session, time))?;
    let (cost, median) = (kernel.cost(), quantile(&seconds, 0.5));
    let least = if case.is_cold() { roofs.least_from_memory(cost) } else { roofs.least(cost) };
    kernel.release(session);
    let of_copy = match least.bound() {
        Bound::Memory => Some(copy(session, case, cost.bytes, time)? / median),
        Bound::Compute | Bound::Launch => None,
    };
    Ok(json!({
        "name": case.name(), "median_ms": 1e3 * median, "min_ms": 1e3 * seconds[0], "p95_ms": 1e3 * quantile(&seconds, 0.95),
        "runs": seconds.len(), "gflops": cost.flops as f64 / median / 1e9, "gbytes_per_s": cost.bytes as f64 / median / 1e9,
        "of_roof": least.compute.max(least.memory) / median, "of_copy": of_copy, "bound_by": least.bound(),
        "flops": cost.flops, "bytes": cost.bytes,
    }))
}

/// Seconds that copying takes which reads and writes `bytes` bytes, with caches as `case` has them, median.
fn copy(session: &mut dyn Session, case: &Case, bytes: u64, time: Duration) -> Result<f64> {
    let copy = if case.is_cold() { Case::copy(bytes).cold() } else { Case::copy(bytes) };
    let kernel = copy.compile(session)?;
    let seconds = pollster::block_on(kernel.sample(session, time))?;
    kernel.release(session);
    Ok(quantile(&seconds, 0.5))
}

fn text(rows: &[Value]) -> String {
    let head = ["kernel", "median ms", "best ms", "p95 ms", "GFLOP/s", "GB/s", "of roof", "of copy", "bound by"];
    let mut cells = vec![head.map(String::from).to_vec()];
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let percent = |key: &str| row[key].as_f64().map_or("–".into(), |part| format!("{:.0} %", 100.0 * part));
        let word = |key: &str| row[key].as_str().unwrap_or_default().to_string();
        cells.push(vec![
            word("name"),
            format!("{:.3}", number("median_ms")),
            format!("{:.3}", number("min_ms")),
            format!("{:.3}", number("p95_ms")),
            format!("{:.1}", number("gflops")),
            format!("{:.1}", number("gbytes_per_s")),
            percent("of_roof"),
            percent("of_copy"),
            word("bound_by"),
        ]);
    }
    let mut sides = [Side::Right; 9];
    (sides[0], sides[8]) = (Side::Left, Side::Left);
    table(&sides, &cells)
}
