//! How a program runs on blocks: which operands are one number in a block, and where the results of its steps are kept.

use super::program::{Arg, Operand, Program, Step};
use crate::ops::support::Spread;

/// Most elements of a block: a few of them stay in the first cache.
pub(super) const BLOCK: usize = 1024;
/// From one register to the next: not a multiple of 4 KiB, or loads would seem to depend on stores to other registers.
pub(super) const STRIDE: usize = BLOCK + 208;
/// Runs of an operand that are shorter than this are not worth a block of their own.
const SHORT: usize = 512;

/// How an operand is read in a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// One to one.
    Each,
    /// One number in the whole pass.
    One,
    /// One number in each block.
    Run,
    /// A row that the blocks don't cross the end of.
    Row,
    /// Written out into a register first.
    Register(usize),
}

/// Where the result of a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Register(usize),
    Output(usize),
}

/// A program with a place for everything.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) program: Program,
    /// By operand.
    pub(super) readings: Vec<Reading>,
    /// By step.
    pub(super) places: Vec<Place>,
    /// Steps whose results go to an output at the end of a block.
    pub(super) copies: Vec<(usize, usize)>,
    pub(super) registers: usize,
}

impl Blocks {
    /// `updated` says of an output whether it is updated in place: written only when all of a block has been read.
    pub(super) fn new(program: Program, updated: impl Fn(usize) -> bool) -> Blocks {
        let Program { elements, ref operands, ref steps, ref writes, ref gathers, .. } = program;
        let mut registers = 0;
        let readings = operands
            .iter()
            .enumerate()
            .map(|(o, operand)| {
                let reading = reading(operand, elements);
                let one = matches!(reading, Some(Reading::One | Reading::Run));
                let fits = |s: &Step| (0..s.args.len()).all(|i| s.args[i] != Arg::Operand(o) || s.action.takes_one(i));
                reading.filter(|_| !one || steps.iter().all(fits)).unwrap_or_else(|| {
                    registers += 1;
                    Reading::Register(registers - 1)
                })
            })
            .collect();
        let last_use = |step: usize| {
            let result = Arg::Step(step);
            let held = gathers.iter().any(|g| g.value == result) || writes.iter().any(|w| w.0 == result);
            let reader = steps.iter().rposition(|s| s.args.contains(&result));
            if held { usize::MAX } else { reader.unwrap_or(step) }
        };
        let (mut places, mut copies) = (Vec::with_capacity(steps.len()), Vec::new());
        let mut busy_until = vec![usize::MAX; registers];
        for step in 0..steps.len() {
            let output = writes.iter().find(|w| w.0 == Arg::Step(step)).map(|w| w.1);
            places.push(output.filter(|&o| !updated(o)).map_or_else(
                || {
                    let free = busy_until.iter().position(|&until| until < step).unwrap_or_else(|| {
                        busy_until.push(0);
                        busy_until.len() - 1
                    });
                    busy_until[free] = last_use(step);
                    Place::Register(free)
                },
                Place::Output,
            ));
            copies.extend(output.filter(|&o| updated(o)).map(|output| (step, output)));
        }
        Blocks { registers: busy_until.len(), readings, places, copies, program }
    }

    /// Elements of the block that begins at element `at` and ends before `to`.
    pub(super) fn length(&self, at: usize, to: usize) -> usize {
        let cuts = self.program.operands.iter().zip(&self.readings).filter_map(|(operand, reading)| match reading {
            Reading::Run => Some(operand.spread.inner - at % operand.spread.inner),
            Reading::Row => Some(operand.spread.len - at % operand.spread.len),
            _ => None,
        });
        cuts.fold(BLOCK.min(to - at), usize::min)
    }
}

/// How an operand is best read; `None` for one that must be written out.
fn reading(operand: &Operand, elements: usize) -> Option<Reading> {
    match operand.spread {
        _ if operand.is_full(elements) => Some(Reading::Each),
        Spread { len: 1, .. } => Some(Reading::One),
        Spread { inner: 1, len } => (len >= SHORT).then_some(Reading::Row),
        Spread { inner, .. } => (inner >= SHORT).then_some(Reading::Run),
    }
}
