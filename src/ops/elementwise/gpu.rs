//! Dispatches of a fused pass: reductions of operands, which steps may update; its steps, as many at a time as the shader takes; reductions of
//! what they make.

use std::ops::Range;

use super::Fused;
use super::program::{Arg, Program, Source};
use crate::error::Result;
use crate::kernel::{GpuCall, GpuLimits, Operand};
use crate::ops::dispatch::{Itemwise, Override, Span, each, int};
use crate::ops::reduce;
use crate::ops::shaders::ELEMENTWISE;

macro_rules! numbered {
    ($names:tt: $($k:literal)*) => { [$(numbered!(@ $names $k)),*] };
    (@ [$($name:literal)*] $k:literal) => { [$(concat!($name, "_", $k)),*] };
}
/// The shader's constants for each operand, step and result: as many as it has.
const OPERANDS: [[&str; 2]; 8] = numbered!(["SOURCE" "SPREAD"]: 0 1 2 3 4 5 6 7);
const SPREADS: [[&str; 3]; 8] = numbered!(["FIRST" "INNER" "LEN"]: 0 1 2 3 4 5 6 7);
const STEPS: [[&str; 2]; 16] = numbered!(["ACTION" "ARGS"]: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const NUMBERS: [[&str; 2]; 16] = numbered!(["P" "Q"]: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const RESULTS: [[&str; 1]; 3] = numbered!(["RESULT"]: 0 1 2);

/// Bindings for reading, in front of those of the results.
const READS: usize = ELEMENTWISE.bindings.len() - RESULTS.len();
/// Bits of a value's number in a step's arguments.
const VALUE_BITS: u32 = 5;
/// Words of a buffer that stands where a dispatch needs fewer than the shader has.
const UNUSED_WORDS: usize = 64;

pub(super) fn call(op: &Fused, limits: &GpuLimits) -> Result<GpuCall> {
    let mut program = Program::new(&op.parts, &op.in_place, op.elements);
    let magnitudes = program.take_magnitudes();
    let mut scratch: Vec<usize> = Vec::new();
    let mut dispatches = Vec::new();
    // Where the result of each step is that outlives its dispatch, and until when each scratch buffer is needed.
    let mut places: Vec<Option<Operand>> = vec![None; program.steps.len()];
    let mut needed_until: Vec<usize> = Vec::new();
    let mut parts: Vec<Vec<Override>> = Vec::new();
    let mut bound: Vec<Vec<Option<Span>>> = Vec::new();
    let mut first = 0;
    while first < program.steps.len() {
        let most = program.steps.len().min(first + STEPS.len());
        let fitting = (first + 1..=most).rev().find_map(|end| Segment::new(&program, first..end, &places));
        let segment = fitting.expect("a single step fits");
        for &step in &segment.results {
            let output = program.writes.iter().find(|w| w.0 == Arg::Step(step)).map(|w| Operand::Output(w.1));
            places[step] = Some(output.unwrap_or_else(|| {
                let slot = needed_until.iter().position(|&until| until < first).unwrap_or_else(|| {
                    needed_until.push(0);
                    needed_until.len() - 1
                });
                needed_until[slot] = last_use(&program, step);
                Operand::Scratch(slot)
            }));
        }
        first = segment.steps.end;
        let results: Vec<Operand> = segment.results.iter().map(|&s| places[s].expect("placed above")).collect();
        parts.push(segment.overrides(&program, &results));
        bound.push(segment.spans(&results));
    }
    scratch.resize(needed_until.len(), op.elements);
    // What stands in for unused bindings: one buffer for reading, one for each result.
    let unused = scratch.len();
    scratch.resize(unused + 1 + RESULTS.len(), UNUSED_WORDS);
    for (overrides, spans) in parts.into_iter().zip(bound) {
        let instead = |i: usize| Span::Whole(Operand::Scratch(if i < READS { unused } else { unused + 1 + i - READS }));
        let spans: Vec<Span> =
            spans.into_iter().enumerate().map(|(i, span)| span.unwrap_or_else(|| instead(i))).collect();
        let offset = Some(("OFFSET", 1));
        let items = op.elements;
        let of_segment =
            Itemwise { shader: &ELEMENTWISE, items, per_group: 256, spans: &spans, overrides: &overrides, offset };
        dispatches.append(&mut of_segment.call(limits)?.dispatches);
    }
    let own = scratch.len();
    let mut of_operands = Vec::new();
    for (gather, magnitude) in program.gathers.iter().zip(magnitudes) {
        let part = &op.parts[gather.part];
        let mut reduction = part.op.gpu(&part.signature, limits)?;
        let (value, order) = match gather.value {
            Arg::Step(step) => (places[step].expect("a reduced value outlives its dispatch"), &mut dispatches),
            Arg::Operand(o) => (source(program.operands[o].source), &mut of_operands),
        };
        if magnitude {
            reduce::of_magnitudes(&mut reduction);
        }
        for bind in reduction.dispatches.iter_mut().flat_map(|d| &mut d.binds) {
            bind.operand = match bind.operand {
                Operand::Input(_) => value,
                Operand::Output(_) => Operand::Output(gather.output),
                Operand::Scratch(i) => Operand::Scratch(own + i),
                Operand::Form(_) => unreachable!("a reduction reads no other form"),
            };
        }
        for (i, words) in reduction.scratch.into_iter().enumerate() {
            match scratch.get_mut(own + i) {
                Some(size) => *size = words.max(*size),
                None => scratch.push(words),
            }
        }
        order.append(&mut reduction.dispatches);
    }
    // What is reduced ahead belongs to what the pass does, if it does more.
    let main = if dispatches.is_empty() { 0 } else { of_operands.len() };
    of_operands.append(&mut dispatches);
    Ok(GpuCall { dispatches: of_operands, scratch, main, ..GpuCall::default() })
}

/// The buffer behind an operand.
fn source(source: Source) -> Operand {
    match source {
        Source::Input(i) => Operand::Input(i),
        Source::Old(o) => Operand::Output(o),
    }
}

/// The last step that reads a step's result; beyond all of them if it is reduced.
fn last_use(program: &Program, step: usize) -> usize {
    let result = Arg::Step(step);
    if program.gathers.iter().any(|g| g.value == result) {
        return usize::MAX;
    }
    program.steps.iter().rposition(|s| s.args.contains(&result)).unwrap_or(step)
}

/// A value that a dispatch reads: its buffer, and how it is spread (inner, len, first), if it is.
#[derive(Clone, Copy, PartialEq)]
struct Read {
    arg: Arg,
    buffer: Operand,
    spread: Option<[usize; 3]>,
}

/// Consecutive steps that one dispatch carries out.
struct Segment {
    steps: Range<usize>,
    reads: Vec<Read>,
    /// Buffers in the bindings for reading, and whether they are read one to one.
    buffers: Vec<(Operand, bool)>,
    /// Steps whose results outlive the dispatch.
    results: Vec<usize>,
}

impl Segment {
    /// The `steps`, if they need no more than the shader has. `places` says where earlier results are.
    fn new(program: &Program, steps: Range<usize>, places: &[Option<Operand>]) -> Option<Segment> {
        let lives =
            |&s: &usize| last_use(program, s) >= steps.end || program.writes.iter().any(|w| w.0 == Arg::Step(s));
        let results: Vec<usize> = steps.clone().filter(lives).collect();
        let written = |buffer: Operand| {
            let mut writes = program.writes.iter().filter(|w| results.iter().any(|&s| w.0 == Arg::Step(s)));
            writes.any(|w| Operand::Output(w.1) == buffer)
        };
        let (mut reads, mut buffers): (Vec<Read>, Vec<(Operand, bool)>) = (Vec::new(), Vec::new());
        for &arg in program.steps[steps.clone()].iter().flat_map(|s| &s.args) {
            let (buffer, spread) = match arg {
                Arg::Step(s) if s >= steps.start => continue,
                Arg::Step(s) => (places[s].expect("results of earlier dispatches outlive them"), None),
                Arg::Operand(o) => {
                    let operand = &program.operands[o];
                    let full = operand.is_full(program.elements);
                    let spread = [operand.spread.inner, operand.spread.len, operand.first];
                    (source(operand.source), (!full).then_some(spread))
                }
            };
            let read = Read { arg, buffer, spread };
            if !reads.contains(&read) {
                reads.push(read);
            }
            // What is updated in place is read through the binding of the result.
            if !written(buffer) && !buffers.contains(&(buffer, spread.is_none())) {
                buffers.push((buffer, spread.is_none()));
            }
        }
        let fits = reads.len() <= OPERANDS.len() && buffers.len() <= READS && results.len() <= RESULTS.len();
        fits.then_some(Segment { steps, reads, buffers, results })
    }

    /// Constants of the dispatch, whose results go to the buffers `results`.
    fn overrides(&self, program: &Program, results: &[Operand]) -> Vec<Override> {
        let mut overrides = vec![("STEPS", int(self.steps.len()))];
        for (read, names) in self.reads.iter().zip(OPERANDS) {
            let kind = (read.buffer, read.spread.is_none());
            let place = self.buffers.iter().position(|&b| b == kind).unwrap_or_else(|| {
                READS + results.iter().position(|&r| r == read.buffer).expect("it is updated in place here")
            });
            let spread = read.spread.map_or(0, |[_, len, _]| if len == 1 { 1 } else { 2 });
            overrides.extend(names.iter().copied().zip([place, spread].map(int)));
        }
        let spreads = self.reads.iter().map(|read| read.spread).chain(std::iter::repeat(None));
        for (names, spread) in SPREADS.iter().zip(spreads) {
            let [inner, len, first] = spread.unwrap_or([1, 1, 0]);
            overrides.extend(names.iter().copied().zip([first, inner, len].map(int)));
        }
        let number = |arg: Arg| match arg {
            Arg::Step(s) if s >= self.steps.start => OPERANDS.len() + s - self.steps.start,
            _ => self.reads.iter().position(|r| r.arg == arg).expect("it is read"),
        };
        let steps = &program.steps[self.steps.clone()];
        for (step, names) in steps.iter().zip(STEPS) {
            let args = step.args.iter().rev().fold(0, |packed, &arg| packed << VALUE_BITS | number(arg));
            overrides.extend(names.iter().copied().zip([step.action.code().into(), int(args)]));
        }
        // No constants: a mean over another number of elements would be another kernel.
        let numbers = steps.iter().map(|step| step.action.constants()).chain(std::iter::repeat([0.0; 2]));
        for (names, numbers) in NUMBERS.iter().zip(numbers) {
            overrides.extend(names.iter().copied().zip(numbers.map(f64::from)));
        }
        for (&step, [name]) in self.results.iter().zip(RESULTS) {
            overrides.push((name, int(number(Arg::Step(step)))));
        }
        overrides
    }

    /// Bindings of the dispatch, `None` where it needs fewer than the shader has.
    fn spans(&self, results: &[Operand]) -> Vec<Option<Span>> {
        let read = |&(buffer, full): &(Operand, bool)| Some(if full { each(buffer) } else { Span::Whole(buffer) });
        let mut spans: Vec<Option<Span>> = self.buffers.iter().map(read).collect();
        spans.resize(READS, None);
        spans.extend(results.iter().map(|&r| Some(each(r))));
        spans.resize(READS + RESULTS.len(), None);
        spans
    }
}
