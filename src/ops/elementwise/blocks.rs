//! How a program runs on blocks: which operands are one number in a block, and where the results of its steps are kept.

use super::gather::SHORT;
use super::kernels::{Kernel, Stage, Term, stages};
use super::program::{Action, Arg, Operand, Program, Source, Step};
use crate::ops::simd::CHUNK;
use crate::ops::support::Spread;

/// Most elements of a block that has registers: a few of them stay in the first cache.
pub(super) const BLOCK: usize = 1024;
/// From one register to the next: not a multiple of 4 KiB, or loads would seem to depend on stores to other registers.
pub(super) const STRIDE: usize = BLOCK + 208;
/// Most different spreads that blocks keep to.
pub(super) const MOST_PERIODS: usize = 4;

/// How an operand is read in a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// One to one.
    Each,
    /// One number in the whole pass.
    One,
    /// One number in each block, by that period.
    Run(usize),
    /// A row that the blocks don't cross the end of, by that period.
    Row(usize),
    /// Written out into a register first.
    Register(usize),
    /// Some neighbouring numbers over and over, in a register that is written anew where they change, by that period.
    Lanes { register: usize, period: usize },
}

/// Where the result of a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Register(usize),
    Output(usize),
    /// Nowhere of its own: one of two operands, by that choice.
    Chosen(usize),
}

/// A selection by one number for a whole block: which of the operands is taken is looked up where it is read, and the other one is not
/// read at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) condition: Arg,
    pub(super) taken: Arg,
    pub(super) other: Arg,
}

/// A program with a place for everything.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) program: Program,
    /// By operand.
    pub(super) readings: Vec<Reading>,
    /// Spreads of operands that blocks keep to.
    periods: Vec<Spread>,
    pub(super) stages: Vec<Stage>,
    /// What each reduction adds.
    pub(super) terms: Vec<Term>,
    /// By step; none for one that is done on the way to another.
    pub(super) places: Vec<Option<Place>>,
    pub(super) choices: Vec<Choice>,
    /// Steps whose results go to an output at the end of a block.
    pub(super) copies: Vec<(usize, usize)>,
    pub(super) registers: usize,
    /// Whether operands are written out into registers.
    pub(super) loads: bool,
    /// Most elements of a block.
    most: usize,
}

/// Where a task is in the operands that its blocks keep to, by period.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// Which element of the operand belongs to the next element.
    pub(super) indices: [usize; MOST_PERIODS],
    /// Elements up to where a block must end.
    left: [usize; MOST_PERIODS],
}

impl Blocks {
    /// `updated` says of an output whether it is updated in place: written only when all of a block has been read.
    pub(super) fn new(program: Program, updated: impl Fn(usize) -> bool) -> Blocks {
        let Program { elements, ref operands, ref steps, ref writes, .. } = program;
        // Of channels in blocks there is one spread, or two, which must have a period.
        let (mut registers, mut periods) = (0, Vec::new());
        for operand in operands.iter().filter(|operand| operand.lanes > 1) {
            period(operand.spread, &mut periods);
        }
        let readings: Vec<Reading> = operands
            .iter()
            .enumerate()
            .map(|(o, operand)| {
                let fits = |s: &Step| (0..s.args.len()).all(|i| s.args[i] != Arg::Operand(o) || s.action.takes_one(i));
                let may_be_one = steps.iter().all(fits);
                let mut register = || {
                    registers += 1;
                    registers - 1
                };
                if operand.lanes > 1 {
                    let period = period(operand.spread, &mut periods).expect("the first periods");
                    return Reading::Lanes { register: register(), period };
                }
                reading(operand, elements, may_be_one, &mut periods).unwrap_or_else(|| Reading::Register(register()))
            })
            .collect();
        let is_one = |arg: Arg| matches!(arg, Arg::Operand(o) if matches!(readings[o], Reading::One | Reading::Run(_)));
        let (mut stages, terms) = stages(&program, is_one);
        let last_use = |step: usize, stage: usize| {
            let result = Arg::Step(step);
            let held = terms.iter().any(|t| t.args().any(|a| a == result)) || writes.iter().any(|w| w.0 == result);
            let reader = stages.iter().rposition(|s| s.args.contains(&result));
            if held { usize::MAX } else { reader.unwrap_or(stage) }
        };
        // Whether anything reads an output as it was.
        let read_before = |output: usize| {
            let args = stages.iter().flat_map(|stage| stage.args.iter().copied());
            args.chain(terms.iter().flat_map(|term| term.args()))
                .any(|arg| matches!(arg, Arg::Operand(o) if operands[o].source == Source::Old(output)))
        };
        let (mut places, mut copies, mut choices) = (vec![None; steps.len()], Vec::new(), Vec::new());
        let mut busy_until = vec![usize::MAX; registers];
        for (stage, Stage { kernel, args, results }) in stages.iter().enumerate() {
            if *kernel == Kernel::Step(Action::Select) && is_one(args[0]) {
                // Only what keeps its place while the block is worked on may be read that late.
                let stays = |arg: Arg| match arg {
                    Arg::Step(s) => matches!(places[s], Some(Place::Chosen(_))),
                    Arg::Operand(o) => {
                        matches!((readings[o], operands[o].source), (Reading::Each, Source::Input(_)))
                    }
                };
                if args[1..].iter().all(|&arg| stays(arg)) && writes.iter().all(|w| w.0 != Arg::Step(results[0])) {
                    places[results[0]] = Some(Place::Chosen(choices.len()));
                    choices.push(Choice { condition: args[0], taken: args[1], other: args[2] });
                    continue;
                }
            }
            for &step in results {
                let output = writes.iter().find(|w| w.0 == Arg::Step(step)).map(|w| w.1);
                // Adam updates its states itself.
                let at_once = |o: &usize| !updated(*o) || !read_before(*o) || matches!(kernel, Kernel::Adam(_));
                places[step] = Some(output.filter(at_once).map_or_else(
                    || {
                        let free = busy_until.iter().position(|&until| until < stage).unwrap_or_else(|| {
                            busy_until.push(0);
                            busy_until.len() - 1
                        });
                        busy_until[free] = last_use(step, stage);
                        Place::Register(free)
                    },
                    Place::Output,
                ));
                copies.extend(output.filter(|o| !at_once(o)).map(|output| (step, output)));
            }
        }
        stages.retain(|stage| !matches!(places[stage.results[0]], Some(Place::Chosen(_))));
        let (loads, registers, most) = (registers > 0, busy_until.len(), BLOCK);
        Blocks { registers, loads, most, readings, periods, stages, terms, places, choices, copies, program }
    }

