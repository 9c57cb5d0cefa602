//! What a fused pass does to each element: a list of steps over operands, made of the steps of its parts.

use std::any::Any;

use super::Steps;
use crate::graph::{Link, Op, Part, Signature};
use crate::ops::support::Spread;
use crate::ops::{BinaryKind, ReduceKind, UnaryKind};

/// Most arguments of a step.
pub(crate) const MOST_ARGUMENTS: usize = 5;

/// What a step computes from its arguments, in the order and with the roundings of the op that it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// a.
    Copy,
    /// A function of a.
    Unary(UnaryKind),
    /// A function of a and b.
    Binary(BinaryKind),
    /// b where a > 0, else c.
    Select,
    /// max(a, 0), NaN for NaN.
    Relu,
    /// Center of the box (a, b) behind a ReLU.
    ReluCenter,
    /// Its radius.
    ReluRadius,
    /// Gradient for the center a of the box (a, b) before a ReLU from the gradients (c, d) behind it.
    SlopeCenter,
    /// Gradient for its radius.
    SlopeRadius,
    /// a + factor · b.
    AddScaled { factor: f32 },
    /// kept · a + added · b.
    Mix { kept: f32, added: f32 },
    /// kept · a + added · b².
    MixSquare { kept: f32, added: f32 },
    /// a − d · b / (√c · e + epsilon).
    AdamStep { epsilon: f32 },
    /// a cut to a range.
    Cut { least: f32, greatest: f32 },
}

impl Action {
    /// The number by which the shader knows the action.
    pub(crate) fn code(self) -> u32 {
        match self {
            Action::Copy => 0,
            Action::Unary(kind) => 1 + kind.code(),
            Action::Binary(kind) => 11 + kind as u32,
            Action::Select => 19,
            Action::Relu => 20,
            Action::ReluCenter => 21,
            Action::ReluRadius => 22,
            Action::SlopeCenter => 23,
            Action::SlopeRadius => 24,
            Action::AddScaled { .. } => 25,
            Action::Mix { .. } => 26,
            Action::MixSquare { .. } => 27,
            Action::AdamStep { .. } => 28,
            Action::Cut { .. } => 29,
        }
    }

    /// The shader's two constants, zero where there are none.
    pub(crate) fn constants(self) -> [f32; 2] {
        match self {
            Action::Unary(kind) => kind.finite_attributes().into(),
            Action::AddScaled { factor } => [factor, 0.0],
            Action::Mix { kept, added } | Action::MixSquare { kept, added } => [kept, added],
            Action::AdamStep { epsilon } => [epsilon, 0.0],
            Action::Cut { least, greatest } => [least, greatest],
            _ => [0.0, 0.0],
        }
    }

    /// Which arguments may be one number for all elements; the others are read element by element.
    pub(crate) fn takes_one(self, argument: usize) -> bool {
        match self {
            Action::Binary(_) | Action::Copy => true,
            Action::Select => argument == 0,
            Action::AdamStep { .. } => argument >= 3,
            _ => false,
        }
    }
}

/// What an argument of a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// An operand of the program.
    Operand(usize),
    /// The result of an earlier step.
    Step(usize),
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) args: Vec<Arg>,
}

/// Where an operand's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An input.
    Input(usize),
    /// An output that is updated in place, before the update.
    Old(usize),
}

/// What the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) source: Source,
    /// How the source's elements from `first` on are spread over the pass.
    pub(crate) spread: Spread,
    pub(crate) first: usize,
    /// Neighbouring elements of the source that neighbouring elements of the pass read, all of them spread alike: those of a block of
    /// channels, else one.
    pub(crate) lanes: usize,
}

impl Operand {
    /// Whether each element of the pass has one of its own.
    pub(crate) fn is_full(&self, elements: usize) -> bool {
        self.first == 0 && self.spread.is_full(elements)
    }
}

/// A value that is reduced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    pub(crate) value: Arg,
    pub(crate) kind: ReduceKind,
    pub(crate) output: usize,
    /// The part that reduces it.
    pub(crate) part: usize,
}

