//! The dataflow graph: values with shapes, produced by ops, fed by inputs and kept in state.
//!
//! A [`Graph`] is built once; nothing in it depends on a device. [`autodiff`] extends it by gradients, [`plan`]
//! turns it into a schedule with buffers, and a device compiles the plan into a program.

pub mod autodiff;
mod elementwise;
pub mod fusion;
mod op;
pub mod plan;
mod slots;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use elementwise::MOST_REDUCTIONS;
pub(crate) use op::traffic;
pub use op::{Backward, Cost, Elementwise, Link, Op, Part, Signature};
pub use plan::Plan;

use crate::error::{Error, Result};
use crate::shape::{DType, Shape, TensorType};

/// Handle of a value in one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

/// Handle of a node in one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Fed anew each run.
    Input,
    /// Kept between runs, by name.
    State,
    /// Known when the graph is built; uploaded once.
    Constant(Arc<[u32]>),
    /// Output `output` of a node.
    Node { node: NodeId, output: usize },
    /// The same words under another shape, or cut off from differentiation.
    Alias { of: Value, detached: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct ValueInfo {
    pub(crate) ty: TensorType,
    pub(crate) origin: Origin,
    /// Name of an input or state; empty otherwise.
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Arc<dyn Op>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Value>,
}

/// A dataflow graph under construction. Handles of one graph mean nothing in another.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, Value)>,
    /// States that the program changes, with the value that holds their new content.
    pub(crate) updates: Vec<(Value, Value)>,
    named: HashMap<String, Value>,
    /// Whether ops are pushed in their fast form.
    fast: bool,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, ty: TensorType, origin: Origin, name: String) -> Value {
        self.values.push(ValueInfo { ty, origin, name });
        Value(self.values.len() as u32 - 1)
    }

    /// A value fed at each run under `name`. Asking again for the same name and type gives the same value.
    pub fn input(&mut self, name: &str, ty: TensorType) -> Result<Value> {
        self.named(name, ty, Origin::Input)
    }

    /// A value kept between runs under `name`, shared by all programs of a session.
    /// Asking again for the same name and type gives the same value.
    pub fn state(&mut self, name: &str, ty: TensorType) -> Result<Value> {
        self.named(name, ty, Origin::State)
    }

    fn named(&mut self, name: &str, ty: TensorType, origin: Origin) -> Result<Value> {
        if let Some(&v) = self.named.get(name) {
            let info = &self.values[v.0 as usize];
            if info.ty != ty || std::mem::discriminant(&info.origin) != std::mem::discriminant(&origin) {
                return Err(Error::shape("graph", format!("'{name}' as {:?}", info.ty), format!("{ty:?}")));
            }
            return Ok(v);
        }
        let v = self.add(ty, origin, name.to_string());
        self.named.insert(name.to_string(), v);
        Ok(v)
    }

    /// An f32 constant.
    pub fn constant(&mut self, data: &[f32], shape: impl Into<Shape>) -> Result<Value> {
        self.constant_words(bytemuck::cast_slice(data), TensorType::f32(shape))
    }

    /// A u32 constant.
    pub fn constant_u32(&mut self, data: &[u32], shape: impl Into<Shape>) -> Result<Value> {
        self.constant_words(data, TensorType::u32(shape))
    }

    fn constant_words(&mut self, words: &[u32], ty: TensorType) -> Result<Value> {
        if ty.elements() != words.len() {
            return Err(Error::shape("constant", format!("{} elements", ty.elements()), format!("{}", words.len())));
        }
        Ok(self.add(ty, Origin::Constant(words.into()), String::new()))
    }

    /// Lets ops pushed by `build`, and those of gradients made there, take kernels that are faster and round sums differently:
    /// for training and attacks, not for bounds that are to hold.
    pub fn fast<T>(&mut self, build: impl FnOnce(&mut Graph) -> T) -> T {
        let before = std::mem::replace(&mut self.fast, true);
        let built = build(self);
        self.fast = before;
        built
    }

    /// Applies an op; its shape rule decides the types of the outputs.
    pub fn push(&mut self, op: impl Op + 'static, inputs: &[Value]) -> Result<Vec<Value>> {
        let types: Vec<TensorType> = inputs.iter().map(|&v| self.ty(v).clone()).collect();
        let outputs = op.infer(&types)?;
        let node = NodeId(self.nodes.len() as u32);
        let outputs: Vec<Value> = outputs
            .into_iter()
            .enumerate()
            .map(|(output, ty)| self.add(ty, Origin::Node { node, output }, String::new()))
            .collect();
        let faster = if self.fast { op.fast() } else { None };
        let op = faster.unwrap_or_else(|| Arc::new(op));
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// Applies an op with one output.
    pub fn push1(&mut self, op: impl Op + 'static, inputs: &[Value]) -> Result<Value> {
        Ok(self.push(op, inputs)?[0])
    }

    /// The same words under another shape; costs nothing. Gradients pass through.
    pub fn reshape(&mut self, v: Value, shape: impl Into<Shape>) -> Result<Value> {
        let ty = TensorType { shape: shape.into(), dtype: self.ty(v).dtype };
        if ty.elements() != self.ty(v).elements() {
            return Err(Error::shape("reshape", format!("{} elements", self.ty(v).elements()), ty.shape.to_string()));
        }
        Ok(self.add(ty, Origin::Alias { of: v, detached: false }, String::new()))
    }

    /// The same value as a constant of differentiation: no gradient passes; costs nothing.
    pub fn detach(&mut self, v: Value) -> Value {
        let ty = self.ty(v).clone();
        self.add(ty, Origin::Alias { of: v, detached: true }, String::new())
    }

    /// Makes `v` readable after a run under `name`.
    pub fn output(&mut self, name: &str, v: Value) {
        self.outputs.push((name.to_string(), v));
    }

    /// Declares `new` (made by an op that updates `state` in place, such as `ops::assign`) to be the state's content
    /// after a run.
    pub fn update(&mut self, state: Value, new: Value) {
        self.updates.push((state, new));
    }

    /// Shape and element type of `v`.
    pub fn ty(&self, v: Value) -> &TensorType {
        &self.values[v.0 as usize].ty
    }

    /// Shape of `v`.
    pub fn shape(&self, v: Value) -> &Shape {
        &self.ty(v).shape
    }

    /// Element type of `v`.
    pub fn dtype(&self, v: Value) -> DType {
        self.ty(v).dtype
    }

    /// Number of nodes so far.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn info(&self, v: Value) -> &ValueInfo {
        &self.values[v.0 as usize]
    }

    /// Follows aliases to the value that owns the words.
    pub(crate) fn root(&self, mut v: Value) -> Value {
        while let Origin::Alias { of, .. } = self.info(v).origin {
            v = of;
        }
        v
    }
}
