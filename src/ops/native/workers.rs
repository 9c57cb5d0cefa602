//! Tasks over all cores, each worker with a piece of scratch of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

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

/// Calls `work(task, slot scratch)` for each task below `tasks`; `scratch` is cut into `slots` equal pieces.
///
/// Workers take the next task when they are free, so which worker does what is left to chance; what a task computes
/// must depend on nothing but its number.
pub(crate) fn for_each_task(
    tasks: usize,
    slots: usize,
    scratch: &mut [f32],
    work: impl Fn(usize, &mut [f32]) + Send + Sync,
) {
    let next = AtomicUsize::new(0);
    let serve = |slot: &mut [f32]| {
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            work(task, slot);
        }
    };
    let piece = scratch.len() / slots;
    assert!(piece > 0, "workers are those that have scratch");
    if slots == 1 || tasks <= 1 {
        return serve(&mut scratch[..piece]);
    }
    scratch[..piece * slots].par_chunks_mut(piece).with_max_len(1).for_each(serve);
}

/// Calls `work` for each task below `tasks`, for work that needs no scratch.
pub(crate) fn for_each(tasks: usize, work: impl Fn(usize) + Send + Sync) {
    if tasks == 1 {
        return work(0);
    }
    (0..tasks).into_par_iter().for_each(work);
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
