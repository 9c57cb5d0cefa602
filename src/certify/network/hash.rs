//! The name of a network: a hash of everything that decides what it computes and how exactly that is known.
//!
//! SHA-256 over these bytes, written as 64 lower-case hexadecimal digits. Counts, extents and indices are u64, numbers are IEEE-754
//! binary64, both little-endian; a list of numbers or extents is its count and then its elements.
//!
//! 1. The 25 ASCII bytes `smallbox relu network v1\n`.
//! 2. Extents of the input, as a list.
//! 3. One byte: 0 without an entry; 1 with one, then the list of its scales, the scales' error, the list of its shifts, the list of
//!    the shifts' errors.
//! 4. The number of nodes, and for each, in order:
//!    one byte for its operation (0 input, 1 convolution, 2 linear, 3 ReLU, 4 sum); the list of its operands; the list of its
//!    extents; for a convolution the strides, paddings and dilations along H and W, six counts in this order; for a convolution or a linear map the
//!    list of its weight's extents, the list of its weights, the weights' error, the list of its biases, the list of the biases'
//!    errors.
//!
//! A −0 is hashed as it is: nothing is normalised.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Operation, ReluNetwork, Weights};
use crate::shape::Shape;

/// First bytes of what is hashed.
const TAG: &[u8] = b"smallbox relu network v1\n";

struct Bytes(Sha256);

impl Bytes {
    fn byte(&mut self, byte: u8) {
        self.0.update([byte]);
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn counts(&mut self, counts: &[usize]) {
        self.count(counts.len());
        counts.iter().for_each(|&c| self.count(c));
    }

    fn extents(&mut self, shape: &Shape) {
        self.counts(shape.dims());
    }

    fn number(&mut self, number: f64) {
        self.0.update(number.to_le_bytes());
    }

    fn numbers(&mut self, numbers: &[f64]) {
        self.count(numbers.len());
        // In pieces, so that large weights take few calls and little memory.
        for piece in numbers.chunks(4096) {
            let bytes: Vec<u8> = piece.iter().flat_map(|n| n.to_le_bytes()).collect();
            self.0.update(&bytes);
        }
    }

    fn weights(&mut self, weights: &Weights) {
        self.extents(&weights.shape);
        self.numbers(&weights.weight);
        self.number(weights.weight_error);
        self.numbers(&weights.bias);
        self.numbers(&weights.bias_error);
    }
}

impl ReluNetwork {
    /// SHA-256 of the network (see the [module](self)), in hexadecimal.
    pub fn digest(&self) -> String {
        let mut bytes = Bytes(Sha256::new());
        bytes.0.update(TAG);
        bytes.extents(&self.input);
        bytes.byte(u8::from(self.entry.is_some()));
        if let Some(entry) = &self.entry {
            bytes.numbers(&entry.scale);
            bytes.number(entry.scale_error);
            bytes.numbers(&entry.shift);
            bytes.numbers(&entry.shift_error);
        }
        bytes.count(self.nodes.len());
        for node in &self.nodes {
            bytes.byte(match node.operation {
                Operation::Input => 0,
                Operation::Conv2d(..) => 1,
                Operation::Linear(_) => 2,
                Operation::Relu => 3,
                Operation::Add => 4,
            });
            bytes.counts(&node.inputs);
            bytes.extents(&node.shape);
            match &node.operation {
                Operation::Conv2d(weights, spec) => {
                    for count in [spec.stride, spec.padding, spec.dilation].as_flattened() {
                        bytes.count(*count);
                    }
                    bytes.weights(weights);
                }
                Operation::Linear(weights) => bytes.weights(weights),
                Operation::Input | Operation::Relu | Operation::Add => {}
            }
        }
        let mut hex = String::with_capacity(64);
        for byte in bytes.0.finalize() {
            write!(hex, "{byte:02x}").expect("a string takes any text");
        }
        hex
    }
}
