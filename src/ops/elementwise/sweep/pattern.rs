//! Whether a program does what a map does.

use super::super::program::{Action, Arg, Program, Source};
use super::algebra::Algebra;
use super::maps::Map;
use crate::ops::{BinaryKind, ReduceKind, UnaryKind};

/// Which operands and outputs of a program are those of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Match<const E: usize, const F: usize, const R: usize, const T: usize> {
    /// Operands.
    pub(super) each: [usize; E],
    pub(super) factors: [usize; F],
    /// Outputs.
    pub(super) results: [usize; R],
    pub(super) sums: [usize; T],
}

/// A value of a map.
#[derive(Clone, Debug)]
enum Symbol {
    Each,
    Factor,
    Step(Action, Vec<usize>),
}

/// What a map does, written down.
#[derive(Default)]
struct Symbols(Vec<Symbol>);

impl Symbols {
    fn push(&mut self, symbol: Symbol) -> usize {
        self.0.push(symbol);
        self.0.len() - 1
    }

    fn step(&mut self, action: Action, args: &[usize]) -> usize {
        self.push(Symbol::Step(action, args.to_vec()))
    }
}

impl Algebra for Symbols {
    type Value = usize;

    unsafe fn add(&mut self, a: usize, b: usize) -> usize {
        self.step(Action::Binary(BinaryKind::Add), &[a, b])
    }
    unsafe fn sub(&mut self, a: usize, b: usize) -> usize {
        self.step(Action::Binary(BinaryKind::Sub), &[a, b])
    }
    unsafe fn mul(&mut self, a: usize, b: usize) -> usize {
        self.step(Action::Binary(BinaryKind::Mul), &[a, b])
    }
    unsafe fn affine(&mut self, scale: f32, shift: f32, a: usize) -> usize {
        self.step(Action::Unary(UnaryKind::Affine { scale, shift }), &[a])
    }
    unsafe fn square(&mut self, a: usize) -> usize {
        self.step(Action::Unary(UnaryKind::Square), &[a])
    }
    unsafe fn abs(&mut self, a: usize) -> usize {
        self.step(Action::Unary(UnaryKind::Abs), &[a])
    }
    unsafe fn relu(&mut self, a: usize) -> usize {
        self.step(Action::Relu, &[a])
    }
    unsafe fn relu_box(&mut self, of: [usize; 2]) -> [usize; 2] {
        [Action::ReluCenter, Action::ReluRadius].map(|action| self.step(action, &of))
    }
    unsafe fn slope_box(&mut self, of: [usize; 2], grads: [usize; 2]) -> [usize; 2] {
        let args = [of, grads].concat();
        [Action::SlopeCenter, Action::SlopeRadius].map(|action| self.step(action, &args))
    }
}

/// Finds the operands and outputs of map `M` in `program`, if it does that and nothing else, and updates nothing in place.
pub(super) fn find<M: Map<E, F, R, T>, const E: usize, const F: usize, const R: usize, const T: usize>(
    program: &Program,
) -> Option<Match<E, F, R, T>> {
    let mut symbols = Symbols::default();
    let each: [usize; E] = std::array::from_fn(|_| symbols.push(Symbol::Each));
    let factors: [usize; F] = std::array::from_fn(|_| symbols.push(Symbol::Factor));
    // SAFETY: symbols need nothing.
    let (results, sums) = unsafe { M::apply(&mut symbols, each, factors) };
    (results.len() == program.writes.len() && sums.len() == program.gathers.len()).then_some(())?;
    let mut finder = Finder { symbols: &symbols.0, program, bound: vec![None; symbols.0.len()] };
    let writes: Vec<(Arg, usize)> = program.writes.clone();
    let results = finder.each_of(&results, &writes)?;
    let gathers: Vec<(Arg, usize)> = program.gathers.iter().map(|gather| (gather.value, gather.output)).collect();
    let sums = finder.each_of(&sums, &gathers)?;
    let steps = finder.bound.iter().filter(|bound| matches!(bound, Some(Arg::Step(_)))).count();
    let whole = steps == program.steps.len() && program.gathers.iter().all(|gather| gather.kind == ReduceKind::Sum);
    whole.then_some(())?;
    let operand = |symbol: usize| match finder.bound[symbol] {
        Some(Arg::Operand(o)) => Some(o),
        _ => None,
    };
    let (mut bound_each, mut bound_factors) = ([0; E], [0; F]);
    for (bound, symbol) in bound_each.iter_mut().zip(each).chain(bound_factors.iter_mut().zip(factors)) {
        *bound = operand(symbol)?;
    }
    Some(Match { each: bound_each, factors: bound_factors, results, sums })
}

