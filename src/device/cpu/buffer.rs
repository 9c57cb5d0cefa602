//! Memory of the native device.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use rayon::prelude::*;

use crate::kernel::RawSlice;

/// Bytes of a cache line, and of one AVX-512 register.
const LINE_BYTES: usize = 64;

/// Bytes of a huge page.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Bytes that a thread copies at once.
const PIECE_BYTES: usize = 64 << 10;

/// Words between buffers of one piece of memory: what lies at the same place of two of them is not a multiple of 4 KiB apart, where a load
/// would seem to depend on a store to the other.
const BETWEEN_WORDS: usize = 272;

/// One allocation.
struct Memory {
    pointer: NonNull<u32>,
    layout: Layout,
}

// SAFETY: an address, through which nothing is read or written here.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Words at a fixed, cache-line-aligned address, written through shared references while a program runs.
pub(super) struct Buffer {
    /// What the words are a part of.
    _memory: Arc<Memory>,
    pointer: NonNull<u32>,
    words: usize,
}

// SAFETY: the contents are touched only by `CpuSession`, through `&mut self` (run, write) or without a run in progress (read).
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// A quiet NaN: a kernel that reads what nobody wrote shows in the result.
const POISON: u32 = 0x7fc0_dead;

impl Memory {
    fn filled(words: usize, value: u32) -> Self {
        let bytes = (4 * words).next_multiple_of(LINE_BYTES).max(LINE_BYTES);
        let huge = bytes >= HUGE_PAGE_BYTES;
        let align = if huge { HUGE_PAGE_BYTES } else { LINE_BYTES };
        let layout = Layout::from_size_align(bytes, align).expect("a size that a plan has counted");
        // SAFETY: the layout is not empty.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }.cast::<u32>()) else { handle_alloc_error(layout) };
        if huge {
            advise_huge_pages(pointer, bytes);
        }
        // SAFETY: freshly allocated, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr().cast::<std::mem::MaybeUninit<u32>>(), bytes / 4) }
            .fill(std::mem::MaybeUninit::new(value));
        Memory { pointer, layout }
    }
}

impl Buffer {
    fn filled(words: usize, value: u32) -> Self {
        let memory = Arc::new(Memory::filled(words, value));
        Buffer { pointer: memory.pointer, _memory: memory, words }
    }

    /// Zeros.
    pub(super) fn zeroed(words: usize) -> Self {
        Self::filled(words, 0)
    }

    /// NaNs, for work buffers.
    pub(super) fn poisoned(words: usize) -> Self {
        Self::filled(words, POISON)
    }

    /// The same of these sizes, in one piece of memory, so that those that are smaller than a huge page lie in huge pages, too.
    pub(super) fn poisoned_together(sizes: &[usize]) -> Vec<Self> {
        let places: Vec<usize> = sizes
            .iter()
            .scan(0, |next, words| {
                let place = *next;
                *next = (place + words + BETWEEN_WORDS).next_multiple_of(LINE_BYTES / 4);
                Some(place)
            })
            .collect();
        let end = places.last().zip(sizes.last()).map_or(0, |(place, words)| place + words);
        let memory = Arc::new(Memory::filled(end, POISON));
        let buffer = |(&place, &words): (&usize, &usize)| {
            // SAFETY: the place is inside the memory.
            let pointer = unsafe { memory.pointer.add(place) };
            Buffer { _memory: memory.clone(), pointer, words }
        };
        places.iter().zip(sizes).map(buffer).collect()
    }

    /// A copy of `words`.
    pub(super) fn from_words(words: &[u32]) -> Self {
        let buffer = Self::zeroed(words.len());
        buffer.write_bytes(bytemuck::cast_slice(words));
        buffer
    }

    /// Length in words.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Address of the first `words` words.
    pub(super) fn slice(&self, words: usize) -> RawSlice {
        assert!(words <= self.words, "a value must fit its buffer");
        RawSlice { pointer: self.pointer.as_ptr(), words }
    }

    /// Overwrites the beginning.
    pub(super) fn write_bytes(&self, bytes: &[u8]) {
        let slice = self.slice(bytes.len() / 4);
        // SAFETY: in bounds by `slice`; the session runs no kernel meanwhile, and memory that is initialised stays so.
        let to = unsafe { std::slice::from_raw_parts_mut(slice.pointer.cast::<u8>(), bytes.len()) };
        to.par_chunks_mut(PIECE_BYTES)
            .zip(bytes.par_chunks(PIECE_BYTES))
            .for_each(|(to, from)| to.copy_from_slice(from));
    }

    /// The first `words` words.
    pub(super) fn to_words(&self, words: usize) -> Vec<u32> {
        let slice = self.slice(words);
        // SAFETY: in bounds by `slice`, initialised at construction; the session runs no kernel meanwhile.
        unsafe { std::slice::from_raw_parts(slice.pointer, words) }.to_vec()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) }
    }
}

/// Asks for huge pages before the memory is touched: kernels walk matrices whose rows are pages apart, and a processor keeps few
/// addresses of small pages. Without them all is the same, but slower.
fn advise_huge_pages(pointer: NonNull<u32>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is one allocation, and the advice changes nothing that it holds.
    let _advice_only = unsafe { libc::madvise(pointer.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
    #[cfg(not(target_os = "linux"))]
    let _ = (pointer, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_one_memory_are_aligned_lie_apart_and_outlive_each_other() {
        for sizes in [vec![], vec![0], vec![1, 0, 17, 16, 1024], vec![700_000, 3, 900_000]] {
            let buffers = Buffer::poisoned_together(&sizes);
            assert_eq!(buffers.iter().map(Buffer::words).collect::<Vec<_>>(), sizes);
            let mut end = 0;
            for buffer in &buffers {
                let at = buffer.pointer.as_ptr() as usize;
                assert!(at.is_multiple_of(LINE_BYTES) && at >= end, "{sizes:?}");
                end = at + 4 * buffer.words();
                assert!(buffer.to_words(buffer.words()).iter().all(|&word| word == POISON));
            }
            let Some(last) = buffers.into_iter().next_back() else { continue };
            last.write_bytes(bytemuck::cast_slice(&vec![7_u32; last.words()]));
            assert!(last.to_words(last.words()).iter().all(|&word| word == 7));
        }
    }
}
