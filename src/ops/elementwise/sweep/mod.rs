//! Sweeps: passes that one loop over vectors does, as those that batch norm is made of in training. Block by block, each stage and each sum would
//! go over the block once more, and memory would stand still meanwhile.
//!
//! What a sweep computes is written once, over an [`Algebra`](algebra::Algebra): over symbols it is the pattern that a pass is held against,
//! over vectors it is the loop's body. The operations, their roundings and the order of sums are those of the pass block by block.

mod algebra;
mod maps;
mod pattern;
mod run;

use super::program::Program;
use crate::kernel::NativeCall;

/// The pass as one loop, if it is one of those that there are loops for.
pub(super) fn call(program: &Program) -> Option<NativeCall> {
    maps::ALL.iter().find_map(|find| find(program))
}

/// How a pass over images of several channels is done, channels in planes and in blocks: whether each is a sweep. None for another op, and for
/// updates.
#[cfg(test)]
pub(crate) fn swept(op: &dyn crate::graph::Op) -> Option<Vec<bool>> {
    use super::program::Source;
    use super::{Fused, SHORT};
    use crate::ops::simd::level;

    let fused = (op as &dyn std::any::Any).downcast_ref::<Fused>()?;
    let images = fused.images().filter(|images| images[1] > 1 && images[2] >= SHORT)?;
    let program = fused.program();
    let updates = program.operands.iter().any(|operand| matches!(operand.source, Source::Old(_)));
    if updates || program.is_local() {
        return None;
    }
    let programs = [Some(program.clone()), program.in_blocks(images, level().lanes())];
    Some(programs.iter().flatten().map(|program| call(program).is_some()).collect())
}
