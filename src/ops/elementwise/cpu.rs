//! Native kernel of a fused pass: all steps on one block after the other.

use super::blocks::{Blocks, Place, Reading, STRIDE};
use super::gather::Cut;
use super::lanes::{Lane, apply};
use super::program::{Arg, MOST_ARGUMENTS, Operand, Program, Source};
use crate::graph::MOST_REDUCTIONS;
use crate::kernel::{NativeArgs, NativeCall};
use crate::ops::native::workers::{Shared, for_each_task, slots};
use crate::ops::reduce::fold::Folding;
use crate::ops::support::Spread;

pub(super) fn call(program: Program, in_place: &[(usize, usize)]) -> NativeCall {
    assert!(program.gathers.len() <= MOST_REDUCTIONS, "the graph joins no more reductions");
    let (elements, cut) = (program.elements, Cut::new(program.view));
    let blocks = Blocks::new(program, |output| in_place.iter().any(|&(o, _)| o == output));
    let tasks = cut.tasks(elements);
    let slots = slots(tasks);
    let partials = cut.partials(elements);
    let scratch = vec![slots * (blocks.registers * STRIDE).max(1), (partials * blocks.program.gathers.len()).max(1)];
    NativeCall::with_scratch("elementwise", scratch, move |args| {
        let partial = args.scratch(1);
        let shared = Shared::new(partial);
        for_each_task(tasks, slots, args.scratch(0), |task, registers| {
            let (from, to) = cut.range(task, elements);
            let (first, count) = cut.partials_of(task, elements);
            let mut foldings = [Folding::EMPTY; MOST_REDUCTIONS];
            let mut at = from;
            while at < to {
                let n = blocks.length(at, to);
                let block = Block { blocks: &blocks, args, registers: registers.as_mut_ptr(), at, n };
                // SAFETY: tasks and blocks are disjoint ranges of elements, and the registers are this worker's.
                unsafe { block.run() };
                for (g, (gather, folding)) in blocks.program.gathers.iter().zip(&mut foldings).enumerate() {
                    // SAFETY: each task has its own partial results; the value was computed by `run`.
                    unsafe {
                        let of_task = std::slice::from_raw_parts_mut(shared.at(g * partials + first), count);
                        cut.add(gather.kind, at - from, block.each(gather.value), folding, of_task);
                    }
                }
                at += n;
            }
            for (g, (gather, folding)) in blocks.program.gathers.iter().zip(foldings).enumerate() {
                // SAFETY: as above.
                let of_task = unsafe { std::slice::from_raw_parts_mut(shared.at(g * partials + first), count) };
                cut.finish_task(gather.kind, folding, of_task);
            }
        });
        for (g, gather) in blocks.program.gathers.iter().enumerate() {
            cut.finish(gather.kind, &partial[g * partials..(g + 1) * partials], args.output(gather.output));
        }
    })
}

/// `n` elements from element `at` on.
struct Block<'a, 'b> {
    blocks: &'a Blocks,
    args: &'a NativeArgs<'b>,
    registers: *mut f32,
    at: usize,
    n: usize,
}

impl Block<'_, '_> {
    /// Carries all steps out.
    ///
    /// # Safety
    /// `registers` has [`STRIDE`] words for each register, nobody else uses them or touches these elements of the outputs.
    unsafe fn run(&self) {
        let Blocks { program, readings, places, copies, .. } = self.blocks;
        for (operand, reading) in program.operands.iter().zip(readings) {
            if let Reading::Register(r) = *reading {
                // SAFETY: the caller's duty.
                let to = unsafe { std::slice::from_raw_parts_mut(self.registers.add(r * STRIDE), self.n) };
                let Source::Input(input) = operand.source else { unreachable!("a state is updated one to one") };
                write_out(operand.spread, self.at, &self.args.input(input)[operand.first..], to);
            }
        }
        for (step, &place) in program.steps.iter().zip(places) {
            let mut lanes = [Lane::One(0.0); MOST_ARGUMENTS];
            for (lane, &arg) in lanes.iter_mut().zip(&step.args) {
                // SAFETY: arguments were written before; see `Blocks::new`.
                *lane = unsafe { self.lane(arg) };
            }
            // SAFETY: no argument is in the place of the result, and an output that is read as it was before is none.
            apply(step.action, &lanes, unsafe { std::slice::from_raw_parts_mut(self.address(place), self.n) });
        }
        for &(step, output) in copies {
            // SAFETY: as above; a copy goes from a register or another output.
            unsafe {
                let from = std::slice::from_raw_parts(self.address(places[step]), self.n);
                std::slice::from_raw_parts_mut(self.address(Place::Output(output)), self.n).copy_from_slice(from);
            }
        }
    }

