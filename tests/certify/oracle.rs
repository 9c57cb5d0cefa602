//! Networks in plain f64 loops.

use smallbox::certify::network::{Operation, ReluNetwork};

/// Outputs at the raw input x.
pub fn evaluate(network: &ReluNetwork, x: &[f64]) -> Vec<f64> {
    values(network, x).pop().expect("an output")
}

/// Values of all nodes at the raw input x.
pub fn values(network: &ReluNetwork, x: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in network.nodes() {
        let value = match &node.operation {
            Operation::Input => match network.entry() {
                Some(entry) => (0..x.len()).map(|i| entry.scale[i] * x[i] + entry.shift[i]).collect(),
                None => x.to_vec(),
            },
            Operation::Relu => values[node.inputs[0]].iter().map(|v| v.max(0.0)).collect(),
            Operation::Add => values[node.inputs[0]].iter().zip(&values[node.inputs[1]]).map(|(a, b)| a + b).collect(),
            Operation::Linear(w) => {
                let x = &values[node.inputs[0]];
                let row = |g: usize| (0..x.len()).map(|f| w.weight[g * x.len() + f] * x[f]).sum::<f64>() + w.bias[g];
                (0..w.shape[0]).map(row).collect()
            }
            Operation::Conv2d(w, spec) => {
                let (x, input) = (&values[node.inputs[0]], &network.nodes()[node.inputs[0]].shape);
                let [c, h, v] = [input[0], input[1], input[2]];
                let mut y = Vec::new();
                for o in 0..node.shape[0] {
                    for i in 0..node.shape[1] {
                        for j in 0..node.shape[2] {
                            let mut sum = w.bias[o];
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
        };
        values.push(value);
    }
    values
}
