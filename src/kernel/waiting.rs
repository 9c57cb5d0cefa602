//! Threads of the pool that wait for each other: awake, since what they wait for takes less time than to wake up, and counted, since that
//! is no work.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use rayon::Yield;

/// Pauses between two looks for work.
const PAUSES: usize = 8;

/// What a pause takes of a processor at most, some times what one does where nothing else runs: in a longer one the core was another's, and
/// only the clock went on.
const LONGEST: Duration = Duration::from_micros(5);

/// Nanoseconds that threads of the pool have looked for work in vain.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// How long threads of the pool have looked for work in vain while programs ran, all of them together since the process began: processor
/// time that is no work.
pub fn waited() -> Duration {
    Duration::from_nanos(WAITED.load(Ordering::Relaxed))
}

/// Does what work of the pool there is until `done`.
pub(crate) fn work_until(done: impl Fn() -> bool) {
    work_until_in_vain(done, Duration::MAX);
}

/// The same, but ends too once there has been no work for `patience`.
pub(crate) fn work_until_in_vain(done: impl Fn() -> bool, patience: Duration) {
    WAITED.fetch_add(work_and_wait_until(done, patience).as_nanos() as u64, Ordering::Relaxed);
}

/// The same; returns how long there was none and a processor was kept.
fn work_and_wait_until(done: impl Fn() -> bool, patience: Duration) -> Duration {
    let mut waited = Duration::ZERO;
    let mut worked = Instant::now();
    while !done() && worked.elapsed() < patience {
        if rayon::yield_now() == Some(Yield::Executed) {
            worked = Instant::now();
        } else {
            let begun = Instant::now();
            pause();
            waited += begun.elapsed().min(LONGEST);
        }
    }
    waited
}

/// Some time without a look.
pub(crate) fn pause() {
    (0..PAUSES).for_each(|_| spin_loop());
    yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::sync::atomic::AtomicBool;
    use std::thread::{available_parallelism, scope};

    /// Sets it when it goes, also if that is because of a panic.
    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What counts as waiting for `length`, beside so many threads for each core that work.
    fn waited_beside(others: usize, length: Duration) -> Duration {
        let over = AtomicBool::new(false);
        scope(|threads| {
            let _end = End(&over);
            for _ in 0..others * available_parallelism().map_or(1, |cores| cores.get()) {
                threads.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        black_box(0);
                    }
                });
            }
            let begun = Instant::now();
            work_and_wait_until(|| begun.elapsed() >= length, Duration::MAX)
        })
    }

    #[test]
    fn time_in_which_other_work_has_the_core_is_no_waiting() {
        let length = Duration::from_millis(300);
        assert!(waited_beside(0, Duration::from_millis(2)) > Duration::ZERO);
        let waited = waited_beside(4, length);
        assert!(waited > Duration::ZERO && waited < length / 2, "{waited:?} of {length:?}");
    }
}
