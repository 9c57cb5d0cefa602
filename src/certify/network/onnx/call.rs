//! One application of an operator: its operands, settings and result.

use std::collections::HashMap;
use std::rc::Rc;

use super::constant::Constant;
use super::value::{Builder, Symbol, Value};
use super::{OPERATORS, wrong};
use crate::error::Result;
use crate::formats::onnx::{Application, Attribute};

/// A node being read.
pub(super) struct Call<'a> {
    pub(super) node: &'a Application,
    symbols: &'a mut HashMap<String, Symbol>,
    uses: &'a HashMap<&'a str, usize>,
    pub(super) builder: &'a mut Builder,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        node: &'a Application,
        symbols: &'a mut HashMap<String, Symbol>,
        uses: &'a HashMap<&'a str, usize>,
        builder: &'a mut Builder,
    ) -> Call<'a> {
        Call { node, symbols, uses, builder }
    }

    /// What the node's first result is.
    pub(super) fn result(&mut self) -> Result<Symbol> {
        if let Some(second) = self.node.outputs.iter().skip(1).find(|name| self.uses.contains_key(name.as_str())) {
            return wrong(format!("its further result '{second}' is used: expected the first alone"));
        }
        match self.node.operator.as_str() {
            "Add" | "Sub" | "Mul" | "Div" | "Neg" => self.arithmetic(),
            "BatchNormalization" => self.batch_norm(),
            "Conv" => self.conv(),
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => self.average(),
            "Pad" => self.pad(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Relu" => self.relu(),
            "Constant" => self.constant_node(),
            "Shape" | "Gather" | "Slice" | "Concat" | "Cast" => self.of_constants(),
            "Flatten" | "Reshape" | "Squeeze" | "Transpose" | "Unsqueeze" | "Identity" | "Dropout" => self.layout(),
            _ => wrong(format!("not supported: expected one of {}", OPERATORS.join(", "))),
        }
    }

    /// Refuses settings that are not among `known`: what they change is not read.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        match self.node.attributes.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) if known.is_empty() => wrong(format!("a setting '{name}': expected none")),
            Some((name, _)) => wrong(format!("a setting '{name}': expected one of {}", known.join(", "))),
            None => Ok(()),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn integer(&self, name: &str, default: i64) -> Result<i64> {
        match self.attribute(name) {
            None => Ok(default),
            Some(&Attribute::Integer(value)) => Ok(value),
            Some(other) => wrong(format!("{name} is {other:?}: expected a whole number")),
        }
    }

    pub(super) fn real(&self, name: &str, default: f32) -> Result<f32> {
        match self.attribute(name) {
            None => Ok(default),
            Some(&Attribute::Real(value)) => Ok(value),
            Some(other) => wrong(format!("{name} is {other:?}: expected a number")),
        }
    }

    pub(super) fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(other) => wrong(format!("{name} is {other:?}: expected a word")),
        }
    }

    pub(super) fn integers(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Integers(values)) => Ok(Some(values)),
            Some(other) => wrong(format!("{name} is {other:?}: expected whole numbers")),
        }
    }

    /// Whether there is an operand `index`.
    pub(super) fn has(&self, index: usize) -> bool {
        self.node.inputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Operand `index`; what only this node takes leaves the table.
    pub(super) fn operand(&mut self, index: usize) -> Result<Symbol> {
        let Some(name) = self.node.inputs.get(index).filter(|name| !name.is_empty()) else {
            return wrong(format!("{} operands: expected at least {}", self.node.inputs.len(), index + 1));
        };
        let alone = self.uses.get(name.as_str()).is_none_or(|&uses| uses <= 1);
        let found = match self.symbols.get(name) {
            Some(Symbol::Value(_)) if alone => self.symbols.remove(name),
            other => other.cloned(),
        };
        match found {
            Some(symbol) => Ok(symbol),
            None => wrong(format!(
                "no constant and no node before it makes '{name}': expected nodes in an order in which they can be computed"
            )),
        }
    }

    /// A constant operand.
    pub(super) fn constant(&mut self, index: usize) -> Result<Rc<Constant>> {
        match self.operand(index)? {
            Symbol::Constant(constant) => Ok(constant),
            Symbol::Value(_) => wrong(format!(
                "operand {index} ('{}') depends on the input: expected a constant",
                self.node.inputs[index]
            )),
        }
    }

    /// An operand that depends on the input and carries no padding.
    pub(super) fn value(&mut self, index: usize) -> Result<Value> {
        let value = self.padded_value(index)?;
        value.without_padding()?;
        Ok(value)
    }

    /// An operand that depends on the input.
    pub(super) fn padded_value(&mut self, index: usize) -> Result<Value> {
        match self.operand(index)? {
            Symbol::Value(value) => Ok(value),
            Symbol::Constant(_) => wrong(format!(
                "operand {index} ('{}') is a constant: expected one that is computed",
                self.node.inputs[index]
            )),
        }
    }

    /// max(x, 0).
    fn relu(&mut self) -> Result<Symbol> {
        self.only(&[])?;
        let value = self.value(0)?;
        Ok(Symbol::Value(self.builder.relu(value)?))
    }
}
