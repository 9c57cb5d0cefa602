//! Dispatches of the reduction: pieces, then pieces of pieces until one is left.

use super::{Reduce, ReduceKind};
use crate::error::Result;
use crate::graph::Signature;
use crate::kernel::Operand::{Input, Output};
use crate::kernel::{GpuCall, GpuLimits};
use crate::kernel::{Bind, Dispatch, Operand};
use crate::ops::dispatch::{chunks, flag, grid, int, part};
use crate::ops::shaders::{REDUCE, REDUCE_SUBGROUP};
use crate::shape::{Shape, TensorType};

/// Elements of one piece: 64 per invocation.
const SPAN: usize = 16 * 1024;

/// A view `[outer, keep, inner]` of words in memory.
#[derive(Clone, Copy)]
struct View {
    outer: usize,
    keep: usize,
    inner: usize,
}

impl View {
    fn pieces(self) -> usize {
        (self.outer * self.inner).div_ceil(SPAN)
    }
}

/// One dispatch: the pieces of `view` go to `y[k·step + first ..]`.
fn stage(
    op: &Reduce,
    view: View,
    (x, y): (Bind, Bind),
    (step, first): (usize, usize),
    limits: &GpuLimits,
) -> Result<Dispatch> {
    let pieces = view.pieces();
    // Both add up one tree: which of them runs changes no bit.
    let shader = if limits.subgroups > 0 { &REDUCE_SUBGROUP } else { &REDUCE };
    Ok(Dispatch {
        shader,
        binds: vec![x, y],
        overrides: vec![
            ("KIND", f64::from(op.kind as u32)),
            (MAGNITUDES, flag(false)),
            ("OUTER", int(view.outer)),
            ("KEEP", int(view.keep)),
            ("INNER", int(view.inner)),
            ("SPAN", int(SPAN)),
            ("PIECES", int(pieces)),
            ("Y_STEP", int(step)),
            ("Y_FIRST", int(first)),
        ],
        groups: grid(shader.name, view.keep * pieces, limits)?,
    })
}

/// Whether a dispatch takes the magnitudes of what it reads.
const MAGNITUDES: &str = "MAGNITUDES";

/// Makes the dispatches of a reduction, which read its input 0, those of the input's magnitudes.
pub(crate) fn of_magnitudes(call: &mut GpuCall) {
    let of_input = call.dispatches.iter_mut().filter(|d| matches!(d.binds[0].operand, Input(_)));
    for (name, value) in of_input.flat_map(|d| &mut d.overrides) {
        if *name == MAGNITUDES {
            *value = flag(true);
        }
    }
}

/// Adds the dispatches of Σ x over all but the channel, for x `[N,C,…]` of shape `shape`.
pub(in crate::ops) fn add_channel_sums(
    call: &mut GpuCall,
    shape: &Shape,
    (x, y): (Operand, Operand),
    limits: &GpuLimits,
) -> Result<()> {
    let view = [shape[0], shape[1], shape.inner() / shape[1]];
    let types = |shape: Shape| vec![TensorType::f32(shape)];
    let signature = Signature { inputs: types(view.into()), outputs: types([shape[1]].into()) };
    let made = self::call(&Reduce { kind: ReduceKind::Sum }, &signature, limits)?;
    let first = call.scratch.len();
    call.scratch.extend(made.scratch);
    call.dispatches.extend(made.dispatches.into_iter().map(|mut dispatch| {
        for bind in &mut dispatch.binds {
            bind.operand = match bind.operand {
                Input(_) => x,
                Output(_) => y,
                Operand::Scratch(i) => Operand::Scratch(first + i),
                Operand::Form(_) => unreachable!("a reduction reads no other form"),
            };
        }
        dispatch
    }));
    Ok(())
}

pub(super) fn call(op: &Reduce, signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
    let shape = &signature.inputs[0].shape;
    let mut view = View { outer: shape[0], keep: shape[1], inner: shape[2] };
    if view.keep == 1 {
        // One run of memory: it may be cut anywhere.
        view = View { outer: view.outer * view.inner, keep: 1, inner: 1 };
    }
    if view.outer == 1 {
        return by_keep(op, view, limits);
    }
    let parts: Vec<(usize, View)> = chunks(REDUCE.name, view.outer, &[view.keep * view.inner], limits)?
        .into_iter()
        .map(|(first, outer)| (first, View { outer, ..view }))
        .collect();
    let total: usize = parts.iter().map(|(_, part)| part.pieces()).sum();
    let mut call = GpuCall::default();
    let target = if total == 1 { Output(0) } else { Operand::Scratch(0) };
    let mut done = 0;
    for (first, view) in parts {
        let x = part(Input(0), first, view.outer, view.keep * view.inner);
        call.dispatches.push(stage(op, view, (x, Bind::all(target)), (total, done), limits)?);
        done += view.pieces();
    }
    if total > 1 {
        call.scratch.push(view.keep * total);
        finish(op, &mut call, View { outer: 1, keep: view.keep, inner: total }, limits)?;
    }
    Ok(call)
}

/// Reduces the pieces in the last scratch buffer until one per kept element is left.
fn finish(op: &Reduce, call: &mut GpuCall, mut view: View, limits: &GpuLimits) -> Result<()> {
    loop {
        let pieces = view.pieces();
        let from = Operand::Scratch(call.scratch.len() - 1);
        let to = if pieces == 1 { Output(0) } else { Operand::Scratch(call.scratch.len()) };
        call.dispatches.push(stage(op, view, (Bind::all(from), Bind::all(to)), (pieces, 0), limits)?);
        if pieces == 1 {
            return Ok(());
        }
        call.scratch.push(view.keep * pieces);
        view.inner = pieces;
    }
}

/// Each kept element owns one run of memory: cut between kept elements.
fn by_keep(op: &Reduce, view: View, limits: &GpuLimits) -> Result<GpuCall> {
    let mut call = GpuCall::default();
    let pieces = view.pieces();
    for (first, keep) in chunks(REDUCE.name, view.keep, &[view.inner, pieces], limits)? {
        let x = part(Input(0), first, keep, view.inner);
        let to = if pieces == 1 { Output(0) } else { Operand::Scratch(0) };
        let y = part(to, first, keep, pieces);
        call.dispatches.push(stage(op, View { keep, ..view }, (x, y), (pieces, 0), limits)?);
    }
    if pieces > 1 {
        call.scratch.push(view.keep * pieces);
        finish(op, &mut call, View { inner: pieces, ..view }, limits)?;
    }
    Ok(call)
}