struct Finder<'a> {
    symbols: &'a [Symbol],
    program: &'a Program,
    /// What of the program each symbol stands for, as far as that is known.
    bound: Vec<Option<Arg>>,
}

impl Finder<'_> {
    /// For each symbol of `of` one of `made`, which are values and the outputs that they go to: the outputs.
    fn each_of<const N: usize>(&mut self, of: &[usize; N], made: &[(Arg, usize)]) -> Option<[usize; N]> {
        let mut outputs = [0; N];
        let mut left: Vec<(Arg, usize)> = made.to_vec();
        for (output, &symbol) in outputs.iter_mut().zip(of) {
            let place = left.iter().position(|&(arg, _)| self.unify(symbol, arg))?;
            *output = left.remove(place).1;
        }
        Some(outputs)
    }

    /// Whether `symbol` can stand for `arg`; if so, it does from now on.
    fn unify(&mut self, symbol: usize, arg: Arg) -> bool {
        if let Some(bound) = self.bound[symbol] {
            return bound == arg;
        }
        let before = self.bound.clone();
        let fits = match (&self.symbols[symbol], arg) {
            (Symbol::Each, Arg::Operand(o)) => {
                let operand = &self.program.operands[o];
                operand.is_full(self.program.elements) && matches!(operand.source, Source::Input(_))
            }
            (Symbol::Factor, Arg::Operand(o)) => {
                let operand = &self.program.operands[o];
                !operand.is_full(self.program.elements) && matches!(operand.source, Source::Input(_))
            }
            (Symbol::Step(action, args), Arg::Step(s)) if self.program.steps[s].action == *action => {
                self.unify_all(args, s, action)
            }
            _ => false,
        };
        if fits {
            self.bound[symbol] = Some(arg);
        } else {
            self.bound = before;
        }
        fits
    }

    /// The arguments of a step, of sums and products in either order.
    fn unify_all(&mut self, symbols: &[usize], step: usize, action: &Action) -> bool {
        let args = &self.program.steps[step].args;
        let before = self.bound.clone();
        if symbols.iter().zip(args).all(|(&symbol, &arg)| self.unify(symbol, arg)) {
            return true;
        }
        self.bound = before;
        let commutes = matches!(action, Action::Binary(BinaryKind::Add | BinaryKind::Mul));
        commutes && symbols.iter().zip(args.iter().rev()).all(|(&symbol, &arg)| self.unify(symbol, arg))
    }
}

#[cfg(test)]
mod tests {
    use super::super::maps::Map;
    use super::*;
    use crate::ops::elementwise::program::{Gather, Operand, Step};
    use crate::ops::support::Spread;

    const ELEMENTS: usize = 1000;

    /// max(s · x + t, 0) and Σ s · x.
    struct Example;

    impl Map<1, 2, 1, 1> for Example {
        unsafe fn apply<A: Algebra>(
            a: &mut A,
            [x]: [A::Value; 1],
            [s, t]: [A::Value; 2],
        ) -> ([A::Value; 1], [A::Value; 1]) {
            // SAFETY: the caller's duty.
            unsafe {
                let scaled = a.mul(x, s);
                let moved = a.add(scaled, t);
                ([a.relu(moved)], [scaled])
            }
        }
    }

