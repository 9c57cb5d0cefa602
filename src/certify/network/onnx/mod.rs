//! An ONNX file as a [`ReluNetwork`].
//!
//! Values are followed through the file as what they are: numbers that are known, or an affine map, not yet closed, of a node of the
//! network. Products and sums with constants and batch norms are taken into the map before them, or into the entry where
//! nothing came before; a transposition is kept as the order of elements and taken into the next matrix. What is computed in
//! that carries its error bound, and stays exact where the file's numbers are used as they are.
//!
//! The real function is that of the file's numbers, without any rounding in between.

mod arithmetic;
mod call;
mod constant;
mod conv;
mod layout;
mod matrix;
mod value;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use call::Call;
use constant::Constant;
use value::{Base, Builder, Symbol, Value};

use super::ReluNetwork;
use crate::error::{Error, Result};
use crate::formats::onnx::{self, Application, Model};

/// What can be read.
const OPERATORS: [&str; 27] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Concat",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "Mul",
    "Neg",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Slice",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// The operator set since which operands spread over each other as they do in NumPy.
const OLDEST_OPSET: i64 = 7;

/// A mistake in one line, without the place.
fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::Config(message.into()))
}

impl ReluNetwork {
    /// The network of a file, gzip'd or not, for one sample: extents that the file leaves open are 1.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file, the operator and the node that can't be read; [`Error::Io`], [`Error::Data`].
    pub fn read_onnx(path: &Path) -> Result<ReluNetwork> {
        ReluNetwork::from_onnx(onnx::read(path)?).map_err(|e| Error::model(path, e.to_string()))
    }

    /// [`ReluNetwork::read_onnx`] of what is in memory.
    ///
    /// # Errors
    /// [`Error::Config`] naming the operator and the node that can't be read.
    pub fn from_onnx(model: Model) -> Result<ReluNetwork> {
        // Names of the file stand in messages, which are one line.
        ReluNetwork::built(model).map_err(|e| Error::Config(e.to_string().replace(char::is_control, " ")))
    }

    fn built(model: Model) -> Result<ReluNetwork> {
        if (1..OLDEST_OPSET).contains(&model.opset) {
            return wrong(format!("operator set {}: expected {OLDEST_OPSET} or later", model.opset));
        }
        let [input] = &model.inputs[..] else {
            return wrong(format!("{} inputs: expected one", model.inputs.len()));
        };
        let [output] = &model.outputs[..] else {
            return wrong(format!("{} outputs: expected one", model.outputs.len()));
        };
        let (output, live) = (output.clone(), live(&model)?);
        let dims: Vec<usize> = input.dims.iter().map(|d| d.unwrap_or(1)).collect();
        value::checked(&dims)?;
        let mut symbols: HashMap<String, Symbol> = HashMap::new();
        let first = Value { dims: dims.clone(), order: None, padding: [0; 4], base: Base::Input(None) };
        symbols.insert(input.name.clone(), Symbol::Value(first));
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let taken = live.iter().flat_map(|node| &node.inputs).chain([&output]);
        taken.for_each(|name| *uses.entry(name).or_default() += 1);
        for (name, array) in model.constants {
            symbols.insert(name, Symbol::Constant(Rc::new(Constant::exact(array))));
        }
        let mut builder = Builder::new(dims);
        builder.share(symbols.get_mut(&input.name), uses.get(input.name.as_str()))?;
        for node in &live {
            let place = |e: Error| Error::Config(format!("{} (node '{}'): {e}", node.operator, node.name));
            let mut call = Call::new(node, &mut symbols, &uses, &mut builder);
            let mut result = call.result().map_err(place)?;
            let name = &node.outputs[0];
            builder.share(Some(&mut result), uses.get(name.as_str())).map_err(place)?;
            if symbols.insert(name.clone(), result).is_some() {
                return Err(place(Error::Config(format!("'{name}' is made a second time"))));
            }
        }
        match symbols.remove(&output) {
            Some(Symbol::Value(value)) => builder.finish(value),
            Some(Symbol::Constant(_)) => wrong(format!("the output '{output}' does not depend on the input")),
            None => wrong(format!("no node makes the output '{output}'")),
        }
    }
}

/// The nodes that the output depends on, in the order of the file.
fn live(model: &Model) -> Result<Vec<Application>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in model.nodes.iter().enumerate() {
        makers.extend(node.outputs.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), index)));
    }
    let (mut found, mut open) = (HashSet::new(), vec![model.outputs[0].as_str()]);
    while let Some(name) = open.pop() {
        if let Some(&maker) = makers.get(name)
            && found.insert(maker)
        {
            open.extend(model.nodes[maker].inputs.iter().map(String::as_str));
        }
    }
    let live = (0..model.nodes.len()).filter(|index| found.contains(index)).map(|index| model.nodes[index].clone());
    Ok(live.collect())
}
