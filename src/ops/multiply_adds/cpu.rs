//! Native kernel of the multiply-adds.

use rayon::prelude::*;

use super::MultiplyAdds;
use crate::error::Result;
use crate::kernel::NativeCall;
use crate::ops::native::peak;

/// Elements of one task: few, since each takes long.
const CHUNK: usize = 1024;

pub(super) fn call(op: &MultiplyAdds) -> Result<NativeCall> {
    let rounds = op.rounds as usize;
    Ok(NativeCall::new("multiply_adds", move |args| {
        let (x, y) = (args.input(0), args.output(0));
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| peak::multiply_adds(x, y, rounds));
    }))
}
