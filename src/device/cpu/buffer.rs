//! Memory of the native device.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::kernel::RawSlice;

/// Bytes of a cache line, and of one AVX-512 register.
const LINE_BYTES: usize = 64;

/// Bytes of a huge page.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Words at a fixed, cache-line-aligned address, written through shared references while a program runs.
pub(super) struct Buffer {
    pointer: NonNull<u32>,
    layout: Layout,
    words: usize,
}

// SAFETY: the contents are touched only by `CpuSession`, through `&mut self` (run, write) or without a run in progress (read).
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// A quiet NaN: a kernel that reads what nobody wrote shows in the result.
const POISON: u32 = 0x7fc0_dead;

impl Buffer {
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
        Buffer { pointer, layout, words }
    }

    /// Zeros.
    pub(super) fn zeroed(words: usize) -> Self {
        Self::filled(words, 0)
    }

    /// NaNs, for work buffers.
    pub(super) fn poisoned(words: usize) -> Self {
        Self::filled(words, POISON)
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
        // SAFETY: in bounds by `slice`; the session runs no kernel meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), slice.pointer.cast(), bytes.len()) }
    }

    /// The first `words` words.
    pub(super) fn to_words(&self, words: usize) -> Vec<u32> {
        let slice = self.slice(words);
        // SAFETY: in bounds by `slice`, initialised at construction; the session runs no kernel meanwhile.
        unsafe { std::slice::from_raw_parts(slice.pointer, words) }.to_vec()
    }
}

impl Drop for Buffer {
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
