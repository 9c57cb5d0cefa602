//! A network as part of an engine's graph.

use super::{Operation, ReluNetwork, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, Value};
use crate::ops;
use crate::shape::Shape;

impl ReluNetwork {
    /// Outputs `[N,K]` of x `[N,…input]`, as a user feeds it, with the weights as f32 constants: an estimate.
    ///
    /// # Errors
    /// [`Error::Shape`] for an x of other extents.
    pub fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let last = self.forward_nodes(graph, x)?.pop().expect("a network has its input at least");
        flat(graph, last)
    }

    /// The value `[N,…]` of every node for x `[N,…input]`, as a user feeds it, with the weights as f32 constants.
    ///
    /// # Errors
    /// [`Error::Shape`] for an x of other extents.
    pub fn forward_nodes(&self, graph: &mut Graph, x: Value) -> Result<Vec<Value>> {
        let given = graph.shape(x).clone();
        if given.rank() == 0 || given.dims()[1..] != *self.input.dims() {
            return Err(Error::shape("network", format!("samples of extents {}", self.input), given.to_string()));
        }
        let mut values: Vec<Value> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of = |i: usize| values[node.inputs[i]];
            let value = match &node.operation {
                Operation::Input => self.enter(graph, x)?,
                Operation::Relu => ops::relu(graph, of(0))?,
                Operation::Add => ops::add(graph, of(0), of(1))?,
                Operation::Linear(weights) => {
                    let x = flat(graph, of(0))?;
                    let (w, b) = constants(graph, weights)?;
                    ops::linear(graph, x, w, Some(b))?
                }
                Operation::Conv2d(weights, spec) => {
                    let (w, b) = constants(graph, weights)?;
                    ops::conv2d(graph, of(0), w, Some(b), *spec)?
                }
            };
            values.push(value);
        }
        Ok(values)
    }

    /// x behind the entry.
    fn enter(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let Some(entry) = &self.entry else { return Ok(x) };
        let one: Vec<usize> = std::iter::once(1).chain(self.input.dims().iter().copied()).collect();
        let scale = graph.constant(&rounded(&entry.scale), one.clone())?;
        let shift = graph.constant(&rounded(&entry.shift), one)?;
        let scaled = ops::mul(graph, x, scale)?;
        ops::add(graph, scaled, shift)
    }
}

/// `[N,…]` → `[N,F]`.
fn flat(graph: &mut Graph, x: Value) -> Result<Value> {
    let shape: Shape = graph.shape(x).clone();
    if shape.rank() == 2 { Ok(x) } else { graph.reshape(x, [shape[0], shape.inner()]) }
}

fn constants(graph: &mut Graph, weights: &Weights) -> Result<(Value, Value)> {
    let w = graph.constant(&rounded(&weights.weight), weights.shape.clone())?;
    Ok((w, graph.constant(&rounded(&weights.bias), [weights.bias.len()])?))
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}
