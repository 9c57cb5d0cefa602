//! Products with constant matrices.

use super::call::Call;
use super::constant::{Constant, broadcast, spread_indices};
use super::value::{Base, Symbol, Value, checked, weights};
use super::wrong;
use crate::certify::network::Operation;
use crate::certify::network::rounded::Rounded;
use crate::error::Result;

impl Call<'_> {
    /// weight(g, f) · x + bias, f an element of x in the file's order; the result has the extents `dims`.
    pub(super) fn matrix(
        &mut self,
        mut x: Value,
        outputs: usize,
        weight: impl Fn(usize, usize) -> Rounded,
        bias: Vec<Rounded>,
        dims: Vec<usize>,
    ) -> Result<Value> {
        let features = x.elements();
        checked(&dims)?;
        let on = self.builder.node(&mut x)?;
        // File's element of each of the base's.
        let mut element: Vec<usize> = (0..features).collect();
        if x.order.is_some() {
            (0..features).for_each(|f| element[x.place(f)] = f);
        }
        let element = &element;
        let rows = (0..outputs).flat_map(|g| element.iter().map(move |&f| (g, f)));
        let weights = weights([outputs, features].into(), rows.map(|(g, f)| weight(g, f)), bias);
        let base = Base::Open { operation: Operation::Linear(weights.into()), on };
        Ok(Value { dims, order: None, padding: [0; 4], base })
    }

    /// α·A·B + β·C with a constant B.
    pub(super) fn gemm(&mut self) -> Result<Symbol> {
        self.only(&["alpha", "beta", "transA", "transB", "broadcast"])?;
        let [alpha, beta] = [("alpha", 1.0), ("beta", 1.0)].map(|(name, one)| self.real(name, one));
        let (alpha, beta) = (Rounded::exact(alpha?), Rounded::exact(beta?));
        let (left, right) = (self.integer("transA", 0)? != 0, self.integer("transB", 0)? != 0);
        let (x, b) = (self.value(0)?, self.constant(1)?);
        b.expect_reals()?;
        let (&[m, k], &[rows, columns]) = (&x.dims[..], &b.dims[..]) else {
            return wrong(format!("operands of extents {:?} and {:?}: expected matrices", x.dims, b.dims));
        };
        let (m, features) = if left { (k, m) } else { (m, k) };
        let (inner, outputs) = if right { (columns, rows) } else { (rows, columns) };
        if m != 1 || inner != features {
            return wrong(format!("{m} rows of {features} by a matrix for {inner}: expected one row that fits"));
        }
        let bias = if self.has(2) {
            let c = self.constant(2)?;
            c.expect_reals()?;
            let dims = [1, outputs];
            if broadcast(&c.dims, &dims)? != dims {
                return wrong(format!("a summand of extents {:?}: expected one that spreads over {dims:?}", c.dims));
            }
            spread_indices(&c.dims, &dims).into_iter().map(|i| beta * c.real(i)).collect()
        } else {
            vec![Rounded::exact(0.0); outputs]
        };
        let at = |g: usize, f: usize| alpha * b.real(if right { g * columns + f } else { f * columns + g });
        Ok(Symbol::Value(self.matrix(x, outputs, at, bias, vec![1, outputs])?))
    }

    /// The product of a value and a constant matrix, or the other way round, as NumPy has it.
    pub(super) fn matmul(&mut self) -> Result<Symbol> {
        self.only(&[])?;
        let made = match (self.operand(0)?, self.operand(1)?) {
            (Symbol::Value(x), Symbol::Constant(w)) => self.value_first(x, &w)?,
            (Symbol::Constant(w), Symbol::Value(x)) => self.matrix_first(&w, x)?,
            _ => return wrong("both operands constant, or neither: expected one that is"),
        };
        Ok(Symbol::Value(made))
    }

    /// x `[…,1,F]` or `[F]`, w `[F,G]` or `[F]`.
    fn value_first(&mut self, x: Value, w: &Constant) -> Result<Value> {
        x.without_padding()?;
        w.expect_reals()?;
        let Some((&features, before)) = x.dims.split_last() else {
            return wrong("a scalar operand: expected a vector");
        };
        let (inner, outputs, mut dims) = match w.dims[..] {
            [f] => (f, 1, before.to_vec()),
            [f, g] => (f, g, [before, &[g]].concat()),
            _ => return wrong(format!("a constant of extents {:?}: expected [F,G]", w.dims)),
        };
        if inner != features || before.iter().any(|&d| d != 1) {
            let got = &x.dims;
            return wrong(format!("an operand of extents {got:?}: expected one vector of {inner} elements"));
        }
        if dims.is_empty() {
            dims = vec![1];
        }
        let bias = vec![Rounded::exact(0.0); outputs];
        self.matrix(x, outputs, |g, f| w.real(f * outputs + g), bias, dims)
    }

    /// w `[G,F]` or `[F]`, x `[…,F,1]` or `[F]`.
    fn matrix_first(&mut self, w: &Constant, x: Value) -> Result<Value> {
        x.without_padding()?;
        w.expect_reals()?;
        let (before, features, column) = match x.dims[..] {
            [features] => (&[][..], features, false),
            [ref before @ .., features, 1] => (before, features, true),
            _ => (&[][..], 0, false),
        };
        let (inner, outputs, matrix) = match w.dims[..] {
            [f] => (f, 1, false),
            [g, f] => (f, g, true),
            _ => return wrong(format!("a constant of extents {:?}: expected [G,F]", w.dims)),
        };
        if inner != features || features == 0 || before.iter().any(|&d| d != 1) {
            let got = &x.dims;
            return wrong(format!("an operand of extents {got:?}: expected one column of {inner} elements"));
        }
        let mut dims = before.to_vec();
        dims.extend(matrix.then_some(outputs));
        dims.extend(column.then_some(1));
        if dims.is_empty() {
            dims = vec![1];
        }
        let bias = vec![Rounded::exact(0.0); outputs];
        self.matrix(x, outputs, |g, f| w.real(g * inner + f), bias, dims)
    }
}
