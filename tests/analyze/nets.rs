//! Networks layer by layer in plain f64 loops, on boxes.

use smallbox::analyze::Sample;
use smallbox::nn::{BATCH_NORM_EPSILON, Layer, Network};

use crate::common::cases::Conv;
use crate::common::oracle::interval;
use crate::common::random::Random;
use crate::common::tensor::Tensor;
use crate::interchange::Model;

/// Every kind of layer.
pub fn mixed() -> Model {
    let layers = vec![
        Layer::Normalize { mean: vec![0.4, 0.5], deviation: vec![0.25, 0.5] },
        Layer::Conv2d { features: 5, kernel: 3, stride: 2, padding: 1 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Conv2d { features: 4, kernel: 2, stride: 1, padding: 0 },
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 7 },
        Layer::BatchNorm,
        Layer::Relu,
        Layer::Linear { outputs: 10 },
    ];
    Model::new(Network::new("mixed", [2, 7, 6], 10, layers).expect("the layers fit"))
}

/// One linear layer, a ReLU and one more, of given weights `[H,F]`, biases `[H]` and `[10,H]`.
pub fn dense(pixels: usize, first: &[f32], bias: &[f32], last: &[f32]) -> Model {
    let hidden = bias.len();
    let layers = vec![Layer::Flatten, Layer::Linear { outputs: hidden }, Layer::Relu, Layer::Linear { outputs: 10 }];
    let network = Network::new("dense", [1, 1, pixels], 10, layers).expect("the layers fit");
    let values = [first.to_vec(), bias.to_vec(), last.to_vec(), vec![0.0; 10]];
    let tensors = network.tensors().zip(values).map(|((name, _), values)| (name.to_string(), values)).collect();
    Model { network, tensors }
}

/// `n` random images for a network.
pub fn images(model: &Model, n: usize) -> Sample {
    let input = model.network.input;
    let mut draw = Random::new(3);
    let images = draw.tensor([n, input.iter().product()], 0.0, 1.0).to_f32();
    Sample { input, classes: 10, images, labels: draw.labels(n, 10) }
}

/// A box: middle and radius, each `[1,C,H,W]` or `[1,F]`.
#[derive(Clone, Debug)]
pub struct Region {
    pub center: Tensor,
    pub radius: Tensor,
}

impl Region {
    /// The box of one radius around an image.
    pub fn around(input: [usize; 3], image: &[f32], radius: f64) -> Region {
        let shape = [1, input[0], input[1], input[2]];
        Region {
            center: Tensor::new(shape, image.iter().map(|&p| f64::from(p)).collect()),
            radius: Tensor::filled(shape, radius),
        }
    }

    /// The box of the same middle and one radius.
    pub fn uniform(&self, radius: f64) -> Region {
        Region { center: self.center.clone(), radius: self.radius.map(|_| radius) }
    }

    /// The same box cut with `[0, 1]`.
    pub fn clipped(&self) -> Region {
        let lower = self.center.zip(&self.radius, |c, r| (c - r).max(0.0));
        let upper = self.center.zip(&self.radius, |c, r| (c + r).min(1.0));
        Region { center: lower.zip(&upper, |l, u| 0.5 * (l + u)), radius: lower.zip(&upper, |l, u| 0.5 * (u - l)) }
    }

    pub fn mean_radius(&self) -> f64 {
        self.radius.data.iter().sum::<f64>() / self.radius.len() as f64
    }
}

fn tensor(model: &Model, name: &str, shape: &[usize]) -> Tensor {
    let (_, values) = model.tensors.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no tensor {name}"));
    Tensor::new(shape, values.iter().map(|&v| f64::from(v)).collect())
}

/// Scale and shift of each element, by channel.
fn diagonal(x: &Region, map: impl Fn(usize) -> (f64, f64)) -> Region {
    let inner: usize = x.center.shape[2..].iter().product();
    let mut y = x.clone();
    for i in 0..x.center.len() {
        let (scale, shift) = map(i / inner % x.center.shape[1]);
        y.center.data[i] = scale * x.center.data[i] + shift;
        y.radius.data[i] = scale.abs() * x.radius.data[i];
    }
    y
}

/// What layer `place` of the network makes of a box.
pub fn layer(model: &Model, place: usize, x: &Region) -> Region {
    let layers = model.network.layers();
    let index = layers[..place].iter().filter(|l| !matches!(l, Layer::Normalize { .. })).count();
    let named = |what: &str, shape: &[usize]| tensor(model, &format!("{index}.{what}"), shape);
    let pair =
        |[center, radius]: [crate::common::oracle::Reference; 2]| Region { center: center.value, radius: radius.value };
    let shape = &x.center.shape;
    match &layers[place] {
        Layer::Normalize { mean, deviation } => diagonal(x, |c| {
            let (mean, deviation) = (f64::from(mean[c]), f64::from(deviation[c]));
            (1.0 / deviation, -mean / deviation)
        }),
        &Layer::Conv2d { features, kernel, stride, padding } => {
            let case = Conv {
                n: 1,
                c: shape[1],
                hw: [shape[2], shape[3]],
                o: features,
                k: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
                dilation: [1; 2],
            };
            let (w, b) = (named("weight", &[features, shape[1], kernel, kernel]), named("bias", &[features]));
            pair(interval::conv2d(&case, &x.center, &x.radius, &w, Some(&b)))
        }
        Layer::BatchNorm => {
            let of = |what: &str| named(what, &[shape[1]]).data;
            let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(of);
            diagonal(x, |c| {
                let scale = gamma[c] / (variance[c] + f64::from(BATCH_NORM_EPSILON)).sqrt();
                (scale, beta[c] - scale * mean[c])
            })
        }
        Layer::Relu => pair(interval::relu(&x.center, &x.radius)),
        Layer::Flatten => {
            let flat = [1, x.center.len()];
            Region { center: x.center.clone().reshaped(flat), radius: x.radius.clone().reshaped(flat) }
        }
        &Layer::Linear { outputs } => {
            let (w, b) = (named("weight", &[outputs, shape[1]]), named("bias", &[outputs]));
            pair(interval::linear(&x.center, &x.radius, &w, Some(&b)))
        }
    }
}

/// Boxes before every layer and behind the last.
pub fn through(model: &Model, input: Region) -> Vec<Region> {
    let mut boxes = vec![input];
    for place in 0..model.network.layers().len() {
        boxes.push(layer(model, place, boxes.last().expect("begins with one")));
    }
    boxes
}