    /// Blocks of up to a whole task, where nothing is kept between reading and writing: fewer of them.
    pub(super) fn whole_tasks(&mut self) {
        if self.registers == 0 {
            self.most = CHUNK;
        }
    }

    /// Most elements of a block that keeps to runs of `run` elements.
    pub(super) fn longest(&self, run: usize) -> usize {
        let periods = self.periods.iter().map(|p| if p.inner == 1 { p.len } else { p.inner });
        periods.fold(BLOCK.min(run), usize::min)
    }

    /// Where a task is that begins at element `at`.
    pub(super) fn begin(&self, at: usize) -> Cursor {
        let mut cursor = Cursor::default();
        for (p, &Spread { inner, len }) in self.periods.iter().enumerate() {
            cursor.indices[p] = at / inner % len;
            cursor.left[p] = if inner == 1 { len - cursor.indices[p] } else { inner - at % inner };
        }
        cursor
    }

    /// Elements of the next block, of which `rest` are left.
    pub(super) fn cut(&self, cursor: &Cursor, rest: usize) -> usize {
        cursor.left[..self.periods.len()].iter().fold(self.most.min(rest), |n, &left| n.min(left))
    }

    /// Goes on behind a block of `n` elements.
    pub(super) fn advance(&self, cursor: &mut Cursor, n: usize) {
        for (p, &Spread { inner, len }) in self.periods.iter().enumerate() {
            cursor.left[p] -= n;
            if inner == 1 {
                cursor.indices[p] += n;
            }
            if cursor.left[p] == 0 {
                let next = cursor.indices[p] + usize::from(inner > 1);
                cursor.indices[p] = if next == len { 0 } else { next };
                cursor.left[p] = if inner == 1 { len } else { inner };
            }
        }
    }
}

/// How an operand is best read; `None` for one that must be written out, as those that may not be one number for several elements.
fn reading(operand: &Operand, elements: usize, may_be_one: bool, periods: &mut Vec<Spread>) -> Option<Reading> {
    let spread = operand.spread;
    let is_row = spread.inner == 1 && spread.len > 1;
    if operand.is_full(elements) {
        return Some(Reading::Each);
    }
    (is_row || may_be_one).then_some(())?;
    if spread.len == 1 {
        return Some(Reading::One);
    }
    let period = period(spread, periods)?;
    Some(if is_row { Reading::Row(period) } else { Reading::Run(period) })
}

/// The period of a spread that blocks can keep to.
fn period(spread: Spread, periods: &mut Vec<Spread>) -> Option<usize> {
    let length = if spread.inner == 1 { spread.len } else { spread.inner };
    periods.iter().position(|&p| p == spread).or_else(|| {
        (length >= SHORT && periods.len() < MOST_PERIODS).then(|| {
            periods.push(spread);
            periods.len() - 1
        })
    })
}
