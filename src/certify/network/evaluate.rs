//! A network at a point, in plain f64.

use super::{Operation, ReluNetwork, Weights};
use crate::ops::Conv2dSpec;
use crate::shape::Shape;

impl ReluNetwork {
    /// The outputs for `x`, as a user feeds it: every sum in f64, rounded to nearest, in the order of the weights. An estimate of the
    /// real outputs, good to some 1e-13 of their terms; no bound.
    ///
    /// # Panics
    /// If `x` has another number of elements than the input.
    pub fn evaluate(&self, x: &[f64]) -> Vec<f64> {
        self.evaluate_nodes(x).pop().expect("a network has its input at least")
    }

    /// The value of every node for `x`, as a user feeds it.
    ///
    /// # Panics
    /// If `x` has another number of elements than the input.
    pub fn evaluate_nodes(&self, x: &[f64]) -> Vec<Vec<f64>> {
        assert_eq!(x.len(), self.input.elements(), "elements of the input");
        let entered = match &self.entry {
            None => x.to_vec(),
            Some(entry) => {
                let terms = x.iter().zip(&entry.scale).zip(&entry.shift);
                terms.map(|((x, scale), shift)| x * scale + shift).collect()
            }
        };
        self.propagate(entered, true, |_, z| z.iter().map(|&v| v.max(0.0)).collect())
    }

    /// The value of every node when that of node 0, behind the entry, is `entered` and `relu(k, z)` stands in for the k-th ReLU layer.
    /// Without `biases` the maps are their linear parts: derivatives along a direction pass through the network so.
    ///
    /// # Panics
    /// If `entered` or what `relu` returns has another number of elements than its node.
    pub fn propagate(
        &self,
        entered: Vec<f64>,
        biases: bool,
        relu: impl Fn(usize, &[f64]) -> Vec<f64>,
    ) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        values.push(entered);
        let mut layer = 0;
        for node in &self.nodes[1..] {
            let of = |i: usize| &values[node.inputs[i]];
            let value = match &node.operation {
                Operation::Input => unreachable!("node 0 alone is the input"),
                Operation::Relu => {
                    layer += 1;
                    relu(layer - 1, of(0))
                }
                Operation::Add => of(0).iter().zip(of(1)).map(|(a, b)| a + b).collect(),
                Operation::Linear(weights) => linear(weights, biases, of(0)),
                Operation::Conv2d(weights, spec) => {
                    let image = &self.nodes[node.inputs[0]].shape;
                    conv2d(weights, biases, *spec, image, &node.shape, of(0))
                }
            };
            assert_eq!(value.len(), node.shape.elements(), "elements of a node");
            values.push(value);
        }
        values
    }
}

fn linear(weights: &Weights, biases: bool, x: &[f64]) -> Vec<f64> {
    let rows = weights.weight.chunks(x.len());
    rows.zip(&weights.bias).map(|(row, bias)| if biases { bias + dot(row, x) } else { dot(row, x) }).collect()
}

/// Eight partial sums, so that additions need not wait for each other.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, n) = ([0.0; 8], a.len() / 8 * 8);
    for (a, b) in a[..n].chunks_exact(8).zip(b[..n].chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f64 = a[n..].iter().zip(&b[n..]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Positions of the output along one axis at which a tap, `offset` before or behind the first one's place, lies within `extent`.
fn within(offset: isize, stride: usize, extent: usize, outputs: usize) -> std::ops::Range<usize> {
    let stride = stride as isize;
    let first = if offset < 0 { (-offset + stride - 1) / stride } else { 0 };
    let behind = (extent as isize - offset + stride - 1).div_euclid(stride);
    let behind = behind.clamp(0, outputs as isize);
    first.min(behind) as usize..behind as usize
}

fn conv2d(weights: &Weights, biases: bool, spec: Conv2dSpec, image: &Shape, output: &Shape, x: &[f64]) -> Vec<f64> {
    let ([height, width], [rows, columns]) = ([image[1], image[2]], [output[1], output[2]]);
    let [channels, kernel_rows, kernel_columns] = [weights.shape[1], weights.shape[2], weights.shape[3]];
    let offset = |tap: usize, axis: usize| (tap * spec.dilation[axis]) as isize - spec.padding[axis] as isize;
    let mut y = Vec::with_capacity(output.elements());
    for (o, bias) in weights.bias.iter().enumerate() {
        y.resize((o + 1) * rows * columns, if biases { *bias } else { 0.0 });
        let plane = &mut y[o * rows * columns..];
        for c in 0..channels {
            for (u, v) in (0..kernel_rows).flat_map(|u| (0..kernel_columns).map(move |v| (u, v))) {
                let weight = weights.weight[((o * channels + c) * kernel_rows + u) * kernel_columns + v];
                if weight == 0.0 {
                    continue;
                }
                let across = within(offset(v, 1), spec.stride[1], width, columns);
                if across.is_empty() {
                    continue;
                }
                let left = (across.start * spec.stride[1]) as isize + offset(v, 1);
                for i in within(offset(u, 0), spec.stride[0], height, rows) {
                    let row = (i * spec.stride[0]) as isize + offset(u, 0);
                    let pixels = &x[(c * height + row as usize) * width + left as usize..];
                    let sums = &mut plane[i * columns..][across.clone()];
                    if spec.stride[1] == 1 {
                        sums.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += weight * pixel);
                    } else {
                        let pixels = pixels.iter().step_by(spec.stride[1]);
                        sums.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += weight * pixel);
                    }
                }
            }
        }
    }
    y
}