/// The steps of a pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) elements: usize,
    pub(crate) operands: Vec<Operand>,
    pub(crate) steps: Vec<Step>,
    /// Results of steps that are written one to one, and the outputs they go to; no result goes to two.
    pub(crate) writes: Vec<(Arg, usize)>,
    /// Values that are reduced, all by the same view.
    pub(crate) gathers: Vec<Gather>,
    pub(crate) view: Option<[usize; 3]>,
    /// Neighbouring elements that are kept apart by that view: those of a block of channels, else one.
    pub(crate) lanes: usize,
}

impl Program {
    /// The steps of `parts` after each other, without those that nothing needs. `in_place` are the pairs (output, input) that share memory.
    pub(crate) fn new(parts: &[Part], in_place: &[(usize, usize)], elements: usize) -> Program {
        let mut program = Program { elements, lanes: 1, ..Program::default() };
        let mut results: Vec<Vec<Made>> = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let mut lowering =
                Lowering { program: &mut program, results: &results, part, in_place, signature: &part.signature };
            let made = super::steps_of(part.op.as_ref()).steps(&mut lowering);
            for (&made, output) in made.iter().zip(&part.outputs) {
                let Some(output) = *output else { continue };
                match made {
                    Made::Each(value) => program.writes.push((value, output)),
                    Made::Reduced { value, kind, view } => {
                        program.gathers.push(Gather { value, kind, output, part: index });
                        program.view = Some(view);
                    }
                }
            }
            results.push(made);
        }
        program.drop_unused();
        program.name_results();
        program
    }

    /// The same over images of so many samples, channels and pixels, whose channels lie in blocks of `lanes`; `None` where it sees other images.
    pub(crate) fn in_blocks(mut self, [samples, channels, pixels]: [usize; 3], lanes: usize) -> Option<Program> {
        let run = pixels * lanes;
        // Of whole samples blocks change nothing but the order.
        let of_samples = |inner: usize| inner.is_multiple_of(channels * pixels);
        for operand in &mut self.operands {
            let Spread { inner, len } = operand.spread;
            if len == 1 || of_samples(inner) || operand.is_full(self.elements) {
                continue;
            }
            let of_channels = inner == pixels && len.is_multiple_of(channels) && operand.first == 0;
            of_channels.then_some(())?;
            (operand.spread, operand.lanes) = (Spread { inner: run, len: len / lanes }, lanes);
        }
        match self.view {
            None | Some([_, 1, _]) => {}
            Some(view) if view == [samples, channels, pixels] => {
                (self.view, self.lanes) = (Some([samples, channels / lanes, run]), lanes);
            }
            Some([outer, _, inner]) => (outer == 1 && of_samples(inner)).then_some(())?,
        }
        Some(self)
    }

    /// Whether anything depends on where an element is.
    pub(crate) fn is_local(&self) -> bool {
        let anywhere = |o: &Operand| o.spread.len == 1 || o.is_full(self.elements);
        self.view.is_none() && self.operands.iter().all(anywhere)
    }

    /// Adds copies: of operands that are written as they are, of results that go to two outputs, of operands that are reduced but not read one
    /// to one, and of results that would overwrite an operand that later steps read.
    fn name_results(&mut self) {
        for w in 0..self.writes.len() {
            let (value, output) = self.writes[w];
            let late =
                |s: usize| self.steps[s + 1..].iter().any(|step| step.args.iter().any(|&a| self.is_old(a, output)));
            let copied = match value {
                Arg::Operand(_) => true,
                Arg::Step(s) => self.writes[..w].iter().any(|other| other.0 == value) || late(s),
            };
            if copied {
                self.writes[w].0 = self.copy(value);
            }
        }
        for g in 0..self.gathers.len() {
            let value = self.gathers[g].value;
            if let Arg::Operand(o) = value
                && !self.operands[o].is_full(self.elements)
            {
                self.gathers[g].value = self.copy(value);
            }
        }
    }

    /// Whether `arg` is what an output held before.
    fn is_old(&self, arg: Arg, output: usize) -> bool {
        matches!(arg, Arg::Operand(o) if self.operands[o].source == Source::Old(output))
    }

    fn copy(&mut self, value: Arg) -> Arg {
        self.steps.push(Step { action: Action::Copy, args: vec![value] });
        Arg::Step(self.steps.len() - 1)
    }

    fn step(&mut self, action: Action, args: &[Arg]) -> Arg {
        let step = Step { action, args: args.to_vec() };
        Arg::Step(self.steps.iter().position(|s| *s == step).unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        }))
    }

    fn operand(&mut self, operand: Operand) -> Arg {
        Arg::Operand(self.operands.iter().position(|&o| o == operand).unwrap_or_else(|| {
            self.operands.push(operand);
            self.operands.len() - 1
        }))
    }

    /// Makes sums of magnitudes, where nothing else needs them, sums of the operand itself, and says of each reduction whether it is now one
    /// of its value's magnitudes.
    pub(crate) fn take_magnitudes(&mut self) -> Vec<bool> {
        let taken = (0..self.gathers.len()).map(|g| self.take_magnitude(g).is_some()).collect();
        self.drop_unused();
        taken
    }

    fn take_magnitude(&mut self, g: usize) -> Option<()> {
        let Gather { value: Arg::Step(step), kind: ReduceKind::Sum, .. } = self.gathers[g] else { return None };
        let Step { action: Action::Unary(UnaryKind::Abs), ref args } = self.steps[step] else { return None };
        let full = |&arg: &Arg| matches!(arg, Arg::Operand(o) if self.operands[o].is_full(self.elements));
        self.gathers[g].value = args.first().copied().filter(full)?;
        Some(())
    }

    fn drop_unused(&mut self) {
        let mut used = vec![false; self.steps.len()];
        let results = self.writes.iter().map(|w| w.0).chain(self.gathers.iter().map(|g| g.value));
        let mut stack: Vec<Arg> = results.collect();
        while let Some(arg) = stack.pop() {
            if let Arg::Step(s) = arg
                && !std::mem::replace(&mut used[s], true)
            {
                stack.extend(&self.steps[s].args);
            }
        }
        let moved: Vec<usize> = (0..used.len()).map(|s| used[..s].iter().filter(|u| **u).count()).collect();
        let rename = |arg: &mut Arg| {
            if let Arg::Step(s) = arg {
                *s = moved[*s];
            }
        };
        let mut at = 0..;
        self.steps.retain(|_| used[at.next().expect("endless")]);
        self.steps.iter_mut().flat_map(|s| &mut s.args).for_each(rename);
        self.writes.iter_mut().for_each(|w| rename(&mut w.0));
        self.gathers.iter_mut().for_each(|g| rename(&mut g.value));
    }
}

