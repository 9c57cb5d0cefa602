//! Maps of each channel or element by itself: batch norms, normalisations, products and sums with constants.

use super::rounded::Rounded;
use super::{Entry, Operation, Weights};
use crate::error::{Error, Result};
use crate::ops::Conv2dSpec;
use crate::shape::Shape;

/// Elements of the largest matrix that is made of a map that has only a diagonal: half a gigabyte.
pub(super) const LARGEST: usize = 1 << 26;

/// x ↦ scale · x + shift, one of each for every channel or every element.
#[derive(Clone, Debug)]
pub(super) struct Diagonal {
    pub(super) scale: Vec<Rounded>,
    pub(super) shift: Vec<Rounded>,
}

impl Diagonal {
    /// (x − mean) / deviation over the numbers as stored.
    pub(super) fn normalize(mean: &[f32], deviation: &[f32]) -> Diagonal {
        let inverse = |d: &f32| Rounded::exact(1.0) / Rounded::exact(*d);
        let shift = mean.iter().zip(deviation).map(|(&m, &d)| -Rounded::exact(m) / Rounded::exact(d));
        Diagonal { scale: deviation.iter().map(inverse).collect(), shift: shift.collect() }
    }

    /// γ · (x − mean) / √(variance + ε) + β for γ, β, mean and variance of each channel.
    pub(super) fn batch_norm(channels: impl Iterator<Item = [Rounded; 4]>, epsilon: f32) -> Diagonal {
        let map = |[gamma, beta, mean, variance]: [Rounded; 4]| {
            let scale = gamma / (variance + Rounded::exact(epsilon)).sqrt();
            (scale, beta - scale * mean)
        };
        let (scale, shift) = channels.map(map).unzip();
        Diagonal { scale, shift }
    }

    /// This map behind `first`.
    pub(super) fn after(&self, first: &Diagonal) -> Diagonal {
        let scale = self.scale.iter().zip(&first.scale).map(|(&a, &b)| a * b).collect();
        let moved = self.scale.iter().zip(&first.shift).map(|(&a, &b)| a * b);
        Diagonal { scale, shift: moved.zip(&self.shift).map(|(a, &b)| a + b).collect() }
    }

    /// The same map with one scale and shift for each of `elements`, an equal number in a row for each of its own.
    pub(super) fn spread(&self, elements: usize) -> Diagonal {
        let times = elements / self.scale.len().max(1);
        let repeat = |values: &[Rounded]| values.iter().flat_map(|&v| std::iter::repeat_n(v, times)).collect();
        Diagonal { scale: repeat(&self.scale), shift: repeat(&self.shift) }
    }

    /// A map with this one behind it, one scale for each of its outputs.
    pub(super) fn fold(&self, weights: &Weights) -> Weights {
        let row = weights.shape.inner();
        let mut folded = Weights { weight: Vec::with_capacity(weights.weight.len()), ..weights.clone_shape() };
        for (row, &scale) in weights.weight.chunks(row.max(1)).zip(&self.scale) {
            for &value in row {
                let error =
                    if weights.weight_error == 0.0 { 0.0 } else { (value.abs() * weights.weight_error).next_up() };
                let product = Rounded { value, error } * scale;
                // NaN stays visible, which f64::max would drop.
                let relative = product.relative();
                if relative.is_nan() || relative > folded.weight_error {
                    folded.weight_error = relative;
                }
                folded.weight.push(product.value);
            }
        }
        let biases = weights.bias.iter().zip(&weights.bias_error);
        for ((&value, &error), (&scale, &shift)) in biases.zip(self.scale.iter().zip(&self.shift)) {
            let bias = Rounded { value, error } * scale + shift;
            folded.bias.push(bias.value);
            folded.bias_error.push(bias.error);
        }
        folded
    }

    /// The map as an operation on a value of extents `shape`, with one scale for each channel (axis 0) or for each element.
    ///
    /// # Errors
    /// [`Error::Config`] for a matrix that would be too large.
    pub(super) fn operation(&self, shape: &Shape) -> Result<Operation> {
        let n = self.scale.len();
        let pointwise = shape.rank() == 3 && n == shape[0];
        if n.saturating_mul(n) > LARGEST {
            return Err(Error::Config(format!(
                "a map of {n} elements one by one that no neighbouring layer can take in: expected at most 8192"
            )));
        }
        let extents: Shape = if pointwise { [n, n, 1, 1].into() } else { [n, n].into() };
        let mut identity = vec![0.0; n * n];
        (0..n).for_each(|i| identity[i * n + i] = 1.0);
        let zeros = || vec![0.0; n];
        let identity =
            Weights { shape: extents, weight: identity, weight_error: 0.0, bias: zeros(), bias_error: zeros() };
        let weights = self.fold(&identity).into();
        Ok(if pointwise { Operation::Conv2d(weights, Conv2dSpec::square(1, 0)) } else { Operation::Linear(weights) })
    }

    /// The map as what stands before a network, one scale for each input.
    pub(super) fn entry(&self) -> Entry {
        let relative = self.scale.iter().map(|s| s.relative());
        Entry {
            scale: self.scale.iter().map(|s| s.value).collect(),
            // NaN stays visible, which f64::max would drop.
            scale_error: relative.fold(0.0, |most, r| if r.is_nan() || r > most { r } else { most }),
            shift: self.shift.iter().map(|s| s.value).collect(),
            shift_error: self.shift.iter().map(|s| s.error).collect(),
        }
    }
}

impl Weights {
    /// The extents without numbers.
    fn clone_shape(&self) -> Weights {
        let none = Vec::new;
        Weights { shape: self.shape.clone(), weight: none(), weight_error: 0.0, bias: none(), bias_error: none() }
    }
}
