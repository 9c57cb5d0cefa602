//! The kernels of `smallbox bench kernels` by criterion, with its statistics and its own baselines.
//!
//!     cargo bench --bench kernels [-- NAME] [--save-baseline B | --baseline B]
//!
//! On the native device, or on the one that `SMALLBOX_BENCH_DEVICE` names as `--device` would. Times are those of the kernels alone, by the
//! device's own clock. Only compare runs on an idle machine.

use std::time::Duration;

use criterion::Criterion;
use smallbox::device::{self, OpenOptions};
use smallbox::error::Result;
use smallbox::profile::kernels::cases;

fn main() -> Result<()> {
    let choice = std::env::var("SMALLBOX_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let options = OpenOptions { timestamps: true, ..OpenOptions::default() };
    let mut session = pollster::block_on(device::open(&choice, options))?;
    let mut criterion =
        Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).configure_from_args();
    let mut group = criterion.benchmark_group(&choice);
    for case in cases() {
        group.bench_function(case.name(), |bencher| {
            // Compiled when it is measured: a filter leaves most out.
            let kernel = case.compile(session.as_mut()).expect("a kernel that compiles");
            bencher.iter_custom(|runs| {
                let run = |_| pollster::block_on(kernel.seconds(session.as_mut())).expect("a device that runs");
                Duration::from_secs_f64((0..runs).map(run).sum())
            });
            kernel.release(session.as_mut());
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
