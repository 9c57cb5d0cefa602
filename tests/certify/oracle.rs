//! Networks in plain f64 loops.

use smallbox::certify::network::{Operation, ReluNetwork, Weights};

/// Outputs at the raw input x.
pub fn evaluate(network: &ReluNetwork, x: &[f64]) -> Vec<f64> {
    values(network, x).pop().expect("an output")
}

/// Values of all nodes at the raw input x.
pub fn values(network: &ReluNetwork, x: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for (i, node) in network.nodes().iter().enumerate() {
        let value = match &node.operation {
            Operation::Input => match network.entry() {
                Some(entry) => (0..x.len()).map(|k| entry.scale[k] * x[k] + entry.shift[k]).collect(),
                None => x.to_vec(),
            },
            Operation::Relu => values[node.inputs[0]].iter().map(|v| v.max(0.0)).collect(),
            Operation::Add => values[node.inputs[0]].iter().zip(&values[node.inputs[1]]).map(|(a, b)| a + b).collect(),
            Operation::Linear(_) | Operation::Conv2d(..) => map(network, i, &values[node.inputs[0]], true),
        };
        values.push(value);
    }
    values
}

/// The convolution or matrix of node `index` at x, with its biases or without.
pub fn map(network: &ReluNetwork, index: usize, x: &[f64], biases: bool) -> Vec<f64> {
    let node = &network.nodes()[index];
    let bias = |w: &Weights, o: usize| if biases { w.bias[o] } else { 0.0 };
    match &node.operation {
        Operation::Linear(w) => {
            let row = |g: usize| (0..x.len()).map(|f| w.weight[g * x.len() + f] * x[f]).sum::<f64>() + bias(w, g);
            (0..w.shape[0]).map(row).collect()
        }
        Operation::Conv2d(w, spec) => {
            let input = &network.nodes()[node.inputs[0]].shape;
            let [c, h, v] = [input[0], input[1], input[2]];
            let mut y = Vec::new();
            for o in 0..node.shape[0] {
                for i in 0..node.shape[1] {
                    for j in 0..node.shape[2] {
                        let mut sum = bias(w, o);
                        for tap in 0..c * w.shape[2] * w.shape[3] {
                            let (ch, u, t) =
                                (tap / (w.shape[2] * w.shape[3]), tap / w.shape[3] % w.shape[2], tap % w.shape[3]);
                            let row = (i * spec.stride[0] + u * spec.dilation[0]).checked_sub(spec.padding[0]);
                            let column = (j * spec.stride[1] + t * spec.dilation[1]).checked_sub(spec.padding[1]);
                            if let (Some(row), Some(column)) = (row, column)
                                && row < h
                                && column < v
                            {
                                let weight = w.weight[o * c * w.shape[2] * w.shape[3] + tap];
                                sum += weight * x[(ch * h + row) * v + column];
                            }
                        }
                        y.push(sum);
                    }
                }
            }
            y
        }
        Operation::Input | Operation::Relu | Operation::Add => unreachable!("no affine map"),
    }
}
