//! The network and the bounds that auto_LiRPA computed (`SMALLBOX_GOLDEN_DIR`, `crown.safetensors`; see the README beside it).

use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};
use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::certify::property::Property;
use smallbox::ops::Conv2dSpec;

/// The file.
pub struct Golden {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// One for each image.
    pub labels: Vec<usize>,
    images: Vec<u8>,
}

/// Number of images in the file.
pub const IMAGES: usize = 20;
/// Radius of the boxes.
pub const EPSILON: f64 = 0.1;

impl Golden {
    /// `None`, with a line that says so, where the variable is not set.
    pub fn open() -> Option<Golden> {
        let path = crate::golden::folder()?.join("crown.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let mut golden = Golden { tensors: BTreeMap::new(), labels: Vec::new(), images: Vec::new() };
        for (name, view) in file.tensors() {
            let words = view.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
            match view.dtype() {
                Dtype::F32 => {
                    golden.tensors.insert(name, (view.shape().to_vec(), words.map(f32::from_le_bytes).collect()));
                }
                Dtype::I32 => golden.labels = words.map(|w| i32::from_le_bytes(w) as usize).collect(),
                Dtype::U8 => golden.images = view.data().to_vec(),
                other => panic!("{name}: unexpected element type {other:?}"),
            }
        }
        Some(golden)
    }

    /// Elements of a tensor.
    pub fn values(&self, name: &str) -> &[f32] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}")).1
    }

    /// The network.
    pub fn network(&self) -> ReluNetwork {
        let weights = |index: usize| {
            let (shape, weight) = &self.tensors[&format!("param.{index}.weight")];
            Arc::new(Weights::exact(shape.clone(), weight, self.values(&format!("param.{index}.bias"))))
        };
        let mut network = ReluNetwork::new([1, 28, 28], None).expect("an input");
        let maps = [
            Operation::Conv2d(weights(0), Conv2dSpec::square(2, 1)),
            Operation::Relu,
            Operation::Conv2d(weights(2), Conv2dSpec::square(2, 1)),
            Operation::Relu,
            Operation::Linear(weights(5)),
            Operation::Relu,
            Operation::Linear(weights(7)),
        ];
        for operation in maps {
            let last = network.output();
            network.push(operation, &[last]).expect("the layers fit");
        }
        network
    }

    /// Pixels of an image.
    pub fn image(&self, index: usize) -> Vec<f32> {
        self.images[index * 784..][..784].iter().map(|&p| f32::from(p) / 255.0).collect()
    }

    /// "Every point of the ball has the label".
    pub fn property(&self, index: usize) -> Property {
        let (lower, upper) = Property::ball(&self.image(index), EPSILON);
        Property::label(lower, upper, 10, self.labels[index])
    }
}
