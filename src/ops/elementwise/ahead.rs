//! Asks memory for the next block's elements while a block is worked on.
//!
//! Stages and reductions read a block again from the cache, during which memory would stand still: the processor's own prefetcher looks
//! ahead only while memory is read. Updates of states in one loop were measured to be slower with this.

use super::blocks::{Blocks, Reading};
use super::program::Source;
use crate::kernel::NativeArgs;
use crate::ops::native::workers::LINE;

/// Passes that move fewer bytes find most of them in a cache, where asking costs more than it saves.
const LARGE: usize = 32 << 20;
/// As it does for blocks of fewer elements.
const LONG: usize = 512;

/// What to ask for.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    /// Inputs that are read one to one.
    inputs: Vec<usize>,
    /// Outputs that are written one to one.
    outputs: Vec<usize>,
    /// In how many turns a block is asked for.
    turns: usize,
}

impl Ahead {
    /// For a pass of blocks of up to `length` elements, if it gains by it.
    pub(super) fn new(blocks: &Blocks, length: usize) -> Option<Ahead> {
        let program = &blocks.program;
        let each =
            program.operands.iter().zip(&blocks.readings).filter(|(_, reading)| matches!(reading, Reading::Each));
        let inputs: Vec<usize> = each
            .filter_map(|(operand, _)| match operand.source {
                Source::Input(i) => Some(i),
                // The output is asked for.
                Source::Old(_) => None,
            })
            .collect();
        let outputs: Vec<usize> = program.writes.iter().map(|w| w.1).collect();
        let bytes = (inputs.len() + outputs.len()) * program.elements * size_of::<f32>();
        let turns = blocks.stages.len() + blocks.terms.len();
        let updates = program.operands.iter().any(|operand| matches!(operand.source, Source::Old(_)));
        let gains = turns > 1 || !updates;
        (bytes >= LARGE && length >= LONG && gains).then_some(Ahead { inputs, outputs, turns })
    }

    /// Asks for a part of the elements behind a block of `n` elements from `at` on: lines of all operands in turn, which memory brings faster
    /// than all lines of one operand after those of another.
    pub(super) fn ask(&self, args: &NativeArgs<'_>, turn: usize, at: usize, n: usize) {
        let lines = n.div_ceil(LINE).div_ceil(self.turns);
        let first = at + n + turn * lines * LINE;
        for line in 0..lines {
            let element = first + line * LINE;
            for &input in &self.inputs {
                prefetch::<false>(args.input(input).as_ptr().wrapping_add(element));
            }
            for &output in &self.outputs {
                prefetch::<true>(args.raw_output(output).pointer.cast_const().cast::<f32>().wrapping_add(element));
            }
        }
    }
}

/// Asks for the cache line at `at`, which need not be valid memory: to be written, or to be read from the second level on.
#[inline(always)]
fn prefetch<const WRITE: bool>(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch never faults.
        unsafe {
            if WRITE {
                _mm_prefetch::<_MM_HINT_ET0>(at.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(at.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
