//! Numbers that are known when a file is read.

use super::wrong;
use crate::certify::network::rounded::Rounded;
use crate::error::Result;
use crate::formats::onnx::{Array, Elements};

/// A dense row-major array.
#[derive(Debug)]
pub(super) struct Constant {
    /// Extents; none for a scalar.
    pub(super) dims: Vec<usize>,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// Values, and their error bounds unless all are 0.
    Reals(Vec<f64>, Vec<f64>),
    Integers(Vec<i64>),
}

impl Constant {
    /// The numbers of the file.
    pub(super) fn exact(array: Array) -> Constant {
        let numbers = match array.elements {
            Elements::Reals(values) => Numbers::Reals(values, Vec::new()),
            Elements::Integers(values) => Numbers::Integers(values),
        };
        Constant { dims: array.dims, numbers }
    }

    pub(super) fn reals(dims: Vec<usize>, numbers: impl Iterator<Item = Rounded>) -> Constant {
        let (values, errors): (Vec<f64>, Vec<f64>) = numbers.map(|n| (n.value, n.error)).unzip();
        let errors = if errors.iter().all(|&e| e == 0.0) { Vec::new() } else { errors };
        Constant { dims, numbers: Numbers::Reals(values, errors) }
    }

    /// A vector of whole numbers.
    pub(super) fn vector(values: Vec<i64>) -> Constant {
        Constant { dims: vec![values.len()], numbers: Numbers::Integers(values) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Reals(values, _) => values.len(),
            Numbers::Integers(values) => values.len(),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.numbers, Numbers::Integers(_))
    }

    /// Element `index`.
    pub(super) fn real(&self, index: usize) -> Rounded {
        match &self.numbers {
            Numbers::Reals(values, errors) => {
                Rounded { value: values[index], error: errors.get(index).copied().unwrap_or(0.0) }
            }
            Numbers::Integers(values) => Rounded::exact(values[index] as f64),
        }
    }

    /// The whole numbers.
    pub(super) fn integers(&self) -> Result<&[i64]> {
        match &self.numbers {
            Numbers::Integers(values) => Ok(values),
            Numbers::Reals(..) => wrong("real numbers as extents or indices: expected whole ones"),
        }
    }

    /// Refuses whole numbers where arithmetic is done.
    pub(super) fn expect_reals(&self) -> Result<()> {
        if self.is_whole() { wrong("an operand of whole numbers: expected real ones") } else { Ok(()) }
    }

    /// Elements `order` of this one, in extents `dims`.
    pub(super) fn gathered(&self, dims: Vec<usize>, order: impl Iterator<Item = usize>) -> Constant {
        match &self.numbers {
            Numbers::Reals(..) => Constant::reals(dims, order.map(|i| self.real(i))),
            Numbers::Integers(values) => {
                Constant { dims, numbers: Numbers::Integers(order.map(|i| values[i]).collect()) }
            }
        }
    }

    /// Real numbers as whole ones towards zero, or the other way round.
    pub(super) fn cast(&self, whole: bool) -> Constant {
        let numbers = match (&self.numbers, whole) {
            (Numbers::Reals(values, _), true) => Numbers::Integers(values.iter().map(|&v| v as i64).collect()),
            (Numbers::Integers(values), true) => Numbers::Integers(values.clone()),
            (Numbers::Integers(values), false) => {
                Numbers::Reals(values.iter().map(|&v| v as f64).collect(), Vec::new())
            }
            (Numbers::Reals(values, errors), false) => Numbers::Reals(values.clone(), errors.clone()),
        };
        Constant { dims: self.dims.clone(), numbers }
    }
}

/// Extents that two operands spread to, as NumPy has it.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let of = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let axis = |axis| match (of(a, axis), of(b, axis)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        _ => wrong(format!("operands of extents {a:?} and {b:?}: expected ones that spread over each other")),
    };
    (0..rank).map(axis).collect()
}

/// Index within an operand of extents `dims` of each element of what it is spread to, extents `to`.
pub(super) fn spread_indices(dims: &[usize], to: &[usize]) -> Vec<usize> {
    // Step of each axis of the result within the operand.
    let mut steps = vec![0; to.len()];
    let mut step = 1;
    for (i, &extent) in dims.iter().enumerate().rev() {
        steps[i + to.len() - dims.len()] = if extent == 1 { 0 } else { step };
        step *= extent;
    }
    strided(to, &steps)
}

/// Σ index · step over the axes, for each index of `dims`, the last running fastest.
pub(super) fn strided(dims: &[usize], steps: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0];
    for (&extent, &step) in dims.iter().zip(steps) {
        offsets = offsets.iter().flat_map(|offset| (0..extent).map(move |i| offset + i * step)).collect();
    }
    offsets
}
