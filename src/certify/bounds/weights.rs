//! The weights of a network as states that all programs of a session share.

use crate::certify::network::{Operation, ReluNetwork};
use crate::device::{Session, write_state_f32};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::shape::{Shape, TensorType};

/// Weight and bias of each node that has them.
pub(super) struct Placed {
    nodes: Vec<Option<(Value, Value)>>,
}

impl Placed {
    /// The states in `graph`.
    pub(super) fn new(graph: &mut Graph, network: &ReluNetwork) -> Result<Placed> {
        let mut nodes = Vec::new();
        for (index, node) in network.nodes().iter().enumerate() {
            nodes.push(match &node.operation {
                Operation::Conv2d(weights, _) | Operation::Linear(weights) => {
                    let weight = graph.state(&name(index, "weight"), TensorType::f32(weights.shape.clone()))?;
                    let bias = graph.state(&name(index, "bias"), TensorType::f32([weights.bias.len()]))?;
                    Some((weight, bias))
                }
                _ => None,
            });
        }
        Ok(Placed { nodes })
    }

    /// Weight and bias of a node.
    pub(super) fn of(&self, node: usize) -> (Value, Value) {
        self.nodes[node].expect("a convolution or a matrix has weights")
    }
}

fn name(node: usize, what: &str) -> String {
    format!("network/{node}.{what}")
}

/// Puts the weights, rounded to f32, into the session.
pub(super) fn upload(session: &mut dyn Session, network: &ReluNetwork) -> Result<()> {
    let round = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    for (index, node) in network.nodes().iter().enumerate() {
        if let Operation::Conv2d(weights, _) | Operation::Linear(weights) = &node.operation {
            session.create_state(&name(index, "weight"), &TensorType::f32(weights.shape.clone()))?;
            write_state_f32(session, &name(index, "weight"), &round(&weights.weight))?;
            session.create_state(&name(index, "bias"), &TensorType::f32([weights.bias.len()]))?;
            write_state_f32(session, &name(index, "bias"), &round(&weights.bias))?;
        }
    }
    Ok(())
}

/// Extents of a value as an image `[C,H,W]`: a vector is an image of 1×1.
pub(super) fn image(shape: &Shape) -> [usize; 3] {
    match shape.dims() {
        &[c, h, w] => [c, h, w],
        _ => [shape.elements(), 1, 1],
    }
}
