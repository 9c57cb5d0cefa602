//! How boxes grow on their way through a network (Müller et al. 2023, section 4).
//!
//! The growth rate κ of a layer is the mean radius of the boxes behind it divided by the mean radius of those before it, over all
//! neurons and images; that of the network is the product over its layers. Boxes are propagated by IBP, layer by layer, each batch
//! norm a layer of its own with the running statistics. The input box has the same radius in every pixel and is not cut with
//! `[0, 1]`, so that sizes can be compared.
//!
//! A layer's rate is measured in two ways: on the boxes as they arrive, whose neurons have different radii, and on uniform boxes,
//! all neurons of which have the mean radius of those. The second is a property of the layer alone: for an affine one it does not
//! depend on the size at all, for a ReLU only through where the middles are, as the closed form for normally distributed ones has it.

mod document;
mod gaussian;
mod measure;

pub use document::{document, sheet};
pub use gaussian::{Gaussian, normal_cdf, relu_radius};
pub use measure::{Settings, measure};

use serde::Serialize;

/// Growth in one or several networks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Dataset of the images.
    pub dataset: String,
    /// Its split.
    pub split: String,
    /// Number of images.
    pub images: usize,
    /// Radius ε in pixels of `[0, 1]`.
    pub epsilon: f64,
    /// Sizes of boxes relative to ε, rising.
    pub lambdas: Vec<f64>,
    /// The same in pixels: λ·ε, as f32.
    pub radii: Vec<f64>,
    /// One for each network.
    pub models: Vec<ModelGrowth>,
}

/// Growth in one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelGrowth {
    /// Its name.
    pub model: String,
    /// The layers that do something to a box.
    pub layers: Vec<LayerInfo>,
    /// By where the boxes are.
    pub centers: Vec<CenterGrowth>,
}

/// Where boxes are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Center {
    /// At the images.
    Natural,
    /// At the points that a PGD attack finds in their ε balls.
    Pgd,
    /// At images of uniformly random pixels.
    Random,
}

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The normalisation of the input.
    Normalisation,
    /// A convolution.
    Convolution,
    /// A linear layer.
    Linear,
    /// A batch norm with its running statistics.
    BatchNorm,
    /// A ReLU.
    Relu,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerInfo {
    /// Its name: `conv 1`, `ReLU 1`. Batch norms have the number of the layer before them.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Convolutions and linear layers up to here, itself included.
    pub block: usize,
    /// Bound of the relative error of a uniform box's rate in f32; 0 for a ReLU, which is computed in f64.
    pub rounding: f64,
    /// For a ReLU, mean and deviation of its inputs at the images, over all neurons and images.
    pub gaussian: Option<Gaussian>,
}

/// Growth of boxes at one kind of place, sizes in the order of [`Growth::radii`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CenterGrowth {
    /// Where the boxes are.
    pub center: Center,
    /// One for each layer.
    pub layers: Vec<LayerGrowth>,
    /// κ of the whole network, for each size: mean radius of the outputs over the radius of the input.
    pub network: Vec<f64>,
    /// Local exponent p, output radius ∝ radiusᵖ, between neighbouring sizes: one less than sizes. Above 1 is super-linear.
    pub exponents: Vec<f64>,
}

/// Growth in one layer. What can't be told, as the rate of a box that is a point, is not a number (`null`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerGrowth {
    /// Mean radius of the boxes before it, for each size.
    pub input_radius: Vec<f64>,
    /// κ of the boxes as they arrive.
    pub propagated: Vec<f64>,
    /// κ of uniform boxes of the same mean radius.
    pub uniform: Vec<f64>,
    /// κ by the closed form for normally distributed middles, of a ReLU.
    pub gaussian: Option<Vec<f64>>,
}

impl Center {
    /// All, in the order of tables.
    pub const ALL: [Center; 3] = [Center::Natural, Center::Pgd, Center::Random];

    /// Its name in tables and figures.
    pub fn name(self) -> &'static str {
        match self {
            Center::Natural => "natural",
            Center::Pgd => "PGD",
            Center::Random => "random",
        }
    }
}

impl CenterGrowth {
    /// The growth of boxes of `radii` whose mean radii behind every layer are `behind`, by size, and whose uniform rates are `uniform`, by layer
    /// and size.
    fn new(
        center: Center,
        layers: &[LayerInfo],
        radii: &[f64],
        behind: &[Vec<f64>],
        uniform: Vec<Vec<f64>>,
    ) -> CenterGrowth {
        let before = |layer: usize, size: usize| if layer == 0 { radii[size] } else { behind[size][layer - 1] };
        let sizes = 0..radii.len();
        let growth = |(layer, uniform): (usize, Vec<f64>)| {
            let input_radius: Vec<f64> = sizes.clone().map(|size| before(layer, size)).collect();
            let propagated = sizes.clone().map(|size| behind[size][layer] / input_radius[size]).collect();
            let closed = |of: Gaussian| input_radius.iter().map(|&radius| of.relu_growth(radius)).collect();
            LayerGrowth { propagated, uniform, gaussian: layers[layer].gaussian.map(closed), input_radius }
        };
        let output = |size: usize| before(layers.len(), size);
        let exponent = |size: usize| (output(size + 1) / output(size)).ln() / (radii[size + 1] / radii[size]).ln();
        CenterGrowth {
            center,
            layers: uniform.into_iter().enumerate().map(growth).collect(),
            network: sizes.clone().map(|size| output(size) / radii[size]).collect(),
            exponents: (0..radii.len() - 1).map(exponent).collect(),
        }
    }
}

impl LayerGrowth {
    /// Greatest relative difference of uniform rates from the first; not a number if a rate is none.
    pub fn spread(&self) -> f64 {
        let first = self.uniform[0];
        self.uniform.iter().fold(0.0, |most: f64, rate| {
            let difference = ((rate - first) / first).abs();
            if difference.is_nan() { difference } else { most.max(difference) }
        })
    }
}
