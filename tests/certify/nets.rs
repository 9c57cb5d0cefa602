//! Random networks and boxes, and what they really do at a point.

use std::sync::Arc;

use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::ops::Conv2dSpec;

use crate::common::random::Random;

/// Uniform weights of a size that keeps values near 1.
pub fn weights(random: &mut Random, shape: &[usize]) -> Arc<Weights> {
    let fan: usize = shape[1..].iter().product();
    let scale = 1.5 / (fan as f64).sqrt();
    let n: usize = shape.iter().product();
    let draw = |random: &mut Random, n: usize, scale: f64| -> Vec<f32> {
        (0..n).map(|_| random.uniform(-scale, scale) as f32).collect()
    };
    let weight = draw(random, n, scale);
    let bias = draw(random, shape[0], 0.3);
    Arc::new(Weights::exact(shape, &weight, &bias))
}

pub struct Builder {
    pub network: ReluNetwork,
    random: Random,
}

impl Builder {
    pub fn new(seed: u64, input: &[usize]) -> Builder {
        Builder { network: ReluNetwork::new(input, None).expect("an input"), random: Random::new(seed) }
    }

    pub fn last(&self) -> usize {
        self.network.output()
    }

    pub fn linear(&mut self, outputs: usize) -> usize {
        let features = self.network.nodes()[self.last()].shape.elements();
        let weights = weights(&mut self.random, &[outputs, features]);
        self.network.push(Operation::Linear(weights), &[self.last()]).expect("fits")
    }

    pub fn conv(&mut self, features: usize, kernel: [usize; 2], spec: Conv2dSpec) -> usize {
        let channels = self.network.nodes()[self.last()].shape[0];
        let weights = weights(&mut self.random, &[features, channels, kernel[0], kernel[1]]);
        self.network.push(Operation::Conv2d(weights, spec), &[self.last()]).expect("fits")
    }

    pub fn relu(&mut self) -> usize {
        self.network.push(Operation::Relu, &[self.last()]).expect("fits")
    }

    pub fn add(&mut self, a: usize, b: usize) -> usize {
        self.network.push(Operation::Add, &[a, b]).expect("fits")
    }
}

/// Fully connected, widths first to last.
pub fn dense(seed: u64, widths: &[usize]) -> ReluNetwork {
    let mut builder = Builder::new(seed, &widths[..1]);
    for &width in &widths[1..widths.len() - 1] {
        builder.linear(width);
        builder.relu();
    }
    builder.linear(widths[widths.len() - 1]);
    builder.network
}

/// Networks of every kind of node, strides, paddings, dilations and odd extents.
pub fn kinds() -> Vec<(&'static str, ReluNetwork)> {
    let spec = Conv2dSpec::square;
    let convolutions = {
        let mut b = Builder::new(1, &[2, 9, 7]);
        b.conv(5, [3, 3], spec(1, 1));
        b.relu();
        b.conv(9, [4, 2], Conv2dSpec { stride: [2, 1], padding: [1, 0], dilation: [1, 2] });
        b.relu();
        b.conv(3, [3, 3], spec(2, 0));
        b.relu();
        b.linear(6);
        b.relu();
        b.linear(4);
        b.network
    };
    let deep = {
        let mut b = Builder::new(2, &[1, 16, 16]);
        for (features, stride) in [(3, 1), (4, 2), (5, 1)] {
            b.conv(features, [3, 3], spec(stride, 1));
            b.relu();
        }
        b.linear(3);
        b.network
    };
    let residual = {
        let mut b = Builder::new(3, &[2, 6, 6]);
        b.conv(3, [3, 3], spec(1, 1));
        let first = b.relu();
        b.conv(3, [3, 3], spec(1, 1));
        b.relu();
        let branch = b.conv(3, [3, 3], spec(1, 1));
        b.add(branch, first);
        b.relu();
        b.conv(4, [3, 3], spec(2, 1));
        let through = b.relu();
        let left = b.conv(4, [1, 1], spec(1, 0));
        b.add(left, through);
        b.linear(5);
        b.relu();
        b.linear(3);
        b.network
    };
    // A ReLU of the input, a value with two ReLUs, a sum of a value with itself, a ReLU as the output.
    let odd = {
        let mut b = Builder::new(4, &[3, 4, 4]);
        b.relu();
        let z = b.conv(4, [3, 3], spec(1, 1));
        let one = b.relu();
        let two = b.network.push(Operation::Relu, &[z]).expect("fits");
        let sum = b.add(one, two);
        b.add(sum, sum);
        b.conv(2, [2, 2], spec(2, 0));
        b.relu();
        b.linear(3);
        b.relu();
        b.network
    };
    vec![
        ("dense", dense(5, &[4, 12, 10, 3])),
        ("convolutions", convolutions),
        ("deep", deep),
        ("residual", residual),
        ("odd", odd),
    ]
}

/// Values of all nodes at `x`, by plain loops in f64.
pub fn values(network: &ReluNetwork, x: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in network.nodes() {
        let operand = |i: usize| &values[node.inputs[i]];
        let value = match &node.operation {
            Operation::Input => match network.entry() {
                None => x.to_vec(),
                Some(entry) => {
                    x.iter().zip(entry.scale.iter().zip(&entry.shift)).map(|(x, (s, t))| s * x + t).collect()
                }
            },
            Operation::Relu => operand(0).iter().map(|v| v.max(0.0)).collect(),
            Operation::Add => operand(0).iter().zip(operand(1)).map(|(a, b)| a + b).collect(),
            Operation::Linear(w) => {
                let x = operand(0);
                let row = |(row, b): (&[f64], &f64)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
                w.weight.chunks(x.len()).zip(&w.bias).map(row).collect()
            }
            Operation::Conv2d(w, spec) => {
                let from = network.nodes()[node.inputs[0]].shape.dims().to_vec();
                let [c, h, width] = from[..] else { panic!("an image") };
                let [kh, kw] = [w.shape[2], w.shape[3]];
                let (x, to) = (operand(0), node.shape.dims());
                let mut out = Vec::new();
                for o in 0..to[0] {
                    for p in 0..to[1] {
                        for q in 0..to[2] {
                            let mut sum = w.bias[o];
                            for i in 0..c {
                                for u in 0..kh {
                                    for v in 0..kw {
                                        let y =
                                            (p * spec.stride[0] + u * spec.dilation[0]).wrapping_sub(spec.padding[0]);
                                        let z =
                                            (q * spec.stride[1] + v * spec.dilation[1]).wrapping_sub(spec.padding[1]);
                                        if y < h && z < width {
                                            sum +=
                                                w.weight[((o * c + i) * kh + u) * kw + v] * x[(i * h + y) * width + z];
                                        }
                                    }
                                }
                            }
                            out.push(sum);
                        }
                    }
                }
                out
            }
        };
        values.push(value);
    }
    values
}
