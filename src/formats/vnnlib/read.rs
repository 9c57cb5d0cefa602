//! Reading them.

use std::path::Path;

use super::decimal::Decimal;
use super::expression::Expression;
use crate::error::{Error, Result};
use crate::formats::packed;

/// What a file asks: whether there are inputs X and outputs Y of the network with which some case is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Number of inputs that are declared: X_0, X_1, …
    pub inputs: usize,
    /// Number of outputs: Y_0, Y_1, …
    pub outputs: usize,
    /// The cases.
    pub cases: Vec<Case>,
}

/// What is to be true all at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Least value of each input; `None` where none is given.
    pub lower: Vec<Option<Decimal>>,
    /// Greatest value of each input.
    pub upper: Vec<Option<Decimal>>,
    /// About the outputs.
    pub inequalities: Vec<Inequality>,
}

/// Σ factor · Y ≤ bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Inequality {
    /// (output, factor), each output once.
    pub terms: Vec<(usize, Decimal)>,
    /// Right-hand side.
    pub bound: Decimal,
}

/// A file may be this long, unpacked.
const LARGEST_BYTES: u64 = 1 << 28;
/// Bounds and inequalities of all cases together that a file's assertions may multiply to: some 200 MiB.
const MOST_BOUNDS: usize = 1 << 22;
/// What a case counts besides its inputs.
const CASE: usize = 64;

/// A line and what is wrong there.
type Wrong = (usize, String);

impl Query {
    /// Of a file, gzip'd or not.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file, the line and what was expected there; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Query> {
        let bytes = packed::read(path, LARGEST_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::data(path, "not a text: expected a VNN-LIB file"))?;
        Query::parse(&text).map_err(|message| Error::data(path, message))
    }

    /// Of a text.
    ///
    /// # Errors
    /// In words, with the line.
    pub fn parse(text: &str) -> std::result::Result<Query, String> {
        parse(text).map_err(|(line, message)| match line {
            0 => message,
            line => format!("line {line}: {message}").replace(char::is_control, " "),
        })
    }
}

fn parse(text: &str) -> std::result::Result<Query, Wrong> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut assertions = Vec::new();
    for expression in Expression::parse(text)? {
        let line = expression.line();
        let Expression::List(list, _) = expression else {
            return Err((line, "a word outside of brackets: expected (declare-const …) or (assert …)".into()));
        };
        match &list[..] {
            [Expression::Word("declare-const", _), Expression::Word(name, _), Expression::Word("Real", _)] => {
                match variable(name) {
                    Some(Variable::Input(i)) => inputs.push(i),
                    Some(Variable::Output(k)) => outputs.push(k),
                    None => return Err((line, format!("a constant {name}: expected X_0, X_1, … and Y_0, Y_1, …"))),
                }
            }
            [Expression::Word("assert", _), _] => assertions.extend(list.into_iter().nth(1)),
            _ => return Err((line, "expected (declare-const NAME Real) or (assert FORMULA)".into())),
        }
    }
    for (letter, mut numbers) in [("X", inputs.clone()), ("Y", outputs.clone())] {
        numbers.sort_unstable();
        if numbers.is_empty() || numbers.iter().enumerate().any(|(at, &n)| at != n) {
            return Err((0, format!("{letter}_0 to {letter}_n: expected each to be declared once, from 0 on")));
        }
    }
    let size = Size { inputs: inputs.len(), outputs: outputs.len() };
    let mut cases = vec![size.empty()];
    for assertion in &assertions {
        cases = size.both(cases, assertion)?;
    }
    // A case of bounds that exclude each other has no point.
    cases.retain(|case| {
        case.lower.iter().zip(&case.upper).all(|ends| match ends {
            (Some(lower), Some(upper)) => lower.below() <= upper.above(),
            _ => true,
        })
    });
    Ok(Query { inputs: size.inputs, outputs: size.outputs, cases })
}

enum Variable {
    Input(usize),
    Output(usize),
}

fn variable(name: &str) -> Option<Variable> {
    let number = |text: &str| text.parse().ok().filter(|n: &usize| n.to_string() == text);
    match name.split_once('_')? {
        ("X", rest) => number(rest).map(Variable::Input),
        ("Y", rest) => number(rest).map(Variable::Output),
        _ => None,
    }
}

/// A linear function of the variables.
#[derive(Clone, Debug, Default)]
struct Linear {
    inputs: Vec<(usize, Decimal)>,
    outputs: Vec<(usize, Decimal)>,
    constant: Option<Decimal>,
}

/// Numbers of variables.
#[derive(Clone, Copy)]
struct Size {
    inputs: usize,
    outputs: usize,
}

impl Size {
    fn empty(self) -> Case {
        Case { lower: vec![None; self.inputs], upper: vec![None; self.inputs], inequalities: Vec::new() }
    }

