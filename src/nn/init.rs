//! Initial weights, drawn on the host so that every device begins with the same bits.

use super::{Network, Parameter};
use crate::philox::{Stream, purpose};

/// Standard deviation of Shi et al.'s initialisation: √(2π) / fan_in, which makes the expected growth rate of a layer 1.
pub fn shi_deviation(fan_in: usize) -> f64 {
    std::f64::consts::TAU.sqrt() / fan_in as f64
}

/// Values of every parameter, by name. With `shi` the weights of all layers but the last are N(0, [`shi_deviation`]²); everything
/// else is PyTorch's default, uniform on ±1/√fan_in.
pub fn initial_parameters(network: &Network, shi: bool, seed: u64) -> Vec<(String, Vec<f32>)> {
    let draw = |(index, p): (usize, &Parameter)| {
        let mut stream = Stream::new(seed, index as u32, 0, purpose::INITIAL_WEIGHTS);
        let mut value = || {
            if shi && p.weight && !p.last {
                (shi_deviation(p.fan_in) * stream.normal()) as f32
            } else {
                let bound = 1.0 / (p.fan_in as f64).sqrt();
                (bound * (2.0 * f64::from(stream.uniform()) - 1.0)) as f32
            }
        };
        (p.name.clone(), (0..p.shape.elements()).map(|_| value()).collect())
    };
    network.parameters().iter().enumerate().map(draw).collect()
}
