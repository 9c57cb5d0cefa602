//! `smallbox devices`: what can be computed on.

use serde_json::{Value, json};
use smallbox::device::gpu::{self, AdapterDescription};
use smallbox::device::{self, OpenOptions};
use smallbox::error::{Error, Result};
use smallbox::ops::simd;

use super::{format, machine, output, self_test};

/// Options of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Lists the devices and tests each; an error if one computes wrongly.
pub fn run(args: &Args) -> Result<()> {
    let adapters = pollster::block_on(gpu::adapters());
    let choices = std::iter::once("cpu".to_string()).chain(adapters.iter().map(|a| format!("gpu:{}", a.index)));
    let tests: Vec<Result<()>> = choices.map(|choice| pollster::block_on(test(&choice))).collect();
    if args.json {
        let described = std::iter::once(native_json()).chain(adapters.iter().map(adapter_json));
        let devices: Vec<Value> = described
            .zip(&tests)
            .map(|(mut device, test)| {
                device["self_test"] = verdict(test).into();
                device
            })
            .collect();
        output::print_json(&json!({ "devices": devices }))?;
    } else {
        let described = std::iter::once(native_text()).chain(adapters.iter().map(adapter_text));
        let text: String = described
            .zip(&tests)
            .map(|(device, test)| format!("{device}       self-test: {}\n", verdict(test)))
            .collect();
        output::print(&text)?;
    }
    tests.into_iter().collect()
}

/// Opens a device and lets it compute.
async fn test(choice: &str) -> Result<()> {
    let mut session = device::open(choice, OpenOptions::default()).await?;
    self_test::run(session.as_mut()).await
}

/// The outcome of a self-test in words.
pub fn verdict(test: &Result<()>) -> String {
    match test {
        Ok(()) => "passed".to_string(),
        Err(Error::Device { message, .. }) => format!("failed: {message}"),
        Err(error) => format!("failed: {error}"),
    }
}

fn simd_name() -> String {
    format!("{:?}", simd::level()).to_lowercase()
}

/// The native device as JSON.
pub fn native_json() -> Value {
    json!({
        "id": "cpu", "backend": "native", "type": "cpu", "name": std::env::consts::ARCH,
        "threads": rayon::current_num_threads(), "simd": simd_name(), "memory_bytes": machine::total_memory_bytes(),
    })
}

fn native_text() -> String {
    let memory = machine::total_memory_bytes();
    let memory = memory.map_or_else(String::new, |bytes| format!(", {} memory", format::bytes(bytes)));
    let threads = rayon::current_num_threads();
    format!("cpu    {threads} threads, {} with {}{memory}\n", std::env::consts::ARCH, simd_name())
}

/// An adapter as JSON.
pub fn adapter_json(adapter: &AdapterDescription) -> Value {
    let limits: serde_json::Map<_, _> =
        adapter.limits.iter().map(|&(name, value)| (name.to_string(), value.into())).collect();
    json!({
        "id": format!("gpu:{}", adapter.index), "backend": adapter.backend, "type": adapter.kind, "name": adapter.name,
        "driver": adapter.driver, "pci": adapter.pci, "limits": limits, "features": adapter.features,
    })
}

fn adapter_text(adapter: &AdapterDescription) -> String {
    let AdapterDescription { index, name, backend, kind, driver, limits, features, .. } = adapter;
    let limits: Vec<String> = limits.iter().map(|(name, value)| limit(name, *value)).collect();
    let features = if features.is_empty() { "none".to_string() } else { features.join(", ") };
    format!(
        "gpu:{index}  {name}, {backend}, {kind}, {driver}\n       limits: {}\n       features: {features}\n",
        limits.join(", ")
    )
}

/// `buffer_bytes`, 2147483648 as `buffer 2.00 GiB`.
fn limit(name: &str, value: u64) -> String {
    match name.strip_suffix("_bytes") {
        Some(name) => format!("{} {}", name.replace('_', " "), format::bytes(value)),
        None => format!("{} {}", name.replace('_', " "), format::count(value)),
    }
}
