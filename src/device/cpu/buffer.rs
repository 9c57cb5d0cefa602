//! Memory of the native device.

use std::cell::UnsafeCell;

use crate::kernel::RawSlice;

/// 64 bytes: a cache line, and one AVX-512 register.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u32; 16]);

/// Words at a fixed, cache-line-aligned address, written through shared references while a program runs.
pub(super) struct Buffer {
    lines: Box<[UnsafeCell<Line>]>,
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
        let lines = (0..words.div_ceil(16)).map(|_| UnsafeCell::new(Line([value; 16]))).collect();
        Buffer { lines, words }
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
        RawSlice { pointer: self.lines.as_ptr().cast_mut().cast(), words }
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
