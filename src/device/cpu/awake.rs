//! Keeps the threads of the pool awake while a program runs: between one call and the next there is no work for moments only, and
//! a thread that fell asleep meanwhile takes longer to wake up than many a call takes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::kernel::{pause, work_until_in_vain};

/// Looks that the next thread has time for to come, some tens of microseconds.
const PATIENCE: usize = 100;

/// How long a thread looks for work in vain. One that comes late may do so in the middle of a part of the work, while it waits for a part of
/// that part, and nobody goes on before it returns: it must not look until all is done.
const VAIN: Duration = Duration::from_millis(5);

/// Whether a program keeps the pool awake. Threads that two programs hold at once could wait for each other.
static KEPT: AtomicBool = AtomicBool::new(false);

/// Sets what it holds when it goes, also if that is because of a panic.
struct SetAtEnd<'a>(&'a AtomicBool, bool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

/// Work and the threads that wait for what it shares.
struct Team {
    done: AtomicBool,
    /// Number of the thread that works, above all numbers before it does.
    worker: AtomicUsize,
    /// Threads that have come.
    waiting: AtomicUsize,
}

/// Runs `work` on a thread of the pool, the others of which look for work until it is done: from outside, every parallel section would
/// cost a hand-over and a wake-up. If that is so for other work already, `work` just runs. Allocates nothing.
pub(super) fn keep_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if KEPT.swap(true, Ordering::Acquire) {
        return rayon::scope(|_| work());
    }
    let _kept = SetAtEnd(&KEPT, false);
    let team =
        Team { done: AtomicBool::new(false), worker: AtomicUsize::new(usize::MAX), waiting: AtomicUsize::new(0) };
    let work = || {
        team.worker.store(rayon::current_thread_index().unwrap_or(usize::MAX), Ordering::Release);
        let _done = SetAtEnd(&team.done, true);
        work()
    };
    rayon::join(work, || team.wait(rayon::current_num_threads() - 1)).0
}

impl Team {
    /// Waits on this thread and on those after it, `threads` in all.
    fn wait(&self, threads: usize) {
        // The thread that works comes here, too, when it waits for others, or if nobody else has come before it is done.
        let is_worker = || rayon::current_thread_index() == Some(self.worker.load(Ordering::Acquire));
        if threads == 0 || self.is_done() || is_worker() {
            return;
        }
        let come = self.waiting.fetch_add(1, Ordering::AcqRel) + 1;
        rayon::join(|| self.look(come, threads > 1), || self.wait(threads - 1));
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Does what work there is until all is done; before, what the `come`-th thread has for the next one is left to that.
    fn look(&self, come: usize, more: bool) {
        let next_is_here = || self.waiting.load(Ordering::Acquire) > come;
        for _ in 0..if more { PATIENCE } else { 0 } {
            if next_is_here() || self.is_done() {
                break;
            }
            pause();
        }
        work_until_in_vain(|| self.is_done(), VAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::waited;
    use rayon::prelude::*;
    use std::panic::catch_unwind;
    use std::time::Instant;

    #[test]
    fn work_runs_once_with_the_whole_pool_also_inside_other_work_and_from_many_threads() {
        let runs = AtomicUsize::new(0);
        let sum = || {
            let total: usize = (0..1000_usize).into_par_iter().sum();
            runs.fetch_add(total, Ordering::Relaxed);
        };
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..50).for_each(|_| keep_awake(|| [(); 3].iter().for_each(|()| keep_awake(sum)))));
            }
        });
        assert_eq!(runs.into_inner(), 4 * 50 * 3 * 499_500);
    }

    #[test]
    fn pools_of_all_sizes_end() {
        for threads in [1, 2, 3, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
            let runs = AtomicUsize::new(0);
            for _ in 0..200 {
                pool.install(|| {
                    keep_awake(|| {
                        (0..64_usize).into_par_iter().for_each(|i| {
                            runs.fetch_add(i, Ordering::Relaxed);
                        });
                    });
                });
            }
            assert_eq!(runs.into_inner(), 200 * 63 * 32, "{threads} threads");
        }
    }

    /// A thread that waits for a part of its part of the work takes what other work there is, and so may come to look for work on top of that.
    #[test]
    fn who_looks_in_the_middle_of_other_work_goes_back_to_it() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool of threads");
        let team =
            Team { done: AtomicBool::new(false), worker: AtomicUsize::new(usize::MAX), waiting: AtomicUsize::new(0) };
        let begun = Instant::now();
        // What ends the waiting comes after the look on the same thread.
        pool.install(|| {
            team.look(1, false);
            team.done.store(true, Ordering::Release);
        });
        assert!(begun.elapsed() >= VAIN, "it looked for a while");
    }

    #[test]
    fn a_panic_ends_the_waiting_and_comes_back() {
        for _ in 0..3 {
            assert!(catch_unwind(|| keep_awake(|| panic!("on purpose"))).is_err());
        }
        let mut after = false;
        keep_awake(|| after = true);
        assert!(after);
    }

    #[test]
    fn threads_that_wait_in_vain_say_so() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool of threads");
        let begun = Instant::now();
        // Other tests may keep the pool awake for some moments.
        while waited() < Duration::from_millis(5) {
            pool.install(|| keep_awake(|| std::thread::sleep(Duration::from_millis(10))));
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody waited");
        }
    }
}
