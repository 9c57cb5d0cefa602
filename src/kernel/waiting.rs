//! Threads of the pool that wait for each other: awake, since what they wait for takes less time than to wake up, and counted, since that
//! is no work.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use rayon::Yield;

/// Pauses between two looks for work.
const PAUSES: usize = 8;

/// Nanoseconds that threads of the pool have looked for work in vain.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// How long threads of the pool have looked for work in vain while programs ran, all of them together since the process began: processor
/// time that is no work.
pub fn waited() -> Duration {
    Duration::from_nanos(WAITED.load(Ordering::Relaxed))
}

/// Does what work of the pool there is until `done`.
pub(crate) fn work_until(done: impl Fn() -> bool) {
    let mut waited = Duration::ZERO;
    while !done() {
        if rayon::yield_now() != Some(Yield::Executed) {
            let begun = Instant::now();
            pause();
            waited += begun.elapsed();
        }
    }
    WAITED.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
}

/// Some time without a look.
pub(crate) fn pause() {
    (0..PAUSES).for_each(|_| spin_loop());
    yield_now();
}
