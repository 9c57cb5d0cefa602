//! Softmax cross-entropy: y[n] = log Σ_k exp(z[n,k] − z[n,label]).

use super::Reference;
use crate::common::tensor::Tensor;

/// Maximum of a row and Σ exp(z − maximum).
fn shifted_sum(row: &[f64]) -> (f64, f64) {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (top, row.iter().map(|z| (z - top).exp()).sum())
}

pub fn cross_entropy(z: &Tensor, labels: &[u32]) -> Reference {
    let k = z.shape[1];
    // A sum of k exponentials (each 3 + 2|d| units, weighted by exp(−|d|)), a logarithm (4), a difference.
    Reference::elements(&[z.shape[0]], k + 8, |i| {
        let row = &z.data[i * k..][..k];
        let (top, sum) = shifted_sum(row);
        let distance = top - row[labels[i] as usize];
        (sum.ln() + distance, 1.0 + sum.ln() + distance)
    })
}

/// (softmax(z) − onehot(label)) · grad[n].
pub fn cross_entropy_backward(z: &Tensor, labels: &[u32], grad: &Tensor) -> Reference {
    let k = z.shape[1];
    Reference::elements(&z.shape, k + 10, |i| {
        let (top, sum) = shifted_sum(&z.data[i / k * k..][..k]);
        let softmax = (z.data[i] - top).exp() / sum;
        let hot = f64::from(labels[i / k] as usize == i % k);
        let g = grad.data[i / k];
        ((softmax - hot) * g, (softmax * (1.0 + top - z.data[i]) + hot) * g.abs())
    })
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::random::Random;

    #[test]
    fn equal_logits_give_the_logarithm_of_their_number() {
        let y = cross_entropy(&Tensor::filled([1, 10], 1000.0), &[3]);
        assert!((y.value.data[0] - 10f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn gradients_are_slopes() {
        let z = [Random::new(5).tensor([4, 6], -3.0, 3.0)];
        let labels = [0, 5, 2, 2];
        assert_gradient(&z, &|z| vec![cross_entropy(&z[0], &labels).value], &|z, g| {
            vec![cross_entropy_backward(&z[0], &labels, &g[0]).value]
        });
    }
}
