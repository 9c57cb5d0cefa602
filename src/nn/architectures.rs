//! The named architectures of the certified-training literature.

use super::{Layer, Network};
use crate::error::{Error, Result};

/// Names that [`architecture`] knows.
pub const ARCHITECTURES: &[&str] = &["cnn3", "small", "medium", "cnn7"];

/// The architecture `name` for images `[C,H,W]` and `classes` classes, with an input normalisation layer unless mean is 0
/// and deviation 1 (as the authors have it for MNIST).
///
/// * `cnn3`: conv 16 4×4 s2 p1, conv 32 4×4 s2 p1, fc 100.
/// * `small`, `medium`: Gowal et al. 2018, table 1; convolutions without padding.
/// * `cnn7`: Shi et al. 2021 / Müller et al. 2023 without batch norm: conv 64, 64, 128 s2, 128, 128 (3×3 p1), fc 512.
pub fn architecture(name: &str, input: [usize; 3], classes: usize, mean: &[f32], deviation: &[f32]) -> Result<Network> {
    // (features, kernel, stride, padding) of the convolutions, then the widths of the hidden linear layers.
    let (convolutions, hidden): (&[[usize; 4]], &[usize]) = match name {
        "cnn3" => (&[[16, 4, 2, 1], [32, 4, 2, 1]], &[100]),
        "small" => (&[[16, 4, 2, 0], [32, 4, 1, 0]], &[100]),
        "medium" => (&[[32, 3, 1, 0], [32, 4, 2, 0], [64, 3, 1, 0], [64, 4, 2, 0]], &[512, 512]),
        "cnn7" => (&[[64, 3, 1, 1], [64, 3, 1, 1], [128, 3, 2, 1], [128, 3, 1, 1], [128, 3, 1, 1]], &[512]),
        _ => {
            let known = ARCHITECTURES.join(", ");
            return Err(Error::Config(format!("unknown architecture '{name}': expected one of {known}")));
        }
    };
    let mut layers = Vec::new();
    if mean.iter().any(|&m| m != 0.0) || deviation.iter().any(|&d| d != 1.0) {
        layers.push(Layer::Normalize { mean: mean.to_vec(), deviation: deviation.to_vec() });
    }
    for &[features, kernel, stride, padding] in convolutions {
        layers.extend([Layer::Conv2d { features, kernel, stride, padding }, Layer::Relu]);
    }
    layers.push(Layer::Flatten);
    for &outputs in hidden {
        layers.extend([Layer::Linear { outputs }, Layer::Relu]);
    }
    layers.push(Layer::Linear { outputs: classes });
    Network::new(name, input, classes, layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        let count = |name| architecture(name, [1, 28, 28], 10, &[0.0], &[1.0]).unwrap().parameter_count();
        // cnn7 with batch norm has 13 259 338, of which 2 048 are the affine parameters of its norms.
        assert_eq!(count("cnn7"), 13_259_338 - 2_048);
        assert_eq!(count("cnn3"), (16 * 16 + 16) + (32 * 256 + 32) + (1568 * 100 + 100) + (1000 + 10));
        assert!(architecture("cnn8", [1, 28, 28], 10, &[0.0], &[1.0]).is_err());
    }

    #[test]
    fn names_follow_the_sequential_without_normalisation() {
        let network = architecture("cnn3", [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
        let names: Vec<&str> = network.parameters().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias", "5.weight", "5.bias", "7.weight", "7.bias"]);
    }
}
