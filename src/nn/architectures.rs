//! The named architectures of the certified-training literature.

use super::{Layer, Network};
use crate::error::{Error, Result};

/// A named network.
struct Architecture {
    name: &'static str,
    /// Features, kernel, stride, padding of each convolution.
    convolutions: &'static [[usize; 4]],
    /// Widths of the hidden linear layers.
    hidden: &'static [usize],
    /// Batch norm after every layer but the last.
    norms: bool,
}

/// The seven-layer network of Shi et al. 2021 with `width` features in its first convolution; `last` is the stride of the
/// fifth.
const fn cnn7(width: usize, last: usize) -> [[usize; 4]; 5] {
    [[width, 3, 1, 1], [width, 3, 1, 1], [2 * width, 3, 2, 1], [2 * width, 3, 1, 1], [2 * width, 3, last, 1]]
}

const TABLE: &[Architecture] = &[
    Architecture { name: "cnn3", convolutions: &[[16, 4, 2, 1], [32, 4, 2, 1]], hidden: &[100], norms: false },
    Architecture { name: "small", convolutions: &[[16, 4, 2, 0], [32, 4, 1, 0]], hidden: &[100], norms: false },
    Architecture {
        name: "medium",
        convolutions: &[[32, 3, 1, 0], [32, 4, 2, 0], [64, 3, 1, 0], [64, 4, 2, 0]],
        hidden: &[512, 512],
        norms: false,
    },
    Architecture { name: "conv-med-tiny", convolutions: &[[16, 5, 2, 1], [32, 4, 2, 1]], hidden: &[50], norms: false },
    Architecture { name: "cnn-tiny", convolutions: &[[1, 5, 2, 2], [2, 4, 2, 1]], hidden: &[], norms: false },
    Architecture { name: "cnn7", convolutions: &cnn7(64, 1), hidden: &[512], norms: true },
    Architecture { name: "cnn7-narrow", convolutions: &cnn7(32, 1), hidden: &[216], norms: true },
    Architecture { name: "cnn7-wide", convolutions: &cnn7(96, 1), hidden: &[512], norms: true },
    Architecture { name: "cnn7-stride4", convolutions: &cnn7(64, 2), hidden: &[512], norms: true },
    Architecture { name: "planar", convolutions: &[], hidden: &[16, 16], norms: false },
    Architecture { name: "cnn7-no-bn", convolutions: &cnn7(64, 1), hidden: &[512], norms: false },
];

/// Names that [`architecture`] knows.
pub const ARCHITECTURES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < TABLE.len() {
        names[i] = TABLE[i].name;
        i += 1;
    }
    names
};

/// The architecture `name` for images `[C,H,W]` and `classes` classes, with an input normalisation layer unless mean is 0
/// and deviation 1 (as the authors have it for MNIST).
///
/// * `cnn3`: conv 16 4×4 s2 p1, conv 32 4×4 s2 p1, fc 100.
/// * `small`, `medium`: Gowal et al. 2018, table 1; convolutions without padding.
/// * `conv-med-tiny`: conv 16 5×5 s2 p1, conv 32 4×4 s2 p1, fc 50 (Müller et al. 2023, loss precision).
/// * `planar`: fc 16, 16, for two inputs.
/// * `cnn-tiny`: conv 1 5×5 s2 p2, conv 2 4×4 s2 p1 (Mao et al. 2023, loss precision): so few neurons that the exact worst case
///   of an image can be computed.
/// * `cnn7`: Shi et al. 2021 / Müller et al. 2023: conv 64, 64, 128 s2, 128, 128 (3×3 p1), fc 512, batch norm after each.
///   `cnn7-narrow` and `cnn7-wide` have half and 1.5 times the features, and 216 and 512 hidden units; `cnn7-stride4` also
///   strides in the fifth convolution (Shi et al. for TinyImageNet); `cnn7-no-bn` has no batch norm.
pub fn architecture(name: &str, input: [usize; 3], classes: usize, mean: &[f32], deviation: &[f32]) -> Result<Network> {
    scaled_architecture(name, 1.0, input, classes, mean, deviation)
}