/// What an output of a part is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made {
    /// A value for each element.
    Each(Arg),
    /// The elements of `value`, reduced.
    Reduced { value: Arg, kind: ReduceKind, view: [usize; 3] },
}

/// A part that is being written as steps.
pub(crate) struct Lowering<'a> {
    program: &'a mut Program,
    results: &'a [Vec<Made>],
    part: &'a Part,
    in_place: &'a [(usize, usize)],
    /// Types of the part's operands.
    pub(crate) signature: &'a Signature,
}

impl Lowering<'_> {
    /// Input `i`, read one to one.
    pub(crate) fn each(&mut self, i: usize) -> Arg {
        let elements = self.program.elements;
        self.spread(i, Spread { inner: 1, len: elements }, 0)
    }

    /// Input `i` spread over the elements, from its element `first` on.
    pub(crate) fn spread(&mut self, i: usize, spread: Spread, first: usize) -> Arg {
        match self.part.inputs[i] {
            Link::Part { part, output } => match self.results[part][output] {
                Made::Each(value) if spread.is_full(self.program.elements) => value,
                made => unreachable!("{}: {made:?} is not there yet for input {i}", self.part.op.name()),
            },
            Link::Input(input) => {
                let shared = self.in_place.iter().find(|(_, old)| *old == input);
                let source = shared.map_or(Source::Input(input), |&(output, _)| Source::Old(output));
                self.program.operand(Operand { source, spread, first, lanes: 1 })
            }
        }
    }

    /// The number in element `first` of input `i`.
    pub(crate) fn one(&mut self, i: usize, first: usize) -> Arg {
        self.spread(i, Spread { inner: 1, len: 1 }, first)
    }

    /// The result of `action`.
    pub(crate) fn step(&mut self, action: Action, args: &[Arg]) -> Arg {
        debug_assert!(args.len() <= MOST_ARGUMENTS);
        self.program.step(action, args)
    }
}

/// An op as the `T` that it is.
pub(super) fn known<T: Steps>(op: &dyn Op) -> Option<&dyn Steps> {
    (op as &dyn Any).downcast_ref::<T>().map(|op| op as &dyn Steps)
}