    /// The cases in which one of `cases` and `formula` is true.
    fn both(self, mut cases: Vec<Case>, formula: &Expression<'_>) -> std::result::Result<Vec<Case>, Wrong> {
        let line = formula.line();
        let Expression::List(list, _) = formula else {
            return Err((line, "expected a formula in brackets".into()));
        };
        match &list[..] {
            [Expression::Word("and", _), parts @ ..] => {
                for part in parts {
                    cases = self.both(cases, part)?;
                }
                Ok(cases)
            }
            [Expression::Word("or", _), parts @ ..] => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(self.both(cases.clone(), part)?);
                    if all.len() * (self.inputs + CASE) > MOST_BOUNDS {
                        let (cases, inputs) = (all.len(), self.inputs);
                        return Err((line, format!("{cases} cases of {inputs} inputs: more than are taken")));
                    }
                }
                Ok(all)
            }
            [Expression::Word(relation @ ("<=" | ">="), _), left, right] => {
                let (less, more) = if *relation == "<=" { (left, right) } else { (right, left) };
                let (less, more) = (self.linear(less)?, self.linear(more)?);
                for case in &mut cases {
                    self.add(case, &less, &more, line)?;
                }
                Ok(cases)
            }
            [Expression::Word(word, _), ..] => {
                Err((line, format!("({word} …): expected and, or, <= or >= with two sides")))
            }
            _ => Err((line, "expected and, or, <= or >=".into())),
        }
    }

    /// Adds less ≤ more to a case.
    fn add(self, case: &mut Case, less: &Linear, more: &Linear, line: usize) -> std::result::Result<(), Wrong> {
        let constant = match (less.constant, more.constant) {
            (None, None) => Decimal::ZERO,
            (None, Some(c)) => c,
            (Some(c), None) => c.negative(),
            (Some(_), Some(_)) => return Err((line, "constants on both sides: expected one".into())),
        };
        match (&less.inputs[..], &more.inputs[..], less.outputs.is_empty() && more.outputs.is_empty()) {
            ([], [], _) => {}
            ([(i, one)], [], true) if *one == Decimal::ONE => {
                let known = &mut case.upper[*i];
                if known.is_none_or(|k| constant.value < k.value) {
                    *known = Some(constant);
                }
                return Ok(());
            }
            ([], [(i, one)], true) if *one == Decimal::ONE => {
                // constant is the right side's: less ≤ X + c.
                let bound = constant.negative();
                let known = &mut case.lower[*i];
                if known.is_none_or(|k| bound.value > k.value) {
                    *known = Some(bound);
                }
                return Ok(());
            }
            _ => {
                return Err((
                    line,
                    "expected a number as the bound of one input, or an inequality of outputs alone".into(),
                ));
            }
        }
        let mut terms = less.outputs.clone();
        for &(k, factor) in &more.outputs {
            if terms.iter().any(|(known, _)| *known == k) {
                return Err((line, format!("Y_{k} on both sides: expected once")));
            }
            terms.push((k, factor.negative()));
        }
        case.inequalities.push(Inequality { terms, bound: constant });
        Ok(())
    }

    /// A sum of numbers and of variables times numbers.
    fn linear(self, expression: &Expression<'_>) -> std::result::Result<Linear, Wrong> {
        let line = expression.line();
        match expression {
            Expression::Word(word, _) => match variable(word) {
                Some(Variable::Input(i)) if i < self.inputs => {
                    Ok(Linear { inputs: vec![(i, Decimal::ONE)], ..Linear::default() })
                }
                Some(Variable::Output(k)) if k < self.outputs => {
                    Ok(Linear { outputs: vec![(k, Decimal::ONE)], ..Linear::default() })
                }
                Some(_) => Err((line, format!("{word} is not declared"))),
                None => match Decimal::parse(word) {
                    Some(number) => Ok(Linear { constant: Some(number), ..Linear::default() }),
                    None => Err((line, format!("{word}: expected a number, X_i or Y_k"))),
                },
            },
            Expression::List(list, _) => match &list[..] {
                [Expression::Word("-", _), only] => Ok(self.linear(only)?.negative()),
                [Expression::Word("-", _), first, rest @ ..] => {
                    let mut sum = self.linear(first)?;
                    for part in rest {
                        sum = sum.plus(self.linear(part)?.negative()).map_err(|m| (line, m))?;
                    }
                    Ok(sum)
                }
                [Expression::Word("+", _), parts @ ..] if !parts.is_empty() => {
                    let mut sum = Linear::default();
                    for part in parts {
                        sum = sum.plus(self.linear(part)?).map_err(|m| (line, m))?;
                    }
                    Ok(sum)
                }
                [Expression::Word("*", _), a, b] => {
                    let (a, b) = (self.linear(a)?, self.linear(b)?);
                    let (factor, mut variable) = if a.is_constant() { (a, b) } else { (b, a) };
                    let one = |terms: &[(usize, Decimal)]| matches!(terms, [] | [(_, Decimal::ONE)]);
                    let plain = variable.constant.is_none() && one(&variable.inputs) && one(&variable.outputs);
                    let Some(number) = factor.constant.filter(|_| factor.is_constant() && plain) else {
                        return Err((line, "expected a number times X_i or Y_k".into()));
                    };
                    for (_, times) in variable.inputs.iter_mut().chain(&mut variable.outputs) {
                        *times = number;
                    }
                    Ok(variable)
                }
                _ => Err((line, "expected a number, X_i, Y_k, or a sum of them with + - *".into())),
            },
        }
    }
}

impl Linear {
    fn is_constant(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }

    fn negative(mut self) -> Linear {
        for (_, factor) in self.inputs.iter_mut().chain(&mut self.outputs) {
            *factor = factor.negative();
        }
        self.constant = self.constant.map(Decimal::negative);
        self
    }

    fn plus(mut self, other: Linear) -> std::result::Result<Linear, String> {
        let twice =
            |a: &[(usize, Decimal)], b: &[(usize, Decimal)]| a.iter().any(|(n, _)| b.iter().any(|(m, _)| n == m));
        if twice(&self.inputs, &other.inputs) || twice(&self.outputs, &other.outputs) {
            return Err("a variable twice in a sum: expected once".into());
        }
        if self.constant.is_some() && other.constant.is_some() {
            return Err("two numbers in a sum: expected one".into());
        }
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.constant = self.constant.or(other.constant);
        Ok(self)
    }
}
