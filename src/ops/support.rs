//! What several ops need: operand checks and how an operand is spread over a larger shape.

use crate::error::{Error, Result};
use crate::graph::{Graph, Value};
use crate::shape::{DType, Shape, TensorType};

/// An operand of fewer elements spread over an output: element `i` of the output reads element
/// `(i / inner) % len` of the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Output elements that share one operand element in a row.
    pub(crate) inner: usize,
    /// Elements of the operand.
    pub(crate) len: usize,
}

impl Spread {
    /// How `operand` is spread over `output`: it has the output's extents on one contiguous run of axes and 1 elsewhere,
    /// or one element in all. Callers reshape (which is free) to say which axes are meant.
    pub(crate) fn over(op: &'static str, operand: &Shape, output: &Shape) -> Result<Spread> {
        let len = operand.elements();
        if operand == output || len == 1 {
            return Ok(Spread { inner: 1, len });
        }
        let fail = || Error::shape(op, format!("{output}, or extents 1 outside one run of axes"), operand.to_string());
        if operand.rank() != output.rank() {
            return Err(fail());
        }
        let axes: Vec<usize> = (0..output.rank()).filter(|&a| operand[a] != 1).collect();
        let (first, last) = (axes[0], axes[axes.len() - 1]);
        if (first..=last).any(|a| operand[a] != output[a]) {
            return Err(fail());
        }
        Ok(Spread { inner: output.dims()[last + 1..].iter().product(), len })
    }

    /// Whether the operand covers an output of `elements` one to one.
    pub(crate) fn is_full(&self, elements: usize) -> bool {
        self.inner == 1 && self.len == elements
    }
}

/// The shape that both operands are spread over: the one with more elements (the first, if equal).
pub(crate) fn wider<'a>(a: &'a Shape, b: &'a Shape) -> &'a Shape {
    if b.elements() > a.elements() || (b.elements() == a.elements() && b.rank() > a.rank()) { b } else { a }
}

/// Checks the number of inputs and their element types.
pub(crate) fn expect_types(op: &'static str, inputs: &[TensorType], types: &[DType]) -> Result<()> {
    let got: Vec<DType> = inputs.iter().map(|t| t.dtype).collect();
    if got != types {
        return Err(Error::shape(op, format!("inputs {types:?}"), format!("{got:?}")));
    }
    Ok(())
}

/// Checks that two shapes are the same.
pub(crate) fn expect_same(op: &'static str, expected: &Shape, got: &Shape) -> Result<()> {
    if expected != got {
        return Err(Error::shape(op, expected.to_string(), got.to_string()));
    }
    Ok(())
}

/// Sums `grad`, of the output's shape, back onto an operand that was spread over it.
pub(crate) fn unspread(graph: &mut Graph, grad: Value, operand: &Shape) -> Result<Value> {
    let output = graph.shape(grad).clone();
    let spread = Spread::over("unspread", operand, &output)?;
    if spread.is_full(output.elements()) {
        return if *operand == output { Ok(grad) } else { graph.reshape(grad, operand.clone()) };
    }
    let outer = output.elements() / (spread.inner * spread.len);
    let view = graph.reshape(grad, [outer, spread.len, spread.inner])?;
    let sum = super::reduce(graph, super::ReduceKind::Sum, view)?;
    graph.reshape(sum, operand.clone())
}
