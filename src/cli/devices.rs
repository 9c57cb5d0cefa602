//! `smallbox devices`: what can be computed on.

use serde_json::json;
use smallbox::error::Result;
use smallbox::ops::simd;

use super::{format, machine, output};

/// Options of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Lists the devices.
pub fn run(args: &Args) -> Result<()> {
    let threads = rayon::current_num_threads();
    let simd = format!("{:?}", simd::level()).to_lowercase();
    let memory = machine::total_memory_bytes();
    if args.json {
        let cpu = json!({
            "id": "cpu", "backend": "native", "arch": std::env::consts::ARCH, "threads": threads, "simd": simd,
            "memory_bytes": memory,
        });
        return output::print_json(&json!({ "devices": [cpu] }));
    }
    let memory = memory.map_or_else(String::new, |bytes| format!(", {} memory", format::bytes(bytes)));
    output::print(&format!("cpu  {threads} threads, {} with {simd}{memory}\n", std::env::consts::ARCH))
}
