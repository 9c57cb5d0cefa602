//! What other programs are given and what they give: ONNX files, VNN-LIB properties, weights from PyTorch.

mod imports;
mod interpreter;
mod onnx;
mod python;
mod vnnlib;

use smallbox::data::{Split, View};
use smallbox::device::cpu::CpuSession;
use smallbox::nn::{Layer, Network, Role, architecture};
use smallbox::train::checkpoint::write_tensors;
use smallbox::train::logits;

use crate::common::random::Random;
use crate::common::tensor::Tensor;

/// A network with its tensors, in its order.
pub struct Model {
    pub network: Network,
    pub tensors: Vec<(String, Vec<f32>)>,
}

impl Model {
    /// Random weights of a size that keeps activations near 1, and running statistics far from those of a new network.
    pub fn new(network: Network) -> Model {
        let mut random = Random::new(7);
        let mut tensors = Vec::new();
        for p in network.parameters() {
            let reach = (3.0 / p.fan_in as f64).sqrt();
            let mut value = || match p.role {
                Role::Weight => random.uniform(-reach, reach),
                Role::Bias | Role::Shift => random.uniform(-0.5, 0.5),
                // Of either sign: a negative γ turns the channel around.
                Role::Scale => random.uniform(0.5, 1.5) * if random.below(2) == 0 { 1.0 } else { -1.0 },
            };
            tensors.push((p.name.clone(), (0..p.shape.elements()).map(|_| value() as f32).collect()));
        }
        for b in network.buffers() {
            let (low, high) = if b.name.ends_with("running_var") { (0.2, 3.0) } else { (-1.0, 1.0) };
            tensors.push((b.name.clone(), random.tensor([b.shape.elements()], low, high).to_f32()));
        }
        Model { network, tensors }
    }

    pub fn named(arch: &str, input: [usize; 3], mean: &[f32], deviation: &[f32]) -> Model {
        Model::new(architecture(arch, input, 10, mean, deviation).expect("a known architecture"))
    }

    /// `n` random images and the logits `[n,10]` that smallbox computes for them on the native device.
    fn logits(&self, n: usize) -> (Split, Tensor) {
        let shape = self.network.input;
        let mut random = Random::new(11);
        let bytes = (0..n * shape.iter().product::<usize>()).map(|_| random.below(256) as u8).collect();
        let images = Split::new(bytes, vec![0; n], shape, 10).expect("bytes and labels fit");
        let mut session = CpuSession::new();
        write_tensors(&mut session, &self.network, &self.tensors).expect("the network's tensors");
        // A batch size that does not divide the number of images.
        let found = pollster::block_on(logits(&mut session, &self.network, &images, 0..n, 3)).expect("logits");
        (images, Tensor::new([n, 10], found.into_iter().map(f64::from).collect()))
    }
}

/// Plain, with normalisation before a padded convolution, and with batch norms behind convolutions and linear layers.
pub fn models() -> [(&'static str, Model); 3] {
    [
        ("cnn3", Model::named("cnn3", [1, 28, 28], &[], &[])),
        ("normalised cnn3", Model::named("cnn3", [3, 16, 16], &[0.49, 0.48, 0.45], &[0.25, 0.24, 0.26])),
        ("cnn7-narrow", Model::named("cnn7-narrow", [1, 12, 12], &[0.13], &[0.31])),
    ]
}

/// Batch norms that no layer before can take in: behind a ReLU and behind flattening.
pub fn lonely_norms() -> Model {
    let layers = vec![
        Layer::Conv2d { features: 4, kernel: 3, stride: 2, padding: 1 },
        Layer::Relu,
        Layer::BatchNorm,
        Layer::Flatten,
        Layer::BatchNorm,
        Layer::Linear { outputs: 10 },
    ];
    Model::new(Network::new("lonely", [2, 6, 6], 10, layers).expect("the layers fit"))
}

/// Image `index` as a device sees it.
fn pixels(images: &Split, index: usize) -> Vec<f32> {
    let mut pixels = vec![0.0; images.pixels()];
    images.write_view(index, View::middle(images), &mut pixels);
    pixels
}
