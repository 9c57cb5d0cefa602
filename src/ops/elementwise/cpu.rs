//! Native kernel of a fused pass: all stages on one block after the other.

use super::ahead::Ahead;
use super::blocks::{BLOCK, Blocks, Choice, MOST_PERIODS, Place, Reading, STRIDE};
use super::gather::{Cut, fold};
use super::kernels::{Kernel, Stage, Term};
use super::lanes::apply;
use super::program::{Arg, Operand, Program, Source};
use crate::graph::MOST_REDUCTIONS;
use crate::kernel::{NativeArgs, NativeCall};
use crate::ops::native::workers::{Shared, for_each_task, slots};
use crate::ops::reduce::fold::{Folding, Terms};
use crate::ops::support::Spread;
use crate::ops::{adam, relu_interval};

pub(super) fn call(program: Program, in_place: &[(usize, usize)]) -> NativeCall {
    assert!(program.gathers.len() <= MOST_REDUCTIONS, "the graph joins no more reductions");
    let (elements, cut) = (program.elements, Cut::new(program.view, program.lanes));
    let mut blocks = Blocks::new(program, |output| in_place.iter().any(|&(o, _)| o == output));
    let ahead = Ahead::new(&blocks, blocks.longest(cut.runs().map_or(usize::MAX, |runs| runs.left)));
    if ahead.is_none() {
        blocks.whole_tasks();
    }
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
            let mut runs = cut.runs();
            // SAFETY: each task has its own partial results, and they are taken one after the other.
            let partial = |g: usize| unsafe { std::slice::from_raw_parts_mut(shared.at(g * partials + first), count) };
            let mut at = from;
            let mut cursor = blocks.begin(from);
            let mut written = [usize::MAX; MOST_PERIODS];
            while at < to {
                let n = blocks.cut(&cursor, runs.map_or(to - at, |runs| runs.left.min(to - at)));
                let indices = &cursor.indices;
                let block = Block {
                    blocks: &blocks,
                    ahead: ahead.as_ref(),
                    args,
                    registers: registers.as_mut_ptr(),
                    at,
                    n,
                    indices,
                };
                if blocks.loads {
                    // SAFETY: tasks and blocks are disjoint ranges of elements, and the registers are this worker's.
                    unsafe { block.load(&mut written) };
                }
                let mut reduce = |first: bool| {
                    for (g, (gather, folding)) in blocks.program.gathers.iter().zip(&mut foldings).enumerate() {
                        if blocks.terms[g].comes_first() != first {
                            continue;
                        }
                        block.ask_ahead(blocks.stages.len() + g);
                        // SAFETY: after `load`, and after `run` where it needs that; before `update`.
                        unsafe {
                            block.add(blocks.terms[g], |terms| match runs {
                                Some(_) => fold(gather.kind, terms, folding),
                                None => cut.add(gather.kind, at - from, terms, folding, partial(g)),
                            });
                        }
                    }
                };
                reduce(true);
                // SAFETY: as above.
                unsafe { block.run() };
                reduce(false);
                // SAFETY: as above; nothing else of the block is read any more.
                unsafe { block.update() };
                if let Some(ended) = runs.as_mut().and_then(|runs| runs.advance(n)) {
                    for (g, (gather, folding)) in blocks.program.gathers.iter().zip(&mut foldings).enumerate() {
                        ended.close(gather.kind, folding, partial(g));
                    }
                }
                at += n;
                blocks.advance(&mut cursor, n);
            }
            for (g, (gather, folding)) in blocks.program.gathers.iter().zip(foldings).enumerate() {
                cut.finish_task(gather.kind, folding, partial(g));
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
    ahead: Option<&'a Ahead>,
    args: &'a NativeArgs<'b>,
    registers: *mut f32,
    at: usize,
    n: usize,
    /// By period, which element of the operand the block begins with.
    indices: &'a [usize; MOST_PERIODS],
}

impl Block<'_, '_> {
    /// Writes out the operands that have to be; `written` is, by period, which elements of operands are in their registers already.
    ///
    /// # Safety
    /// `registers` has [`STRIDE`] words for each register, nobody else uses them or touches these elements of the outputs.
    unsafe fn load(&self, written: &mut [usize; MOST_PERIODS]) {
        let Blocks { program, readings, .. } = self.blocks;
        for (operand, reading) in program.operands.iter().zip(readings) {
            let (register, n) = match *reading {
                Reading::Register(register) => (register, self.n),
                // All of a register, for longer blocks of the same elements.
                Reading::Lanes { register, period } if written[period] != self.indices[period] => (register, BLOCK),
                _ => continue,
            };
            let Source::Input(input) = operand.source else { unreachable!("a state is updated one to one") };
            let from = &self.args.input(input)[operand.first..];
            // SAFETY: the caller's duty.
            let to = unsafe { std::slice::from_raw_parts_mut(self.registers.add(register * STRIDE), n) };
            match *reading {
                Reading::Lanes { period, .. } => {
                    let from = &from[self.indices[period] * operand.lanes..][..operand.lanes];
                    to.chunks_exact_mut(operand.lanes).for_each(|to| to.copy_from_slice(from));
                }
                _ => write_out(operand.spread, self.at, from, to),
            }
        }
        *written = *self.indices;
    }

    /// Carries all steps out.
    ///
    /// # Safety
    /// As [`Block::load`], after which it comes.
    unsafe fn run(&self) {
        for (turn, Stage { kernel, args, results }) in self.blocks.stages.iter().enumerate() {
            self.ask_ahead(turn);
            let mut lanes: [&[f32]; Kernel::MOST_ARGUMENTS] = [&[]; Kernel::MOST_ARGUMENTS];
            // Of Adam's arguments, the first three are updated.
            let first = if matches!(kernel, Kernel::Adam(_)) { 3 } else { 0 };
            for (lane, &arg) in lanes.iter_mut().zip(args).skip(first) {
                // SAFETY: arguments were written before; see `Blocks::new`.
                *lane = unsafe { self.lane(arg) };
            }
            // SAFETY: no argument is in the place of a result, and an output that is read as it was before is none.
            let result =
                |i: usize| unsafe { std::slice::from_raw_parts_mut(self.address(self.place(results[i])), self.n) };
            let [a, b, c, d, rate, root] = lanes;
            match *kernel {
                Kernel::ReluBox => relu_interval::apply(a, b, result(0), result(1)),
                Kernel::SlopeBox => relu_interval::slope(a, b, c, d, result(0), result(1)),
                Kernel::Adam(constants) => {
                    adam::stepped(constants, [rate[0], root[0]], result(0), result(1), result(2), d);
                }
                Kernel::Replace { unless } => {
                    if (a[0] > 0.0) != unless {
                        result(0).copy_from_slice(b);
                    }
                }
                kernel => apply(kernel, &lanes, result(0)),
            }
        }
    }

    /// Asks for a part of the next block.
    fn ask_ahead(&self, turn: usize) {
        if let Some(ahead) = self.ahead {
            ahead.ask(self.args, turn, self.at, self.n);
        }
    }

    /// Hands what a reduction adds to `add`.
    ///
    /// # Safety
    /// After [`Block::load`], or [`Block::run`] for a term that does not come first; before [`Block::update`].
    unsafe fn add(&self, term: Term, add: impl FnOnce(Terms<'_>)) {
        // SAFETY: the caller's duty.
        unsafe {
            match term {
                Term::Value(x) => add(Terms::Values(self.each(x))),
                Term::Product(a, b) => add(Terms::Products(self.each(a), self.each(b))),
                Term::Magnitude(x) => add(Terms::Magnitudes(self.each(x))),
            }
        }
    }

    /// Writes outputs that are updated in place.
    ///
    /// # Safety
    /// As [`Block::run`], after which it comes.
    unsafe fn update(&self) {
        for &(step, output) in &self.blocks.copies {
            // SAFETY: the caller's duty; a copy goes from a register or another output.
            unsafe {
                let from = std::slice::from_raw_parts(self.address(self.place(step)), self.n);
                std::slice::from_raw_parts_mut(self.address(Place::Output(output)), self.n).copy_from_slice(from);
            }
        }
    }

    /// Where the result of `step` is.
    fn place(&self, step: usize) -> Place {
        self.blocks.places[step].expect("what is read is written down")
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
                Place::Chosen(_) => unreachable!("a choice has no place of its own"),
            }
        }
    }

    /// An argument in this block: as many elements, or one that stands for all.
    ///
    /// # Safety
    /// It has been computed.
    unsafe fn lane(&self, arg: Arg) -> &[f32] {
        if let Arg::Operand(o) = arg {
            let operand = &self.blocks.program.operands[o];
            match self.blocks.readings[o] {
                Reading::One => return self.words(operand, operand.first, 1),
                Reading::Run(period) => return self.words(operand, operand.first + self.indices[period], 1),
                _ => {}
            }
        }
        // SAFETY: the caller's duty.
        unsafe { self.each(arg) }
    }

    /// A value that has as many elements as the block.
    ///
    /// # Safety
    /// It has been computed.
    unsafe fn each(&self, arg: Arg) -> &[f32] {
        let n = self.n;
        match arg {
            Arg::Step(step) => match self.place(step) {
                Place::Chosen(choice) => {
                    let Choice { condition, taken, other } = self.blocks.choices[choice];
                    // SAFETY: the caller's duty; the condition is an operand.
                    unsafe { self.each(if self.lane(condition)[0] > 0.0 { taken } else { other }) }
                }
                // SAFETY: the caller's duty.
                place => unsafe { std::slice::from_raw_parts(self.address(place), n) },
            },
            Arg::Operand(o) => {
                let operand = &self.blocks.program.operands[o];
                let from = match self.blocks.readings[o] {
                    Reading::Each => self.at,
                    Reading::Row(period) => operand.first + self.indices[period],
                    Reading::Register(r) | Reading::Lanes { register: r, .. } => {
                        // SAFETY: written out at the beginning of the block.
                        return unsafe { std::slice::from_raw_parts(self.registers.add(r * STRIDE), n) };
                    }
                    Reading::One | Reading::Run(_) => unreachable!("such an operand is asked for as a lane"),
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
