//! Reverse-mode differentiation as a graph → graph transformation.
//!
//! Each node on a path from a wanted value to the loss is visited once, in reverse creation order (which is a
//! topological order), and asked for its gradient in terms of other ops. Nothing here knows a concrete op.

use super::{Backward, Graph, Origin, Value};
use crate::error::{Error, Result};

/// Adds the ops that compute d(loss)/d(w) for each `w` in `wrt`.
///
/// `seed` is the gradient of whatever is finally wanted with respect to `loss` and has its shape; `add` sums two
/// values of one shape. An entry is `None` where `loss` does not depend on that value (or only through
/// [`Graph::detach`] or an op without slope, such as `sign`).
pub fn gradients(
    graph: &mut Graph,
    loss: Value,
    seed: Value,
    wrt: &[Value],
    add: &dyn Fn(&mut Graph, Value, Value) -> Result<Value>,
) -> Result<Vec<Option<Value>>> {
    if graph.shape(seed) != graph.shape(loss) {
        return Err(Error::shape(
            "gradients",
            format!("a seed of shape {}", graph.shape(loss)),
            graph.shape(seed).to_string(),
        ));
    }
    let count = graph.values.len();
    // depends[v]: v is computed from one of `wrt`.
    let mut depends = vec![false; count];
    for &w in wrt {
        depends[w.0 as usize] = true;
    }
    for v in 0..count {
        if depends[v] {
            continue;
        }
        depends[v] = match &graph.values[v].origin {
            Origin::Alias { of, detached } => !detached && depends[of.0 as usize],
            Origin::Node { node, .. } => graph.nodes[node.0 as usize].inputs.iter().any(|i| depends[i.0 as usize]),
            Origin::Input | Origin::State | Origin::Constant(_) => false,
        };
    }

    let mut grads: Vec<Option<Value>> = vec![None; count];
    if depends[loss.0 as usize] {
        grads[loss.0 as usize] = Some(seed);
    }
    // Values are numbered in creation order and every operand is older than what is made of it.
    for v in (0..count).rev() {
        if !depends[v] {
            continue;
        }
        match graph.values[v].origin.clone() {
            Origin::Alias { of, detached: false } if depends[of.0 as usize] => {
                if let Some(g) = grads[v] {
                    let shape = graph.shape(of).clone();
                    let g = if *graph.shape(g) == shape { g } else { graph.reshape(g, shape)? };
                    accumulate(graph, &mut grads, of, g, add)?;
                }
            }
            // A node is handled at its first output: all of its outputs have their gradients by then.
            Origin::Node { node, output: 0 } => {
                let node = graph.nodes[node.0 as usize].clone();
                let of_outputs: Vec<Option<Value>> = node.outputs.iter().map(|o| grads[o.0 as usize]).collect();
                if of_outputs.iter().all(Option::is_none) {
                    continue;
                }
                let needs: Vec<bool> = node.inputs.iter().map(|i| depends[i.0 as usize]).collect();
                let at = Backward { inputs: &node.inputs, outputs: &node.outputs, grads: &of_outputs, needs: &needs };
                let of_inputs = node.op.gradient(graph, &at)?;
                assert_eq!(of_inputs.len(), node.inputs.len(), "{}: one gradient per input", node.op.name());
                for ((&input, g), needed) in node.inputs.iter().zip(of_inputs).zip(needs) {
                    let Some(g) = g.filter(|_| needed) else { continue };
                    assert_eq!(graph.shape(g), graph.shape(input), "{}: shape of a gradient", node.op.name());
                    accumulate(graph, &mut grads, input, g, add)?;
                }
            }
            _ => {}
        }
    }
    Ok(wrt.iter().map(|w| grads[w.0 as usize]).collect())
}

fn accumulate(
    graph: &mut Graph,
    grads: &mut [Option<Value>],
    of: Value,
    g: Value,
    add: &dyn Fn(&mut Graph, Value, Value) -> Result<Value>,
) -> Result<()> {
    let slot = of.0 as usize;
    grads[slot] = Some(match grads[slot] {
        Some(sum) => add(graph, sum, g)?,
        None => g,
    });
    Ok(())
}
