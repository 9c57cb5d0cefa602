//! Which native kernels do the steps of a program: one by one, or several at once where what is between them is read by nobody else and need
//! not be written down.

use super::program::{Action, Arg, Program, Source};
use crate::ops::adam::Constants;
use crate::ops::{BinaryKind, ReduceKind, UnaryKind};

/// What a stage computes from its arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    /// One step.
    Step(Action),
    /// a · b + c, cut at 0 if asked for.
    MultiplyAdd { relu: bool },
    /// Center and radius of the box (a, b) behind a ReLU.
    ReluBox,
    /// Gradients for center and radius of the box (a, b) before a ReLU from those behind it, c and d.
    SlopeBox,
    /// Adam: parameter and moments a, b, c, updated where they are, along the gradient d, with rates e, f.
    Adam(Constants),
    /// b in the place of an old output where a, one number, is positive, or with `unless` where it is not.
    Replace { unless: bool },
}

/// Steps that are done at once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    pub(super) kernel: Kernel,
    pub(super) args: Vec<Arg>,
    /// Steps whose results it makes.
    pub(super) results: Vec<usize>,
}

/// What a reduction adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Term {
    /// a.
    Value(Arg),
    /// a · b.
    Product(Arg, Arg),
    /// |a|.
    Magnitude(Arg),
}

impl Kernel {
    /// Most arguments.
    pub(super) const MOST_ARGUMENTS: usize = 6;
}

impl Term {
    pub(super) fn args(self) -> impl Iterator<Item = Arg> {
        let (a, b) = match self {
            Term::Value(a) | Term::Magnitude(a) => (a, None),
            Term::Product(a, b) => (a, Some(b)),
        };
        std::iter::once(a).chain(b)
    }

    /// Whether it is added before the steps: it needs none of them, and they may update what it reads.
    pub(super) fn comes_first(self) -> bool {
        self.args().all(|arg| matches!(arg, Arg::Operand(_)))
    }
}

/// Stages that do the work of a program, and what each of its reductions adds.
pub(super) fn stages(program: &Program, is_one: impl Fn(Arg) -> bool) -> (Vec<Stage>, Vec<Term>) {
    let done = vec![false; program.steps.len()];
    let mut finder = Finder { program, is_one, done, stages: Vec::new(), terms: Vec::new() };
    for g in 0..program.gathers.len() {
        let term = finder.term(g);
        finder.terms.push(term);
    }
    finder.run();
    (finder.stages, finder.terms)
}

struct Finder<'a, F> {
    program: &'a Program,
    /// Whether an argument is one number for all elements of a block.
    is_one: F,
    /// Steps that a stage or a term does along with others.
    done: Vec<bool>,
    stages: Vec<Stage>,
    /// By reduction.
    terms: Vec<Term>,
}

