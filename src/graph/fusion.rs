//! Fusion: a node whose outputs are all read by one other node, and by nobody else, may take that node's work into its own kernel.
//!
//! Which pairs fit is the ops' knowledge ([`super::Op::fuse`]); this pass only finds the pairs.

use super::{Graph, Node, Origin, Value};

/// Rewrites `graph` until no pair fits any more. `live` says which nodes are needed; fused readers are switched off in it.
pub(crate) fn fuse(graph: &mut Graph, live: &mut [bool]) {
    let mut readers = vec![0usize; graph.values.len()];
    for (node, _) in graph.nodes.iter().zip(live.iter()).filter(|(_, live)| **live) {
        for &v in &node.inputs {
            readers[graph.root(v).0 as usize] += 1;
        }
    }
    // What is read from outside must keep its own buffer.
    for &(_, v) in &graph.outputs {
        readers[graph.root(v).0 as usize] += 2;
    }
    for &(_, v) in &graph.updates {
        readers[graph.root(v).0 as usize] += 2;
    }
    for consumer in 0..graph.nodes.len() {
        if !live[consumer] {
            continue;
        }
        let Some(&seen) = graph.nodes[consumer].inputs.first() else { continue };
        let between = graph.root(seen);
        let Origin::Node { node: producer, output: 0 } = graph.info(between).origin else { continue };
        let (first, second) = (&graph.nodes[producer.0 as usize], &graph.nodes[consumer]);
        let count = first.outputs.len();
        // The reader's first inputs are the outputs, in their order, and it makes as many.
        let between: Vec<Value> = second.inputs.iter().take(count).map(|&v| graph.root(v)).collect();
        let alone = between.iter().all(|v| readers[v.0 as usize] == 1);
        if between != first.outputs || second.outputs.len() != count || !alone {
            continue;
        }
        // What a kernel does on the way out is elementwise: an operand that is spread over another one stays apart.
        let ty = graph.ty(seen);
        if second.inputs.iter().chain(&second.outputs).any(|&v| graph.ty(v) != ty) {
            continue;
        }
        let Some(op) = first.op.fuse(second.op.as_ref()) else { continue };
        let (mut inputs, others) = (first.inputs.clone(), second.inputs[count..].to_vec());
        let outputs = second.outputs.clone();
        // Behind a reshape the kernel reads the same words under its own shape; what it makes keeps that of the consumer.
        let shape = graph.shape(between[0]).clone();
        inputs.extend(others.into_iter().map(|v| match *graph.shape(v) == shape {
            true => v,
            false => graph.reshape(v, shape.clone()).expect("operands of one shape, which has as many elements"),
        }));
        // The fused node stands where the consumer stood: its other inputs exist there.
        live[producer.0 as usize] = false;
        graph.nodes[consumer] = Node { op, inputs, outputs };
    }
}
