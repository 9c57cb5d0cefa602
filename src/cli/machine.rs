//! What the operating system says about this machine and this process, where it says it.

use std::sync::OnceLock;
use std::time::Instant;

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Remembers the start of the process; to be called first of all.
pub fn start() {
    STARTED.get_or_init(Instant::now);
}

/// Seconds since [`start`].
pub fn seconds_since_start() -> f64 {
    STARTED.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Physical memory in bytes; `None` where `/proc` does not exist.
pub fn total_memory_bytes() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal:")
}

/// The most memory that this process has had in RAM so far, in bytes; `None` where `/proc` does not exist.
pub fn peak_rss_bytes() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Processor time of all threads of this process so far, in seconds, threads that wait in a loop for work included; `None` where `/proc`
/// does not tell it per thread.
pub fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds = 0u64;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        // Its first number is the time on a processor. A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    // A kernel that does not count says 0.
    (nanoseconds > 0).then_some(nanoseconds as f64 / 1e9)
}

/// The line `key   N kB` of a file of `/proc`.
fn kibibytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn processor_time_grows_with_work() {
        let Some(before) = cpu_seconds() else { return };
        let begun = Instant::now();
        let mut x = 1u64;
        // Other tests of this process work meanwhile: only the lower bound is known.
        while begun.elapsed() < Duration::from_millis(50) || cpu_seconds().expect("it was known") - before < 0.02 {
            x = std::hint::black_box(x.wrapping_mul(3));
            assert!(begun.elapsed() < Duration::from_secs(60), "a minute of work and no processor time");
        }
        assert!(cpu_seconds().expect("it was known") >= before + 0.02);
    }
}
