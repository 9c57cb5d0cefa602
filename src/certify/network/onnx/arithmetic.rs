//! Sums and products element by element, and batch norms.

use std::rc::Rc;

use super::call::Call;
use super::constant::{Constant, broadcast, spread_indices};
use super::value::{Symbol, Value, checked};
use super::wrong;
use crate::certify::network::diagonal::Diagonal;
use crate::certify::network::rounded::Rounded;
use crate::error::Result;

/// What scale and shift do to a value, from the constant's element.
fn map(operator: &str, value_first: bool, c: Rounded) -> Option<(Rounded, Rounded)> {
    let [zero, one] = [0.0, 1.0].map(|v: f64| Rounded::exact(v));
    Some(match (operator, value_first) {
        ("Add", _) => (one, c),
        ("Sub", true) => (one, -c),
        ("Sub", false) => (-one, c),
        ("Mul", _) => (c, zero),
        ("Div", true) => (one / c, zero),
        _ => return None,
    })
}

fn of_numbers(operator: &str, a: Rounded, b: Rounded) -> Rounded {
    match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        _ => a / b,
    }
}

impl Call<'_> {
    /// Add, Sub, Mul, Div, Neg.
    pub(super) fn arithmetic(&mut self) -> Result<Symbol> {
        self.only(&[])?;
        let operator = self.node.operator.as_str();
        if operator == "Neg" {
            return match self.operand(0)? {
                Symbol::Constant(c) => {
                    c.expect_reals()?;
                    Ok(Symbol::Constant(Rc::new(Constant::reals(c.dims.clone(), (0..c.len()).map(|i| -c.real(i))))))
                }
                Symbol::Value(value) => Ok(Symbol::Value(self.negative(value)?)),
            };
        }
        match (self.operand(0)?, self.operand(1)?) {
            (Symbol::Constant(a), Symbol::Constant(b)) => {
                a.expect_reals()?;
                b.expect_reals()?;
                let dims = broadcast(&a.dims, &b.dims)?;
                checked(&dims)?;
                let indices = spread_indices(&a.dims, &dims).into_iter().zip(spread_indices(&b.dims, &dims));
                let numbers = indices.map(|(i, j)| of_numbers(operator, a.real(i), b.real(j)));
                Ok(Symbol::Constant(Rc::new(Constant::reals(dims, numbers))))
            }
            (Symbol::Value(value), Symbol::Constant(constant)) => self.with_constant(value, &constant, true),
            (Symbol::Constant(constant), Symbol::Value(value)) => self.with_constant(value, &constant, false),
            (Symbol::Value(a), Symbol::Value(b)) => {
                a.without_padding()?;
                b.without_padding()?;
                let dims = broadcast(&a.dims, &b.dims)?;
                let b = match operator {
                    "Add" => b,
                    "Sub" => self.negative(b)?,
                    _ => return wrong("both operands depend on the input: expected a constant one"),
                };
                Ok(Symbol::Value(self.builder.add(a, b, dims)?))
            }
        }
    }

    fn negative(&mut self, value: Value) -> Result<Value> {
        value.without_padding()?;
        let n = value.elements();
        let map = Diagonal { scale: vec![Rounded::exact(-1.0); n], shift: vec![Rounded::exact(0.0); n] };
        let dims = value.dims.clone();
        self.builder.diagonal(value, map, dims)
    }

    fn with_constant(&mut self, value: Value, constant: &Constant, value_first: bool) -> Result<Symbol> {
        value.without_padding()?;
        constant.expect_reals()?;
        let dims = broadcast(&value.dims, &constant.dims)?;
        if checked(&dims)? != value.elements() {
            let (from, by) = (&value.dims, &constant.dims);
            return wrong(format!("a value of extents {from:?} spread over {by:?}: expected a smaller constant"));
        }
        let operator = self.node.operator.as_str();
        let terms = spread_indices(&constant.dims, &dims);
        let terms = terms.into_iter().map(|i| map(operator, value_first, constant.real(i)));
        let Some((scale, shift)) = terms.collect::<Option<(Vec<Rounded>, Vec<Rounded>)>>() else {
            return wrong("a constant divided by what depends on the input: expected the other way round");
        };
        Ok(Symbol::Value(self.builder.diagonal(value, Diagonal { scale, shift }, dims)?))
    }

    /// BatchNormalization by running statistics.
    pub(super) fn batch_norm(&mut self) -> Result<Symbol> {
        self.only(&["epsilon", "momentum", "training_mode", "spatial", "is_test"])?;
        if self.integer("training_mode", 0)? != 0 {
            return wrong("training_mode is set: expected an exported file, which uses running statistics");
        }
        if self.integer("spatial", 1)? != 1 {
            return wrong("spatial is 0: expected statistics of each channel");
        }
        let epsilon = self.real("epsilon", 1e-5)?;
        let value = self.value(0)?;
        let Some(&channels) = value.dims.get(1) else {
            return wrong(format!("an operand of extents {:?}: expected [1,C,…]", value.dims));
        };
        let parts = [self.constant(1)?, self.constant(2)?, self.constant(3)?, self.constant(4)?];
        for part in &parts {
            part.expect_reals()?;
            if part.len() != channels {
                return wrong(format!("{} parameters: expected one for each of {channels} channels", part.len()));
            }
        }
        let of = |c: usize| [0, 1, 2, 3].map(|p| parts[p].real(c));
        let map = Diagonal::batch_norm((0..channels).map(of), epsilon);
        let plane: usize = value.dims[2..].iter().product();
        // One batch axis of extent n repeats the channels.
        let repeated = |all: &[Rounded]| (0..value.elements()).map(|i| all[i / plane % channels]).collect();
        let map = Diagonal { scale: repeated(&map.scale), shift: repeated(&map.shift) };
        let dims = value.dims.clone();
        Ok(Symbol::Value(self.builder.diagonal(value, map, dims)?))
    }
}
