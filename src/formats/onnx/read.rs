//! ONNX files as they are: named operators with their settings, constants as f64 or whole numbers. What the operators mean is not
//! known here.

use std::path::Path;

use prost::Message;

use super::message::{
    AttributeProto, ELEMENT_BOOL, ELEMENT_DOUBLE, ELEMENT_FLOAT, ELEMENT_INT32, ELEMENT_INT64, GraphProto, ModelProto,
    NodeProto, TensorProto, ValueInfoProto, attribute_type,
};
use crate::error::{Error, Result};
use crate::formats::packed;

/// Size that protobuf files can have at most.
const LARGEST_BYTES: u64 = 1 << 31;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Version of ONNX's own operators; 0 if the file tells none.
    pub opset: i64,
    /// What is fed, without the constants that older files list here too.
    pub inputs: Vec<Input>,
    /// Names of what is read.
    pub outputs: Vec<String>,
    /// The nodes in the order of the file.
    pub nodes: Vec<Application>,
    /// Constants by name.
    pub constants: Vec<(String, Array)>,
}

/// An input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Name.
    pub name: String,
    /// Extents; `None` where the file gives a name, nothing, or a number below 1.
    pub dims: Vec<Option<usize>>,
}

/// One application of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// Name of the operator, with its domain in front if it is not ONNX's own.
    pub operator: String,
    /// Name of the node; that of its first result where it has none.
    pub name: String,
    /// Names of its operands, empty where one is left out.
    pub inputs: Vec<String>,
    /// Names of its results.
    pub outputs: Vec<String>,
    /// Settings by name.
    pub attributes: Vec<(String, Attribute)>,
}

/// One setting of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One whole number.
    Integer(i64),
    /// One f32.
    Real(f32),
    /// A word.
    Text(String),
    /// A list of whole numbers.
    Integers(Vec<i64>),
    /// A list of f32.
    Reals(Vec<f32>),
    /// A constant.
    Array(Array),
    /// Something else, such as a graph.
    Other,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents; none for a scalar.
    pub dims: Vec<usize>,
    /// Row-major elements, as many as the extents say.
    pub elements: Elements,
}

/// Elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// f32 or f64, exactly.
    Reals(Vec<f64>),
    /// i64, i32 or bool.
    Integers(Vec<i64>),
}

impl Elements {
    fn len(&self) -> usize {
        match self {
            Elements::Reals(values) => values.len(),
            Elements::Integers(values) => values.len(),
        }
    }
}

/// Reads a file, gzip'd or not.
///
/// # Errors
/// [`Error::Io`], [`Error::Data`] for damaged gzip data, [`Error::Model`] for what is no ONNX file or refers to other files.
pub fn read(path: &Path) -> Result<Model> {
    let bytes = packed::read(path, LARGEST_BYTES)?;
    decode(&bytes).map_err(|message| Error::model(path, message))
}

/// The content of a file's bytes, or what is wrong with them in one line.
///
/// # Errors
/// The line.
pub fn decode(bytes: &[u8]) -> Result<Model, String> {
    let model = ModelProto::decode(bytes).map_err(|e| format!("no ONNX file ({e})"))?;
    let graph = model.graph.ok_or("no ONNX file: it has no graph")?;
    let own = model.opset_import.iter().find(|set| is_own(set.domain.as_deref()));
    let GraphProto { node, initializer, input, output, .. } = graph;
    let mut constants = Vec::with_capacity(initializer.len());
    for tensor in initializer {
        let name = tensor.name.clone().unwrap_or_default();
        let array = array(tensor).map_err(|e| format!("constant '{name}': {e}"))?;
        constants.push((name, array));
    }
    let known: std::collections::HashSet<&str> = constants.iter().map(|(name, _)| name.as_str()).collect();
    let fed = input.iter().filter(|port| !known.contains(port.name()));
    let inputs = fed.map(self::input).collect::<Result<Vec<Input>, String>>()?;
    let nodes = node.into_iter().map(application).collect::<Result<Vec<Application>, String>>()?;
    let outputs = output.iter().map(|port| port.name().to_string()).collect();
    Ok(Model { opset: own.map_or(0, |set| set.version()), inputs, outputs, nodes, constants })
}

fn is_own(domain: Option<&str>) -> bool {
    matches!(domain, None | Some("" | "ai.onnx"))
}

fn input(port: &ValueInfoProto) -> Result<Input, String> {
    let name = port.name().to_string();
    let tensor = port.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| format!("input '{name}' is no tensor"))?;
    if ![ELEMENT_FLOAT, ELEMENT_DOUBLE].contains(&tensor.elem_type()) {
        let got = tensor.elem_type();
        return Err(format!("input '{name}' has elements of type {got}: expected 1 (f32) or 11 (f64)"));
    }
    let shape = tensor.shape.as_ref().ok_or_else(|| format!("input '{name}' has no extents"))?;
    let known = |value: Option<i64>| value.and_then(|v| usize::try_from(v).ok()).filter(|&v| v > 0);
    Ok(Input { name, dims: shape.dim.iter().map(|dim| known(dim.dim_value)).collect() })
}

