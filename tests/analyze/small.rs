//! Small networks and images, and intervals in plain f64 loops.

use smallbox::analyze::Sample;
use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::device::Session;
use smallbox::nn::{Network, architecture, initial_values};
use smallbox::train::checkpoint::write_tensors;

use crate::certify::oracle;
use crate::common::random::Random;

/// A network for images of one channel and three classes, and images that it has never seen.
pub struct Small {
    pub network: Network,
    pub relu_network: ReluNetwork,
    pub sample: Sample,
    tensors: Vec<(String, Vec<f32>)>,
}

impl Small {
    /// `arch` for images of `side`×`side`, with drawn weights `gain` times as large as those of a fresh network. Two of three labels are what
    /// the network says.
    pub fn new(arch: &str, side: usize, images: usize, gain: f32, seed: u64) -> Small {
        let (input, classes) = ([1, side, side], 3);
        let network = architecture(arch, input, classes, &[0.0], &[1.0]).expect("a known architecture");
        let mut tensors = initial_values(&network, false, seed);
        tensors.iter_mut().flat_map(|(_, values)| values).for_each(|value| *value *= gain);
        let relu_network = ReluNetwork::from_model(&network, &tensors).expect("its own tensors");
        let random = &mut Random::new(seed);
        // Pixels at the border of [0, 1] among them.
        let pixels: Vec<f32> =
            (0..images * side * side).map(|_| random.uniform(-0.3, 1.3).clamp(0.0, 1.0) as f32).collect();
        let mut labels = random.labels(images, classes);
        for (i, (image, label)) in pixels.chunks(side * side).zip(&mut labels).enumerate() {
            let z = oracle::evaluate(&relu_network, &image.iter().map(|&p| f64::from(p)).collect::<Vec<f64>>());
            if i % 3 > 0 {
                *label = (0..classes as u32).max_by(|&a, &b| z[a as usize].total_cmp(&z[b as usize])).expect("classes");
            }
        }
        let sample = Sample { input, classes, images: pixels, labels };
        Small { network, relu_network, sample, tensors }
    }

    /// Puts the weights into the session.
    pub fn place(&self, session: &mut dyn Session) {
        write_tensors(session, &self.network, &self.tensors).expect("its own tensors");
    }
}

/// Lower and upper bounds of the outputs' margins z_k − z_label, 0 at the label, over the box `lower`..`upper` by intervals with the last
/// layer elided.
pub fn upper_margins(network: &ReluNetwork, lower: &[f64], upper: &[f64], label: usize) -> Vec<f64> {
    assert!(network.entry().is_none(), "no scaling");
    let mut absolute = ReluNetwork::new(network.input().clone(), None).unwrap();
    for node in &network.nodes()[1..] {
        let positive = |w: &Weights| {
            std::sync::Arc::new(Weights { weight: w.weight.iter().map(|w| w.abs()).collect(), ..w.clone() })
        };
        let operation = match &node.operation {
            Operation::Linear(w) => Operation::Linear(positive(w)),
            Operation::Conv2d(w, spec) => Operation::Conv2d(positive(w), *spec),
            other => other.clone(),
        };
        absolute.push(operation, &node.inputs).unwrap();
    }
    let pairs = || lower.iter().zip(upper);
    let mut center: Vec<f64> = pairs().map(|(l, u)| 0.5 * (l + u)).collect();
    let mut radius: Vec<f64> = pairs().map(|(l, u)| 0.5 * (u - l)).collect();
    for index in 1..network.output() {
        (center, radius) = match network.nodes()[index].operation {
            Operation::Relu => {
                let ends = center.iter().zip(&radius).map(|(c, r)| ((c - r).max(0.0), (c + r).max(0.0)));
                ends.map(|(l, u)| (0.5 * (l + u), 0.5 * (u - l))).unzip()
            }
            _ => (oracle::map(network, index, &center, true), oracle::map(&absolute, index, &radius, false)),
        };
    }
    let Operation::Linear(last) = &network.nodes()[network.output()].operation else {
        panic!("a linear layer is last")
    };
    let n = center.len();
    let margin = |k: usize| {
        let difference = |j: usize| last.weight[k * n + j] - last.weight[label * n + j];
        let bias = last.bias[k] - last.bias[label];
        bias + (0..n).map(|j| difference(j) * center[j] + difference(j).abs() * radius[j]).sum::<f64>()
    };
    (0..last.bias.len()).map(margin).collect()
}

/// The box around an image, cut with `[0, 1]`.
pub fn ball(image: &[f32], radius: f64) -> (Vec<f64>, Vec<f64>) {
    let end = |sign: f64| image.iter().map(|&p| (f64::from(p) + sign * radius).clamp(0.0, 1.0)).collect();
    (end(-1.0), end(1.0))
}

/// Points of a box, corners and points within.
pub fn points(random: &mut Random, lower: &[f64], upper: &[f64], count: usize) -> Vec<Vec<f64>> {
    let coordinate = |random: &mut Random, i: usize, corner: bool| {
        let share = random.uniform(0.0, 1.0);
        let share = if corner { share.round() } else { share };
        lower[i] + share * (upper[i] - lower[i])
    };
    (0..count).map(|p| (0..lower.len()).map(|i| coordinate(random, i, p % 2 == 0)).collect()).collect()
}

/// log(1 + Σ exp(m)) over the other classes' margins m.
pub fn loss(margins: &[f64], label: usize) -> f64 {
    (1.0 + margins.iter().enumerate().filter(|(k, _)| *k != label).map(|(_, m)| m.exp()).sum::<f64>()).ln()
}