    /// `n` words behind an operand, from `from` on.
    fn words(&self, operand: &Operand, from: usize, n: usize) -> &[f32] {
        match operand.source {
            Source::Input(i) => &self.args.input(i)[from..from + n],
            Source::Old(i) => {
                let raw = self.args.raw_output(i);
                assert!(from + n <= raw.words, "an operand has all elements that are read");
                // SAFETY: in bounds; a state is updated one to one, so only this block's task writes these elements, later.
                unsafe { std::slice::from_raw_parts(raw.pointer.cast::<f32>().add(from), n) }
            }
        }
    }

    /// Where a result of this block is.
    unsafe fn address(&self, place: Place) -> *mut f32 {
        // SAFETY: the caller's duty.
        unsafe {
            match place {
                Place::Register(r) => self.registers.add(r * STRIDE),
                Place::Output(o) => self.args.raw_output(o).pointer.cast::<f32>().add(self.at),
            }
        }
    }

    /// An argument in this block.
    ///
    /// # Safety
    /// It has been computed.
    unsafe fn lane(&self, arg: Arg) -> Lane<'_> {
        let Arg::Operand(o) = arg else {
            // SAFETY: the caller's duty.
            return Lane::Each(unsafe { self.each(arg) });
        };
        let operand = &self.blocks.program.operands[o];
        let Spread { inner, len } = operand.spread;
        match self.blocks.readings[o] {
            Reading::One => Lane::One(self.words(operand, operand.first, 1)[0]),
            Reading::Run => Lane::One(self.words(operand, operand.first + self.at / inner % len, 1)[0]),
            // SAFETY: the caller's duty.
            _ => Lane::Each(unsafe { self.each(arg) }),
        }
    }

    /// A value that has as many elements as the block.
    ///
    /// # Safety
    /// It has been computed.
    unsafe fn each(&self, arg: Arg) -> &[f32] {
        let n = self.n;
        match arg {
            // SAFETY: the caller's duty.
            Arg::Step(step) => unsafe { std::slice::from_raw_parts(self.address(self.blocks.places[step]), n) },
            Arg::Operand(o) => {
                let operand = &self.blocks.program.operands[o];
                let from = match self.blocks.readings[o] {
                    Reading::Each => self.at,
                    Reading::Row => operand.first + self.at % operand.spread.len,
                    Reading::Register(r) => {
                        // SAFETY: written out at the beginning of the block.
                        return unsafe { std::slice::from_raw_parts(self.registers.add(r * STRIDE), n) };
                    }
                    Reading::One | Reading::Run => unreachable!("such an operand is asked for as a lane"),
                };
                self.words(operand, from, n)
            }
        }
    }
}

/// Elements from `at` on of a spread operand.
fn write_out(Spread { inner, len }: Spread, at: usize, from: &[f32], to: &mut [f32]) {
    let (mut at, mut to) = (at, to);
    while !to.is_empty() {
        let place = at / inner % len;
        let (run, rest) = if inner > 1 || len == 1 {
            let length = if len == 1 { to.len() } else { (inner - at % inner).min(to.len()) };
            let (run, rest) = to.split_at_mut(length);
            run.fill(from[place]);
            (length, rest)
        } else {
            let length = (len - place).min(to.len());
            let (run, rest) = to.split_at_mut(length);
            run.copy_from_slice(&from[place..place + length]);
            (length, rest)
        };
        at += run;
        to = rest;
    }
}