fn application(node: NodeProto) -> Result<Application, String> {
    let operator = node.op_type.unwrap_or_default();
    let operator = if is_own(node.domain.as_deref()) {
        operator
    } else {
        format!("{}.{operator}", node.domain.unwrap_or_default())
    };
    let name = node.name.filter(|name| !name.is_empty()).or_else(|| node.output.first().cloned()).unwrap_or_default();
    let mut attributes = Vec::with_capacity(node.attribute.len());
    for attribute in node.attribute {
        let key = attribute.name.clone().unwrap_or_default();
        let value = value(attribute).map_err(|e| format!("{operator} '{name}', {key}: {e}"))?;
        attributes.push((key, value));
    }
    Ok(Application { operator, name, inputs: node.input, outputs: node.output, attributes })
}

fn value(attribute: AttributeProto) -> Result<Attribute, String> {
    // Files of old tools don't say which field it is.
    let kind = attribute.r#type.filter(|&kind| kind != 0).unwrap_or_else(|| {
        let filled = [
            (attribute.f.is_some(), attribute_type::FLOAT),
            (attribute.i.is_some(), attribute_type::INT),
            (attribute.s.is_some(), attribute_type::STRING),
            (attribute.t.is_some(), attribute_type::TENSOR),
            (!attribute.floats.is_empty(), attribute_type::FLOATS),
        ];
        filled.iter().find(|(filled, _)| *filled).map_or(attribute_type::INTS, |&(_, kind)| kind)
    });
    Ok(match kind {
        attribute_type::FLOAT => Attribute::Real(attribute.f()),
        attribute_type::INT => Attribute::Integer(attribute.i()),
        attribute_type::STRING => Attribute::Text(String::from_utf8_lossy(attribute.s()).into_owned()),
        attribute_type::TENSOR => Attribute::Array(array(attribute.t.ok_or("a constant without content")?)?),
        attribute_type::FLOATS => Attribute::Reals(attribute.floats),
        attribute_type::INTS => Attribute::Integers(attribute.ints),
        _ => Attribute::Other,
    })
}

/// Elements of `N` bytes each.
fn raw<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (words, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(words.iter().map(|&word| read(word)).collect())
    } else {
        Err(format!("{} bytes: expected a multiple of {N}", bytes.len()))
    }
}

fn array(tensor: TensorProto) -> Result<Array, String> {
    if tensor.data_location.unwrap_or(0) != 0 {
        return Err("its elements are in another file: expected a file that holds its own".into());
    }
    // Some write an empty field beside the elements.
    let bytes = tensor.raw_data.as_deref().filter(|bytes| !bytes.is_empty());
    let elements = match (tensor.data_type(), bytes) {
        (ELEMENT_FLOAT, Some(bytes)) => Elements::Reals(raw(bytes, |word| f64::from(f32::from_le_bytes(word)))?),
        (ELEMENT_FLOAT, None) => Elements::Reals(tensor.float_data.iter().map(|&v| f64::from(v)).collect()),
        (ELEMENT_DOUBLE, Some(bytes)) => Elements::Reals(raw(bytes, f64::from_le_bytes)?),
        (ELEMENT_DOUBLE, None) => Elements::Reals(tensor.double_data),
        (ELEMENT_INT64, Some(bytes)) => Elements::Integers(raw(bytes, i64::from_le_bytes)?),
        (ELEMENT_INT64, None) => Elements::Integers(tensor.int64_data),
        (ELEMENT_INT32, Some(bytes)) => Elements::Integers(raw(bytes, |word| i64::from(i32::from_le_bytes(word)))?),
        (ELEMENT_BOOL, Some(bytes)) => Elements::Integers(bytes.iter().map(|&b| i64::from(b)).collect()),
        (ELEMENT_INT32 | ELEMENT_BOOL, None) => {
            Elements::Integers(tensor.int32_data.iter().map(|&v| i64::from(v)).collect())
        }
        (other, _) => return Err(format!("elements of type {other}: expected 1 (f32), 11 (f64), 7, 6 or 9 (whole)")),
    };
    let extent = |&dim: &i64| usize::try_from(dim).map_err(|_| format!("an extent of {dim}: expected 0 or more"));
    let dims = tensor.dims.iter().map(extent).collect::<Result<Vec<usize>, String>>()?;
    let count = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    if count != Some(elements.len()) {
        return Err(format!("{} elements for extents {dims:?}", elements.len()));
    }
    Ok(Array { dims, elements })
}