    /// The example as a pass over operands `x`, `s` and `t`.
    fn program([x, s, t]: [usize; 3]) -> Program {
        let of = |o: usize, len| Operand {
            source: Source::Input(o),
            spread: Spread { inner: ELEMENTS / len, len },
            first: 0,
            lanes: 1,
        };
        let mut operands = vec![of(0, 5); 3];
        operands[x] = Operand { spread: Spread { inner: 1, len: ELEMENTS }, ..of(x, 5) };
        (operands[s], operands[t]) = (of(s, 5), of(t, 5));
        let [x, s, t] = [x, s, t].map(Arg::Operand);
        let step = |action, args: &[Arg]| Step { action, args: args.to_vec() };
        Program {
            elements: ELEMENTS,
            operands,
            steps: vec![
                step(Action::Binary(BinaryKind::Mul), &[x, s]),
                step(Action::Binary(BinaryKind::Add), &[Arg::Step(0), t]),
                step(Action::Relu, &[Arg::Step(1)]),
            ],
            writes: vec![(Arg::Step(2), 1)],
            gathers: vec![Gather { value: Arg::Step(0), kind: ReduceKind::Sum, output: 0, part: 0 }],
            view: Some([1, 5, ELEMENTS / 5]),
            lanes: 1,
        }
    }

    fn found(program: &Program) -> Option<Match<1, 2, 1, 1>> {
        find::<Example, 1, 2, 1, 1>(program)
    }

    #[test]
    fn operands_and_outputs_are_found_wherever_they_are() {
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let [x, s, t] = order;
            let want = Match { each: [x], factors: [s, t], results: [1], sums: [0] };
            let mut program = program(order);
            assert_eq!(found(&program), Some(want.clone()));
            // Products and sums in the other order.
            program.steps[0].args.reverse();
            program.steps[1].args.reverse();
            assert_eq!(found(&program), Some(want));
        }
    }

    #[test]
    fn nothing_else_is_taken_for_it() {
        let refused = |change: fn(&mut Program)| {
            let mut program = program([0, 1, 2]);
            change(&mut program);
            found(&program).is_none()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|p| p.steps[1].action = Action::Binary(BinaryKind::Sub)), "another operation");
        assert!(refused(|p| p.steps[1].args = vec![Arg::Operand(2), Arg::Operand(1)]), "other arguments");
        assert!(refused(|p| p.steps[1].args[1] = Arg::Operand(0)), "a full operand as a factor");
        assert!(refused(|p| p.steps[0].args = vec![Arg::Operand(1); 2]), "a factor as a full operand");
        assert!(refused(|p| p.writes[0].0 = Arg::Step(1)), "another result");
        assert!(refused(|p| p.gathers[0].value = Arg::Step(1)), "another sum");
        assert!(refused(|p| p.gathers[0].kind = ReduceKind::Max), "another reduction");
        assert!(refused(|p| p.writes.push((Arg::Step(0), 2))), "one more result");
        assert!(refused(|p| p.gathers.push(p.gathers[0])), "one more sum");
        assert!(refused(|p| p.operands[0].source = Source::Old(1)), "an update in place");
        let step = Step { action: Action::Relu, args: vec![Arg::Operand(0)] };
        let mut more = program([0, 1, 2]);
        more.steps.push(step);
        assert!(found(&more).is_none(), "one more step");
    }

    #[test]
    fn an_operand_stays_what_it_was_taken_for() {
        // x · s + s: the second factor may be the first one again, but x · y + s has none.
        let mut program = program([0, 1, 2]);
        program.steps[1].args[1] = Arg::Operand(1);
        assert_eq!(found(&program).map(|found| found.factors), Some([1, 1]));
        program.operands[1].spread = Spread { inner: 1, len: ELEMENTS };
        assert_eq!(found(&program), None);
    }
}