/// [`architecture`] with the numbers of features and hidden units times `width`, rounded, at least 1.
pub fn scaled_architecture(
    name: &str,
    width: f64,
    input: [usize; 3],
    classes: usize,
    mean: &[f32],
    deviation: &[f32],
) -> Result<Network> {
    let Some(found) = TABLE.iter().find(|a| a.name == name) else {
        let known = ARCHITECTURES.join(", ");
        return Err(Error::Config(format!("unknown architecture '{name}': expected one of {known}")));
    };
    let scaled = |units: usize| ((units as f64 * width).round() as usize).max(1);
    let mut layers = normalised(mean, deviation);
    let behind = || found.norms.then_some(Layer::BatchNorm).into_iter().chain([Layer::Relu]);
    for &[features, kernel, stride, padding] in found.convolutions {
        layers.push(Layer::Conv2d { features: scaled(features), kernel, stride, padding });
        layers.extend(behind());
    }
    layers.push(Layer::Flatten);
    for &outputs in found.hidden {
        layers.push(Layer::Linear { outputs: scaled(outputs) });
        layers.extend(behind());
    }
    layers.push(Layer::Linear { outputs: classes });
    Network::new(name, input, classes, layers)
}

/// The network of the given layers behind the input normalisation.
///
/// # Errors
/// [`Error::Config`] naming the layer that does not fit, or one that normalises the input once more.
pub fn described(
    name: &str,
    described: &[Layer],
    input: [usize; 3],
    classes: usize,
    mean: &[f32],
    deviation: &[f32],
) -> Result<Network> {
    if let Some(at) = described.iter().position(|layer| matches!(layer, Layer::Normalize { .. })) {
        return Err(Error::Config(format!(
            "{name}, layer {at}: the input is normalised by the dataset's constants already"
        )));
    }
    let mut layers = normalised(mean, deviation);
    layers.extend(described.iter().cloned());
    Network::new(name, input, classes, layers)
}

/// The input layer, unless it would change nothing.
fn normalised(mean: &[f32], deviation: &[f32]) -> Vec<Layer> {
    let needed = mean.iter().any(|&m| m != 0.0) || deviation.iter().any(|&d| d != 1.0);
    needed.then(|| Layer::Normalize { mean: mean.to_vec(), deviation: deviation.to_vec() }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        let count = |name, input: [usize; 3], classes| {
            architecture(name, input, classes, &vec![0.0; input[0]], &vec![1.0; input[0]]).unwrap().parameter_count()
        };
        let (mnist, cifar, tiny) = ([1, 28, 28], [3, 32, 32], [3, 56, 56]);
        for (name, [on_mnist, on_cifar, on_tiny]) in [
            ("cnn7", [13_259_338, 17_192_650, 51_893_128]),
            ("cnn7-narrow", [2_814_754, 3_644_770, 10_985_072]),
            ("cnn7-wide", [20_189_802, 26_089_770, 78_091_752]),
            ("conv-med-tiny", [66_800, 88_400, 290_090]),
        ] {
            let counts = [count(name, mnist, 10), count(name, cifar, 10), count(name, tiny, 200)];
            assert_eq!(counts, [on_mnist, on_cifar, on_tiny], "{name}");
        }
        // 2 048 are the affine parameters of its norms.
        assert_eq!(count("cnn7-no-bn", mnist, 10), 13_259_338 - 2_048);
        // A fifth convolution of stride 2 leaves a quarter of the positions: 28² → 14².
        assert_eq!(count("cnn7", tiny, 200) - count("cnn7-stride4", tiny, 200), 512 * 128 * (28 * 28 - 14 * 14));
        assert_eq!(count("cnn3", mnist, 10), (16 * 16 + 16) + (32 * 256 + 32) + (1568 * 100 + 100) + (1000 + 10));
        // Two convolutions of few features, and 98 values to 10 logits.
        assert_eq!(count("cnn-tiny", mnist, 10), (25 + 1) + (16 * 2 + 2) + (98 * 10 + 10));
        assert!(architecture("cnn8", [1, 28, 28], 10, &[0.0], &[1.0]).is_err());
    }

    #[test]
    fn names_follow_the_sequential_without_normalisation() {
        let network = architecture("cnn3", [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
        let names: Vec<&str> = network.parameters().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias", "5.weight", "5.bias", "7.weight", "7.bias"]);
    }
}