impl<F: Fn(Arg) -> bool> Finder<'_, F> {
    fn step(&self, arg: Arg) -> Option<(usize, Action, &[Arg])> {
        let Arg::Step(s) = arg else { return None };
        Some((s, self.program.steps[s].action, &self.program.steps[s].args))
    }

    /// How often the result of step `s` is used.
    fn uses(&self, s: usize) -> usize {
        let result = Arg::Step(s);
        let reads = self.program.steps.iter().flat_map(|step| &step.args).filter(|a| **a == result).count();
        let writes = self.program.writes.iter().filter(|w| w.0 == result).count();
        reads + writes + self.program.gathers.iter().filter(|g| g.value == result).count()
    }

    /// What reduction `g` adds. Only elements of runs are added as terms: rows are added as they are.
    fn term(&mut self, g: usize) -> Term {
        let gather = self.program.gathers[g];
        let plain = Term::Value(gather.value);
        let runs = self.program.view.is_some_and(|[outer, keep, inner]| inner > 1 || keep == 1 || outer == 1);
        let Some((s, action, args)) = self.step(gather.value) else { return plain };
        if gather.kind != ReduceKind::Sum || !runs || self.uses(s) > 1 {
            return plain;
        }
        let term = match (action, args) {
            (Action::Binary(BinaryKind::Mul), &[a, b]) if !(self.is_one)(a) && !(self.is_one)(b) => Term::Product(a, b),
            (Action::Unary(UnaryKind::Abs), &[a]) => Term::Magnitude(a),
            _ => return plain,
        };
        self.done[s] = true;
        term
    }

    fn run(&mut self) {
        let steps = &self.program.steps;
        // From the last to the first: the last of several steps finds the others.
        for s in (0..steps.len()).rev() {
            if self.done[s] {
                continue;
            }
            let stage = self
                .adam(s)
                .or_else(|| self.replace(s))
                .or_else(|| self.pair(s))
                .or_else(|| self.multiply_add(s))
                .unwrap_or_else(|| Stage {
                    kernel: Kernel::Step(steps[s].action),
                    args: steps[s].args.clone(),
                    results: vec![s],
                });
            self.stages.push(stage);
        }
        self.stages.reverse();
    }

    /// A product that is added to something, in step `s` or the one before it.
    fn multiply_add(&mut self, s: usize) -> Option<Stage> {
        let (mut sum, mut relu) = (s, false);
        if let (Action::Relu, &[Arg::Step(before)]) = (self.program.steps[s].action, &self.program.steps[s].args[..]) {
            (sum, relu) = (before, true);
        }
        if relu && self.uses(sum) > 1 {
            return None;
        }
        let (action, args) = (self.program.steps[sum].action, &self.program.steps[sum].args);
        let (Action::Binary(BinaryKind::Add), &[x, y]) = (action, &args[..]) else { return None };
        let product = |arg: Arg, other: Arg| match self.step(arg) {
            Some((p, Action::Binary(BinaryKind::Mul), &[a, b])) if self.uses(p) == 1 && !self.done[p] => {
                // The first factor has all elements.
                let (a, b) = if (self.is_one)(a) { (b, a) } else { (a, b) };
                (!(self.is_one)(a)).then_some((p, [a, b, other]))
            }
            _ => None,
        };
        let (p, args) = product(x, y).or_else(|| product(y, x))?;
        self.done[p] = true;
        self.done[sum] = true;
        Some(Stage { kernel: Kernel::MultiplyAdd { relu }, args: args.into(), results: vec![s] })
    }

    /// Both halves of a box, in steps `s − 1` and `s`.
    fn pair(&mut self, s: usize) -> Option<Stage> {
        let before = s.checked_sub(1).filter(|&b| !self.done[b])?;
        let (first, second) = (&self.program.steps[before], &self.program.steps[s]);
        let kernel = match (first.action, second.action) {
            (Action::ReluCenter, Action::ReluRadius) => Kernel::ReluBox,
            (Action::SlopeCenter, Action::SlopeRadius) => Kernel::SlopeBox,
            _ => return None,
        };
        (first.args == second.args).then_some(())?;
        self.done[before] = true;
        Some(Stage { kernel, args: second.args.clone(), results: vec![before, s] })
    }

    /// A selection between an output as it was and something else, that updates the output: what is kept need not be read.
    fn replace(&self, s: usize) -> Option<Stage> {
        let steps = &self.program.steps;
        let (Action::Select, &[condition, taken, other]) = (steps[s].action, &steps[s].args[..]) else {
            return None;
        };
        let output = self.program.writes.iter().find(|w| w.0 == Arg::Step(s))?.1;
        let is_old =
            |arg: Arg| matches!(arg, Arg::Operand(o) if self.program.operands[o].source == Source::Old(output));
        let (value, unless) = if is_old(other) { (taken, false) } else { (other, true) };
        // Nobody else reads the output, as it was or as it is.
        let reads = steps.iter().flat_map(|step| &step.args).filter(|arg| is_old(**arg)).count();
        let reduced = self.program.gathers.iter().any(|gather| is_old(gather.value));
        let kept = is_old(if unless { taken } else { other });
        let alone = self.uses(s) == 1 && kept && reads == 1 && !reduced;
        (alone && (self.is_one)(condition) && !(self.is_one)(value)).then(|| Stage {
            kernel: Kernel::Replace { unless },
            args: vec![condition, value],
            results: vec![s],
        })
    }

    /// A step of Adam, the last of whose steps is `s`, that updates its states and nothing else reads.
    fn adam(&mut self, s: usize) -> Option<Stage> {
        let steps = &self.program.steps;
        let (mut moved, mut range) = (s, None);
        if let (Action::Cut { least, greatest }, &[Arg::Step(before)]) = (steps[s].action, &steps[s].args[..]) {
            (moved, range) = (before, Some([least, greatest]));
        }
        let (Action::AdamStep { epsilon }, &[p, m, v, rate, root]) = (steps[moved].action, &steps[moved].args[..])
        else {
            return None;
        };
        let (m, Action::Mix { kept: kept1, added: added1 }, &[old_m, g]) = self.step(m)? else { return None };
        let (v, Action::MixSquare { kept: kept2, added: added2 }, &[old_v, same]) = self.step(v)? else { return None };
        let (d, Action::AddScaled { factor }, &[grad, of]) = self.step(g)? else { return None };
        let updates = [(s, p), (m, old_m), (v, old_v)].iter().all(|&(new, old)| {
            let output = self.program.writes.iter().find(|w| w.0 == Arg::Step(new)).map(|w| w.1);
            let Arg::Operand(o) = old else { return false };
            output.is_some_and(|output| self.program.operands[o].source == Source::Old(output))
        });
        // Each moment is written and read by the step of the parameter; the parameter is written alone.
        let once = self.uses(s) == 1 && self.uses(moved) == 1;
        let alone = self.uses(d) == 2 && self.uses(m) == 2 && self.uses(v) == 2 && once;
        // What others do with the states must come before.
        let states = [p, old_m, old_v];
        let late = self.terms.iter().filter(|term| !term.comes_first());
        let reduced = late.flat_map(|term| term.args()).any(|arg| states.contains(&arg));
        let read_later = self.stages.iter().flat_map(|stage| &stage.args).any(|arg| states.contains(arg));
        let fits = same == g && of == p && !states.contains(&grad) && !(self.is_one)(grad);
        if !(updates && alone && fits) || reduced || read_later {
            return None;
        }
        [d, m, v, moved].into_iter().for_each(|step| self.done[step] = true);
        let (kept, added) = ([kept1, kept2], [added1, added2]);
        let kernel = Kernel::Adam(Constants { decay: factor, kept, added, epsilon, range });
        Some(Stage { kernel, args: vec![p, old_m, old_v, grad, rate, root], results: vec![s, m, v] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::elementwise::program::{Gather, Operand, Step};
    use crate::ops::support::Spread;

    const X: Arg = Arg::Operand(0);
    const Y: Arg = Arg::Operand(1);
    const ONE: Arg = Arg::Operand(2);

    /// Two operands with all elements and one of one number.
    fn program(steps: &[(Action, &[Arg])], writes: &[usize], gathers: &[Arg]) -> Program {
        let operand =
            |(i, len)| Operand { source: Source::Input(i), spread: Spread { inner: 1, len }, first: 0, lanes: 1 };
        Program {
            elements: 100,
            operands: [100, 100, 1].into_iter().enumerate().map(operand).collect(),
            steps: steps.iter().map(|(action, args)| Step { action: *action, args: args.to_vec() }).collect(),
            writes: writes.iter().enumerate().map(|(output, &step)| (Arg::Step(step), output)).collect(),
            gathers: gathers
                .iter()
                .map(|&value| Gather { value, kind: ReduceKind::Sum, output: writes.len(), part: 0 })
                .collect(),
            view: (!gathers.is_empty()).then_some([1, 1, 100]),
            lanes: 1,
        }
    }

    fn found(program: &Program) -> (Vec<Kernel>, Vec<Term>) {
        let (stages, terms) = stages(program, |arg| arg == ONE);
        (stages.into_iter().map(|stage| stage.kernel).collect(), terms)
    }

    const MUL: Action = Action::Binary(BinaryKind::Mul);
    const ADD: Action = Action::Binary(BinaryKind::Add);
    const SQUARE: Action = Action::Unary(UnaryKind::Square);

    #[test]
    fn a_product_that_is_added_needs_no_place() {
        let steps: [(Action, &[Arg]); 3] =
            [(MUL, &[ONE, X]), (ADD, &[Y, Arg::Step(0)]), (Action::Relu, &[Arg::Step(1)])];
        assert_eq!(found(&program(&steps, &[2], &[])).0, [Kernel::MultiplyAdd { relu: true }]);
        let (stages, _) = stages(&program(&steps, &[2], &[]), |arg| arg == ONE);
        assert_eq!(stages[0].args, [X, ONE, Y], "the factor with all elements comes first");
        // The sum is asked for too, then the product.
        assert_eq!(
            found(&program(&steps, &[2, 1], &[])).0,
            [Kernel::MultiplyAdd { relu: false }, Kernel::Step(Action::Relu)]
        );
        assert_eq!(
            found(&program(&steps, &[2, 0], &[])).0,
            [Kernel::Step(MUL), Kernel::Step(ADD), Kernel::Step(Action::Relu)]
        );
    }

    #[test]
    fn sums_take_products_as_they_are() {
        let none: Vec<Kernel> = Vec::new();
        let product: [(Action, &[Arg]); 1] = [(MUL, &[X, Y])];
        assert_eq!(found(&program(&product, &[], &[Arg::Step(0)])), (none, vec![Term::Product(X, Y)]));
        // What is written down, or the same number everywhere, is added as it is.
        assert_eq!(found(&program(&product, &[0], &[Arg::Step(0)])).1, [Term::Value(Arg::Step(0))]);
        let scaled: [(Action, &[Arg]); 1] = [(MUL, &[X, ONE])];
        assert_eq!(found(&program(&scaled, &[], &[Arg::Step(0)])).1, [Term::Value(Arg::Step(0))]);
    }

    #[test]
    fn both_halves_of_a_box_are_one_stage() {
        let steps: [(Action, &[Arg]); 2] = [(Action::ReluCenter, &[X, Y]), (Action::ReluRadius, &[X, Y])];
        assert_eq!(found(&program(&steps, &[0, 1], &[])).0, [Kernel::ReluBox]);
        let steps: [(Action, &[Arg]); 2] = [(Action::ReluCenter, &[X, Y]), (Action::ReluRadius, &[Y, X])];
        assert_eq!(found(&program(&steps, &[0, 1], &[])).0.len(), 2, "of two boxes");
    }

    #[test]
    fn adam_updates_states_that_nobody_reads_later() {
        let [p, m, v, rate, root] = [3, 4, 5, 2, 2].map(Arg::Operand);
        let step = Arg::Step;
        let adam: [(Action, &[Arg]); 5] = [
            (Action::AddScaled { factor: 0.1 }, &[X, p]),
            (Action::Mix { kept: 0.9, added: 0.1 }, &[m, step(0)]),
            (Action::MixSquare { kept: 0.99, added: 0.01 }, &[v, step(0)]),
            (Action::AdamStep { epsilon: 1e-8 }, &[p, step(1), step(2), rate, root]),
            (ADD, &[p, Y]),
        ];
        let with_states = |steps: &[(Action, &[Arg])], writes: &[usize], gathers: &[Arg]| {
            let mut program = program(steps, writes, gathers);
            let old = |o| Operand { source: Source::Old(o), spread: Spread { inner: 1, len: 100 }, first: 0, lanes: 1 };
            program.operands.extend([0, 1, 2].map(old));
            found(&program).0.len()
        };
        assert_eq!(with_states(&adam[..4], &[3, 1, 2], &[]), 1);
        assert_eq!(with_states(&adam, &[3, 1, 2, 4], &[]), 5, "p is read after the step");
        assert_eq!(with_states(&adam[..4], &[3, 1, 2], &[p]), 1, "p is reduced before the step");
        let reduced = [adam[0], adam[1], adam[2], adam[3], (SQUARE, &[Y]), (MUL, &[p, step(4)])];
        assert_eq!(with_states(&reduced, &[3, 1, 2], &[step(5)]), 5, "p is reduced at the end of a block");
        assert_eq!(with_states(&adam[..4], &[1, 3, 2], &[]), 4, "the outputs are not those states");
        let cut = (Action::Cut { least: 0.0, greatest: 1.0 }, &[step(3)][..]);
        let projected = [adam[0], adam[1], adam[2], adam[3], cut];
        assert_eq!(with_states(&projected, &[4, 1, 2], &[]), 1, "cut on the way");
        assert_eq!(with_states(&projected, &[4, 1, 2, 3], &[]), 5, "what is cut is asked for too");
    }

    #[test]
    fn a_kept_output_is_not_read() {
        let old = Arg::Operand(3);
        let stage = |steps: &[(Action, &[Arg])], writes: &[usize], gathers: &[Arg]| {
            let mut program = program(steps, writes, gathers);
            let spread = Spread { inner: 1, len: 100 };
            program.operands.push(Operand { source: Source::Old(0), spread, first: 0, lanes: 1 });
            found(&program).0[0]
        };
        let select: [(Action, &[Arg]); 1] = [(Action::Select, &[ONE, X, old])];
        assert_eq!(stage(&select, &[0], &[]), Kernel::Replace { unless: false });
        assert_eq!(stage(&[(Action::Select, &[ONE, old, X])], &[0], &[]), Kernel::Replace { unless: true });
        let plain = Kernel::Step(Action::Select);
        assert_eq!(stage(&[(Action::Select, &[Y, X, old])], &[0], &[]), plain, "element by element");
        assert_eq!(stage(&[(Action::Select, &[ONE, X, Y])], &[0], &[]), plain, "of two others");
        assert_eq!(stage(&select, &[0], &[old]), plain, "reduced as it was");
        let read: [(Action, &[Arg]); 2] = [select[0], (ADD, &[X, old])];
        assert_eq!(stage(&read, &[0, 1], &[]), plain, "read as it was");
        let read: [(Action, &[Arg]); 2] = [select[0], (ADD, &[X, Arg::Step(0)])];
        assert_eq!(stage(&read, &[0, 1], &[]), plain, "read as it is");
    }
}
