//! Tasks over all cores, each worker with a piece of scratch of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::kernel::work_until;

/// f32 in a cache line: scratch areas begin at multiples of it, so that full vectors don't straddle lines.
pub(crate) const LINE: usize = 16;

/// How many workers serve `tasks` tasks.
pub(crate) fn slots(tasks: usize) -> usize {
    rayon::current_num_threads().clamp(1, tasks.max(1))
}

/// Length of an area inside scratch, rounded up to whole cache lines.
pub(crate) fn line_aligned(words: usize) -> usize {
    words.next_multiple_of(LINE)
}

/// Words of scratch to declare for areas of `words` in all, each from [`line_aligned`].
pub(crate) fn scratch_words(words: usize) -> usize {
    line_aligned(words) + LINE
}

/// The part of a scratch buffer that begins at a cache line, `words` long.
pub(crate) fn aligned(scratch: &mut [f32], words: usize) -> &mut [f32] {
    let skip = scratch.as_ptr().align_offset(4 * LINE).min(LINE);
    &mut scratch[skip..skip + words]
}

/// Most shares that tasks are dealt in.
const MAX_SHARES: usize = 32;

/// Calls `work(task, slot scratch)` for each task below `tasks`; `scratch` is cut into `slots` equal pieces.
///
/// Which worker does what is left to chance in the end; what a task computes must depend on nothing but its number.
pub(crate) fn for_each_task(
    tasks: usize,
    slots: usize,
    scratch: &mut [f32],
    work: impl Fn(usize, &mut [f32]) + Send + Sync,
) {
    let piece = scratch.len() / slots;
    assert!(piece > 0, "workers are those that have scratch");
    if slots == 1 || tasks <= 1 {
        let slot = &mut scratch[..piece];
        return (0..tasks).for_each(|task| work(task, slot));
    }
    let deal = Deal::new(tasks, slots);
    let slots = scratch[..piece * slots].par_chunks_mut(piece);
    slots.with_max_len(1).for_each(|slot| deal.serve(|task| work(task, slot)));
}

/// Calls `work` for each task below `tasks`, for work that needs no scratch.
pub(crate) fn for_each(tasks: usize, work: impl Fn(usize) + Send + Sync) {
    let workers = slots(tasks);
    if workers == 1 {
        return (0..tasks).for_each(work);
    }
    let deal = Deal::new(tasks, workers);
    (0..workers).into_par_iter().with_max_len(1).for_each(|_| deal.serve(&work));
}

/// Tasks dealt to workers. Each begins with a share of its own, the same in every call, so that what call after call makes of the same
/// images stays in the caches of one core, and goes on with what is left of the shares of others.
struct Deal {
    tasks: usize,
    shares: usize,
    /// The next task of each share.
    next: [Line<AtomicUsize>; MAX_SHARES],
    /// Tasks that are not done.
    left: AtomicUsize,
    /// The thread that deals.
    dealer: Option<usize>,
}

/// Something that no other core's writes share a cache line, or a pair of lines, with.
#[repr(align(128))]
struct Line<T>(T);

/// Tasks that a worker has taken: done when it goes, also if that is because of a panic.
struct Taken<'a> {
    left: &'a AtomicUsize,
    tasks: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.left.fetch_sub(self.tasks, Ordering::Release);
    }
}

impl Deal {
    fn new(tasks: usize, workers: usize) -> Deal {
        let shares = workers.min(MAX_SHARES);
        let next = std::array::from_fn(|i| Line(AtomicUsize::new(i.min(shares) * tasks / shares)));
        Deal { tasks, shares, next, left: AtomicUsize::new(tasks), dealer: rayon::current_thread_index() }
    }

    /// Does tasks until none is left; the thread that deals stays awake until all are done, since what comes next waits for it.
    fn serve(&self, mut work: impl FnMut(usize)) {
        let thread = rayon::current_thread_index();
        let mut taken = Taken { left: &self.left, tasks: 0 };
        for i in 0..self.shares {
            let share = (thread.unwrap_or(0) + i) % self.shares;
            let end = (share + 1) * self.tasks / self.shares;
            loop {
                let task = self.next[share].0.fetch_add(1, Ordering::Relaxed);
                if task >= end {
                    break;
                }
                taken.tasks += 1;
                work(task);
            }
        }
        drop(taken);
        if thread.is_some() && thread == self.dealer {
            work_until(|| self.left.load(Ordering::Acquire) == 0);
        }
    }
}

/// An output that tasks write in disjoint parts.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: only an address; whoever writes through it keeps to the elements of its own task.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The address of a slice that outlives the parallel section.
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Shared(slice.as_mut_ptr())
    }

    /// Address of element `i`.
    ///
    /// # Safety
    /// `i` is inside the slice, and no other task touches what is accessed through the result.
    pub(crate) unsafe fn at(self, i: usize) -> *mut f32 {
        // SAFETY: the caller's duty.
        unsafe { self.0.add(i) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::waited;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// How often each of so many tasks was done, with scratch and without.
    fn runs(tasks: usize, workers: usize) -> Vec<usize> {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        let mut scratch = vec![0.0; workers * 16];
        let count = |task: usize| counts[task].fetch_add(1, Ordering::Relaxed);
        for_each_task(tasks, workers, &mut scratch, |task, slot| {
            slot.fill(task as f32);
            count(task);
            assert!(slot.iter().all(|&word| word == task as f32), "another worker has the same scratch");
        });
        for_each(tasks, |task| {
            count(task);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_is_done_once_on_pools_of_all_sizes_from_inside_and_outside() {
        for threads in [1, 2, 3, MAX_SHARES + 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
            for tasks in [0, 1, 2, 3, 31, 64, 257] {
                pool.install(|| assert_eq!(runs(tasks, slots(tasks)), vec![2; tasks], "{threads} threads"));
                // More workers than threads, from a thread of the pool and from another one.
                assert_eq!(pool.install(|| runs(tasks, 5)), vec![2; tasks], "{threads} threads");
                assert_eq!(runs(tasks, 5), vec![2; tasks]);
            }
        }
    }

    #[test]
    fn what_tasks_wrote_is_there_when_all_are_done() {
        let mut out = vec![0.0; 1000];
        for round in 1..200 {
            let shared = Shared::new(&mut out);
            // SAFETY: each task writes its own number.
            for_each(1000, |task| unsafe { *shared.at(task) += task as f32 });
            assert!(out.iter().enumerate().all(|(i, &x)| x == (i * round) as f32), "round {round}");
        }
    }

    #[test]
    fn the_thread_that_deals_counts_its_waiting() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool of threads");
        let begun = Instant::now();
        // The second thread may come too late for a task.
        pool.install(|| {
            let dealer = rayon::current_thread_index();
            let mut counted = false;
            while !counted {
                let before = waited();
                for_each(2, |_| {
                    if rayon::current_thread_index() != dealer {
                        sleep(Duration::from_millis(20));
                    }
                });
                counted = waited() - before > Duration::from_millis(5);
                assert!(begun.elapsed() < Duration::from_secs(60), "nobody waited");
            }
        });
    }

    #[test]
    fn a_panic_in_a_task_comes_back_and_keeps_nobody_waiting() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool of threads");
        for bad in [0, 5, 11] {
            let run = || pool.install(|| for_each(12, |task| assert_ne!(task, bad, "on purpose")));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
