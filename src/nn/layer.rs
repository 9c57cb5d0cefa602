//! The layers: what each does to a shape, to points and to boxes.

use serde::{Deserialize, Serialize};

use super::norm::Norm;
use crate::error::{Error, Result};
use crate::graph::{Graph, Value};
use crate::interval::Interval;
use crate::ops::{self, Conv2dSpec};
use crate::shape::Shape;

/// One layer. Convolutions and linear layers have a bias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// (x − mean) / deviation per channel, so that ε stays in raw pixels.
    Normalize {
        /// Mean of each channel.
        mean: Vec<f32>,
        /// Deviation of each channel, positive.
        deviation: Vec<f32>,
    },
    /// Convolution with a square kernel.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Output channels.
        features: usize,
        /// Kernel extent.
        kernel: usize,
        /// Stride.
        #[serde(default = "one")]
        stride: usize,
        /// Zero padding, after normalisation.
        #[serde(default)]
        padding: usize,
    },
    /// Batch norm per channel (or feature, after flattening), with scale γ and shift β.
    BatchNorm,
    /// max(x, 0).
    Relu,
    /// `[N,C,H,W]` → `[N,C·H·W]`, in that order.
    Flatten,
    /// Matrix product.
    Linear {
        /// Outputs.
        outputs: usize,
    },
}

/// The stride where none is written.
fn one() -> usize {
    1
}

/// What the layers take from their network, in order.
pub(super) struct Operands<'a> {
    /// Weight and bias of the layers that have them; γ and β of a batch norm.
    pub(super) parameters: std::slice::Chunks<'a, Value>,
    /// What each batch norm does.
    pub(super) norms: std::slice::Iter<'a, Norm>,
}

impl Operands<'_> {
    pub(super) fn pair(&mut self) -> (Value, Value) {
        let pair = self.parameters.next().expect("one pair per layer with parameters");
        (pair[0], pair[1])
    }

    /// What the next batch norm does, with its γ and β passed over.
    fn norm(&mut self) -> Norm {
        self.pair();
        *self.norms.next().expect("one per batch norm")
    }
}

impl Layer {
    /// Output shape of one sample and the shape of the weight (γ of a batch norm), if the layer has one.
    pub(super) fn map_shape(&self, input: &Shape) -> Result<(Shape, Option<Shape>)> {
        let expect = |ok: bool, what: &str| {
            if ok { Ok(()) } else { Err(Error::shape("layer", what, input.to_string())) }
        };
        match self {
            Layer::Normalize { mean, deviation } => {
                expect(
                    input.rank() == 3 && mean.len() == input[0] && deviation.len() == input[0],
                    "one mean per channel",
                )?;
                expect(deviation.iter().all(|&d| d > 0.0), "positive deviations")?;
                Ok((input.clone(), None))
            }
            &Layer::Conv2d { features, kernel, stride, padding } => {
                expect(input.rank() == 3, "an image")?;
                let sides = [input[1] + 2 * padding, input[2] + 2 * padding];
                expect(features * kernel * stride > 0, "positive features, kernel and stride")?;
                expect(sides.iter().all(|&s| s >= kernel), "a padded image of at least the kernel's size")?;
                let [h, w] = sides.map(|s| (s - kernel) / stride + 1);
                Ok(([features, h, w].into(), Some([features, input[0], kernel, kernel].into())))
            }
            Layer::BatchNorm => {
                expect(input.rank() == 1 || input.rank() == 3, "an image or a vector")?;
                Ok((input.clone(), Some([input[0]].into())))
            }
            Layer::Relu => Ok((input.clone(), None)),
            Layer::Flatten => Ok(([input.elements()].into(), None)),
            &Layer::Linear { outputs } => {
                expect(input.rank() == 1 && outputs > 0, "a vector (flatten first)")?;
                Ok(([outputs].into(), Some([outputs, input[0]].into())))
            }
        }
    }

    pub(super) fn forward(&self, g: &mut Graph, x: Value, operands: &mut Operands<'_>) -> Result<Value> {
        match self {
            Layer::Normalize { mean, deviation } => {
                let (shift, scale) = normalization(g, mean, deviation)?;
                let centered = ops::sub(g, x, shift)?;
                ops::mul(g, centered, scale)
            }
            &Layer::Conv2d { stride, padding, .. } => {
                let (w, b) = operands.pair();
                ops::conv2d(g, x, w, Some(b), Conv2dSpec::square(stride, padding))
            }
            Layer::BatchNorm => operands.norm().forward(g, x),
            Layer::Relu => ops::relu(g, x),
            Layer::Flatten => flatten(g, x),
            Layer::Linear { .. } => {
                let (w, b) = operands.pair();
                ops::linear(g, x, w, Some(b))
            }
        }
    }

    pub(super) fn propagate(&self, g: &mut Graph, x: Interval, operands: &mut Operands<'_>) -> Result<Interval> {
        let (center, radius) = match self {
            Layer::Normalize { mean, deviation } => {
                let (shift, scale) = normalization(g, mean, deviation)?;
                let centered = ops::sub(g, x.center, shift)?;
                (ops::mul(g, centered, scale)?, ops::mul(g, x.radius, scale)?)
            }
            &Layer::Conv2d { stride, padding, .. } => {
                let (w, b) = operands.pair();
                ops::conv2d_interval(g, (x.center, x.radius), w, Some(b), Conv2dSpec::square(stride, padding))?
            }
            Layer::BatchNorm => return operands.norm().propagate(g, x),
            Layer::Relu => ops::relu_interval(g, (x.center, x.radius))?,
            Layer::Flatten => (flatten(g, x.center)?, flatten(g, x.radius)?),
            Layer::Linear { .. } => {
                let (w, b) = operands.pair();
                ops::linear_interval(g, (x.center, x.radius), w, Some(b))?
            }
        };
        Ok(Interval { center, radius })
    }
}

/// Mean and reciprocal deviation as `[1,C,1,1]`.
fn normalization(g: &mut Graph, mean: &[f32], deviation: &[f32]) -> Result<(Value, Value)> {
    let inverse: Vec<f32> = deviation.iter().map(|d| 1.0 / d).collect();
    let shape = [1, mean.len(), 1, 1];
    Ok((g.constant(mean, shape)?, g.constant(&inverse, shape)?))
}

fn flatten(g: &mut Graph, x: Value) -> Result<Value> {
    let shape = g.shape(x).clone();
    g.reshape(x, [shape[0], shape.inner()])
}

/// `v` `[C]` in a shape that spreads over x `[N,C,…]`.
pub(super) fn per_channel(g: &mut Graph, v: Value, x: Value) -> Result<Value> {
    let shape = g.shape(x);
    let mut dims = vec![1; shape.rank()];
    dims[1] = shape[1];
    g.reshape(v, dims)
}
