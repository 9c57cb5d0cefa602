//! Keeps the threads of the pool awake while a program runs: between one call and the next there is no work for moments only, and
//! a thread that fell asleep meanwhile takes longer to wake up than many a call takes.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::yield_now;

use rayon::Yield;

/// Pauses between two looks for work.
const PAUSES: usize = 8;

/// Whether a program keeps the pool awake. Threads that two programs hold at once could wait for each other.
static KEPT: AtomicBool = AtomicBool::new(false);

/// Sets what it holds when it goes, also if that is because of a panic.
struct SetAtEnd<'a>(&'a AtomicBool, bool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

/// Runs `work` on a thread of the pool, the others of which look for work until it is done. If that is so for other work already,
/// `work` just runs.
pub(super) fn keep_awake(work: impl FnOnce() + Send) {
    if KEPT.swap(true, Ordering::Acquire) {
        return rayon::scope(|_| work());
    }
    let _kept = SetAtEnd(&KEPT, false);
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let (worker, done) = (rayon::current_thread_index(), &done);
        scope.spawn_broadcast(move |_, context| {
            // This thread comes here, too, when it waits for the others.
            while Some(context.index()) != worker && !done.load(Ordering::Acquire) {
                if rayon::yield_now() != Some(Yield::Executed) {
                    (0..PAUSES).for_each(|_| spin_loop());
                    yield_now();
                }
            }
        });
        let _done = SetAtEnd(done, true);
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::panic::catch_unwind;
    use std::sync::atomic::AtomicUsize;

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
    fn a_panic_ends_the_waiting_and_comes_back() {
        for _ in 0..3 {
            assert!(catch_unwind(|| keep_awake(|| panic!("on purpose"))).is_err());
        }
        let mut after = false;
        keep_awake(|| after = true);
        assert!(after);
    }
}
