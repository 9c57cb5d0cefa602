//! GFLOP/s of the native kernels of the heavy ops, layer by layer, beside the machine's measured multiply-add peak.
//!
//!     cargo bench --bench native [-- LAYER]
//!
//! The layers are those of `cnn3` at batch 256 and `cnn7` at batch 64, as in `smallbox bench kernels`; `_fast` are the kernels that training
//! and attacks take. A row is the fastest of the runs that fit in half a second, at least three; a multiply-add counts as two
//! operations, as a convolution is defined, padding counts as work. Only compare rows of one run on an idle machine.

use std::time::Duration;

use smallbox::device::cpu::CpuSession;
use smallbox::error::Result;
use smallbox::profile::{Roofs, kernels};

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let mut session = CpuSession::new();
    let peak = pollster::block_on(Roofs::measure(&mut session))?.flops_per_second;
    println!("{:<42} {:>10} {:>10} {:>8}", "kernel", "ms", "GFLOP/s", "of peak");
    println!("{:<42} {:>10} {:>10.1} {:>8}", "multiply-add peak", "", peak / 1e9, "");
    let layers = kernels::cases().into_iter().filter(|case| case.name().starts_with("cnn"));
    for case in layers.filter(|case| case.name().contains(&filter)) {
        let kernel = case.compile(&mut session)?;
        let seconds = pollster::block_on(kernel.sample(&mut session, Duration::from_millis(500)))?[0];
        let rate = kernel.cost().flops as f64 / seconds;
        let percent = 100.0 * rate / peak;
        println!("{:<42} {:>10.3} {:>10.1} {percent:>7.1}%", case.name(), seconds * 1e3, rate / 1e9);
        kernel.release(&mut session);
    }
    Ok(())
}
