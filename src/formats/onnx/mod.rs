//! ONNX files: a network as a chain of operators with constant weights, written; and any network, read.

pub mod message;
mod read;

use std::path::Path;

use message::{
    AttributeProto, DimensionProto, ELEMENT_FLOAT, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use prost::Message;
pub use read::{Application, Array, Attribute, Elements, Input, Model, decode, read};

use super::atomic::write_atomically;
use crate::error::Result;

/// Version of ONNX's operator set that files are written for: the one that verifiers have read the longest, with all that a
/// feed-forward network needs.
pub const OPSET: i64 = 13;
/// Version of the file format that came with [`OPSET`] (ONNX 1.8).
pub const IR_VERSION: i64 = 7;

/// An operator with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Convolution of x `[N,C,H,W]` with w `[O,C,K,K]` and b `[O]`.
    Conv {
        /// K.
        kernel: usize,
        /// Step between positions.
        stride: usize,
        /// Zeros on each side.
        padding: usize,
    },
    /// x·wᵀ + b of x `[N,F]`, w `[G,F]`, b `[G]`.
    Gemm,
    /// max(x, 0).
    Relu,
    /// `[N,C,H,W]` → `[N,C·H·W]`.
    Flatten,
    /// x + y, y spread over x.
    Add,
    /// x − y, y spread over x.
    Sub,
    /// x · y, y spread over x.
    Mul,
    /// x / y, y spread over x.
    Div,
}

impl Operator {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Conv { .. } => "Conv",
            Operator::Gemm => "Gemm",
            Operator::Relu => "Relu",
            Operator::Flatten => "Flatten",
            Operator::Add => "Add",
            Operator::Sub => "Sub",
            Operator::Mul => "Mul",
            Operator::Div => "Div",
        }
    }

    /// Settings, the defaults included that other exporters write too: some readers expect them.
    fn attributes(self) -> Vec<AttributeProto> {
        match self {
            Operator::Conv { kernel, stride, padding } => vec![
                integers("dilations", &[1; 2]),
                integer("group", 1),
                integers("kernel_shape", &[kernel as i64; 2]),
                integers("pads", &[padding as i64; 4]),
                integers("strides", &[stride as i64; 2]),
            ],
            Operator::Gemm => vec![real("alpha", 1.0), real("beta", 1.0), integer("transB", 1)],
            Operator::Flatten => vec![integer("axis", 1)],
            Operator::Relu | Operator::Add | Operator::Sub | Operator::Mul | Operator::Div => Vec::new(),
        }
    }
}

/// One application of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it computes.
    pub operator: Operator,
    /// Names of its operands, in the operator's order.
    pub inputs: Vec<String>,
    /// Name of its result.
    pub output: String,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Name.
    pub name: String,
    /// Extents.
    pub dims: Vec<usize>,
    /// Row-major elements, as many as the extents say.
    pub data: Vec<f32>,
}

/// Name and extents of an input or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Extents, all known.
    pub dims: Vec<usize>,
}

/// A network with one input and one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// What is fed.
    pub input: Port,
    /// What is read.
    pub output: Port,
    /// Nodes in an order in which they can be computed.
    pub nodes: Vec<Node>,
    /// All constants that the nodes name.
    pub constants: Vec<Constant>,
}

impl Graph {
    /// The bytes of the file: the same for the same graph.
    pub fn encode(&self) -> Vec<u8> {
        let graph = GraphProto {
            node: self.nodes.iter().map(node).collect(),
            name: Some(self.name.clone()),
            initializer: self.constants.iter().map(constant).collect(),
            input: vec![port(&self.input)],
            output: vec![port(&self.output)],
        };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            doc_string: Some(self.description.clone()),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        };
        model.encode_to_vec()
    }
}

/// Writes `graph` to `path`, atomically; returns the number of bytes.
pub fn write(path: &Path, graph: &Graph) -> Result<usize> {
    let bytes = graph.encode();
    write_atomically(path, &bytes)?;
    Ok(bytes.len())
}

fn node(node: &Node) -> NodeProto {
    NodeProto {
        input: node.inputs.clone(),
        output: vec![node.output.clone()],
        name: Some(format!("{}:{}", node.operator.name(), node.output)),
        op_type: Some(node.operator.name().into()),
        attribute: node.operator.attributes(),
        ..NodeProto::default()
    }
}

fn constant(constant: &Constant) -> TensorProto {
    assert_eq!(constant.dims.iter().product::<usize>(), constant.data.len(), "elements of {}", constant.name);
    TensorProto {
        dims: constant.dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(ELEMENT_FLOAT),
        name: Some(constant.name.clone()),
        raw_data: Some(constant.data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

fn port(port: &Port) -> ValueInfoProto {
    let dim =
        port.dims.iter().map(|&d| DimensionProto { dim_value: Some(d as i64), ..DimensionProto::default() }).collect();
    let tensor = TensorTypeProto { elem_type: Some(ELEMENT_FLOAT), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(port.name.clone()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(kind), ..AttributeProto::default() }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, attribute_type::INT) }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, attribute_type::INTS) }
}

fn real(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, attribute_type::FLOAT) }
}
