//! Initial weights, drawn on the host so that every device begins with the same bits.

use super::{Network, Parameter, Role};
use crate::philox::{Stream, purpose};

/// Standard deviation of Shi et al.'s initialisation: √(2π) / fan_in, which makes the expected growth rate of a layer 1.
pub fn shi_deviation(fan_in: usize) -> f64 {
    std::f64::consts::TAU.sqrt() / fan_in as f64
}

/// Values of every tensor of the network at the beginning, in the order of [`Network::tensors`]. With `shi` the weights of
/// all layers but the last are N(0, [`shi_deviation`]²); everything else is PyTorch's default: uniform on ±1/√fan_in, and in a
/// batch norm γ = 1, β = 0, running mean 0, running variance 1.
pub fn initial_values(network: &Network, shi: bool, seed: u64) -> Vec<(String, Vec<f32>)> {
    let draw = |(index, p): (usize, &Parameter)| {
        let mut stream = Stream::new(seed, index as u32, 0, purpose::INITIAL_WEIGHTS);
        let mut value = || match p.role {
            Role::Weight if shi && !p.last => (shi_deviation(p.fan_in) * stream.normal()) as f32,
            Role::Weight | Role::Bias => {
                let bound = 1.0 / (p.fan_in as f64).sqrt();
                (bound * (2.0 * f64::from(stream.uniform()) - 1.0)) as f32
            }
            Role::Scale => 1.0,
            Role::Shift => 0.0,
        };
        (p.name.clone(), (0..p.shape.elements()).map(|_| value()).collect())
    };
    let buffers = network.buffers().iter().map(|b| (b.name.clone(), vec![b.initial; b.shape.elements()]));
    network.parameters().iter().enumerate().map(draw).chain(buffers).collect()
}
