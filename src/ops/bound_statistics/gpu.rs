//! Dispatches of the bound statistics: two passes, since the deviations need the mean first.

use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::kernel::{Bind, Dispatch, Operand};
use crate::ops::dispatch::{Span, chunks, each, elementwise, grid, int, part};
use crate::ops::shaders::{BOUND_STATISTICS_BACKWARD, BOUND_STATISTICS_FINISH, BOUND_STATISTICS_PARTIAL};

/// Elements of one piece; a multiple of every alignment of a binding, so that cuts fall between pieces.
const SPAN: usize = 16 * 1024;

pub(super) fn forward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let elements = signature.inputs[0].elements();
    let name = BOUND_STATISTICS_PARTIAL.name;
    let partials = Operand::Scratch(0);
    let mut call = GpuCall::default();
    let mut pieces = 0;
    for pass in [0, 1] {
        pieces = 0;
        for (first, count) in chunks(name, elements, &[1], limits)? {
            let groups = count.div_ceil(SPAN);
            call.dispatches.push(Dispatch {
                shader: &BOUND_STATISTICS_PARTIAL,
                binds: vec![
                    part(Input(0), first, count, 1),
                    part(Input(1), first, count, 1),
                    Bind::all(Output(0)),
                    Bind::all(partials),
                ],
                overrides: vec![
                    ("PASS", int(pass)),
                    ("SPAN", int(SPAN)),
                    ("FIRST_PIECE", int(pieces)),
                    ("COUNT", int(count)),
                    ("HALF", 128.0),
                ],
                groups: grid(name, groups, limits)?,
            });
            pieces += groups;
        }
        call.dispatches.push(Dispatch {
            shader: &BOUND_STATISTICS_FINISH,
            binds: vec![Bind::all(partials), Bind::all(Output(0))],
            overrides: vec![("PASS", int(pass)), ("PIECES", int(pieces)), ("ELEMENTS", int(elements))],
            groups: [1; 3],
        });
    }
    call.scratch = vec![4 * pieces];
    Ok(call)
}

pub(super) fn backward(signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let elements = signature.inputs[0].elements();
    let spans = [
        each(Input(0)),
        each(Input(1)),
        Span::Whole(Input(2)),
        Span::Whole(Input(3)),
        each(Output(0)),
        each(Output(1)),
    ];
    elementwise(&BOUND_STATISTICS_BACKWARD, elements, &spans, &[("ELEMENTS", int(elements))], limits)
}
