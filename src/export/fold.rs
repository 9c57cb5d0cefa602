//! Batch norms as what they are once training is over, affine maps, in f64.

use crate::nn::BATCH_NORM_EPSILON;

/// x ↦ scale · x + shift per channel.
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// The map of a batch norm with scale γ, shift β, running mean and running variance, `[C]` each.
    pub(super) fn of(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32]) -> Affine {
        let deviation = |v: &f32| (f64::from(*v) + f64::from(BATCH_NORM_EPSILON)).sqrt();
        let scale: Vec<f64> = gamma.iter().zip(variance).map(|(&g, v)| f64::from(g) / deviation(v)).collect();
        let moved = scale.iter().zip(mean).map(|(s, &m)| s * f64::from(m));
        let shift = beta.iter().zip(moved).map(|(&b, moved)| f64::from(b) - moved).collect();
        Affine { scale, shift }
    }

    /// Weight `[C,…]` and bias `[C]` of the layer before, so that it does the map too; rounded once, here.
    pub(super) fn fold(&self, weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let row = weight.len() / self.scale.len();
        let scaled = weight.chunks(row).zip(&self.scale);
        let weight = scaled.flat_map(|(row, s)| row.iter().map(move |&w| (f64::from(w) * s) as f32)).collect();
        let terms = bias.iter().zip(&self.scale).zip(&self.shift);
        (weight, terms.map(|((&b, s), t)| (f64::from(b) * s + t) as f32).collect())
    }

    /// Scale and shift, rounded.
    pub(super) fn rounded(&self) -> (Vec<f32>, Vec<f32>) {
        let round = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
        (round(&self.scale), round(&self.shift))
    }
}
