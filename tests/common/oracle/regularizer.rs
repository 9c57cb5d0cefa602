//! Statistics of a pre-activation box and the terms of the bound regulariser (Shi et al. 2021), as the authors define them.

use super::Reference;
use crate::common::tensor::Tensor;

const TOLERANCE: f64 = 0.5;
const TINY: f64 = 1e-12;

/// Center and masks [lower end > 0], [upper end < 0] of element `i`.
fn element(c: &Tensor, r: &Tensor, i: usize) -> (f64, f64, f64) {
    let (c, r) = (c.data[i], r.data[i]);
    (c, f64::from(c - r > 0.0), f64::from(c + r < 0.0))
}

/// 0 mean r · 1 mean c·on · 2 mean c·off · 3 Σ (c−μ)²·on · 4 Σ (c−μ)²·off · 5 μ · 6 Σ (c−μ)·on · 7 Σ (c−μ)·off.
pub fn statistics(c: &Tensor, r: &Tensor) -> Reference {
    let count = c.len() as f64;
    let mean = c.data.iter().sum::<f64>() / count;
    let mean_size = c.data.iter().map(|c| c.abs()).sum::<f64>() / count;
    let (mut value, mut scale) = ([0.0; 8], [0.0; 8]);
    for i in 0..c.len() {
        let (c, on, off) = element(c, r, i);
        let d = c - mean;
        // The mean's own error moves every deviation.
        let size = c.abs() + mean_size;
        let terms = [r.data[i], c * on, c * off, d * d * on, d * d * off, c, d * on, d * off];
        let sizes = [r.data[i], c.abs() * on, c.abs() * off, size * size * on, size * size * off, c.abs(), size * on, size * off];
        for s in 0..8 {
            value[s] += terms[s];
            scale[s] += sizes[s];
        }
    }
    for s in [0, 1, 2, 5] {
        value[s] /= count;
        scale[s] /= count;
    }
    Reference { value: Tensor::new([8], value.into()), scale: scale.into(), terms: c.len() + 4 }
}

/// Gradients with respect to c and r, for an upstream gradient whose entries 5 to 7 don't count.
pub fn statistics_backward(c: &Tensor, r: &Tensor, grad: &Tensor) -> [Reference; 2] {
    let count = c.len() as f64;
    let all = statistics(c, r);
    let (s, g) = (&all.value.data, &grad.data);
    let shared = -(2.0 / count) * (g[3] * s[6] + g[4] * s[7]);
    let shared_size = (2.0 / count) * (g[3].abs() * all.scale[6] + g[4].abs() * all.scale[7]);
    let mean_size = c.data.iter().map(|c| c.abs()).sum::<f64>() / count;
    let center = Reference::elements(&c.shape, all.terms + 6, |i| {
        let (c, on, off) = element(c, r, i);
        let (d, size) = (c - s[5], c.abs() + mean_size);
        let own = on * (g[1] / count + 2.0 * g[3] * d) + off * (g[2] / count + 2.0 * g[4] * d);
        let own_size = on * (g[1].abs() / count + 2.0 * g[3].abs() * size) + off * (g[2].abs() / count + 2.0 * g[4].abs() * size);
        (own + shared, own_size + shared_size)
    });
    [center, Reference::relative(Tensor::filled(r.shape.clone(), g[0] / count), 3)]
}

fn has_ratios(s: &[f64]) -> bool {
    -s[2] > 0.0 && s[4] > 0.0
}

fn shortfall(q: f64) -> f64 {
    (TOLERANCE - q).max(0.0) / TOLERANCE
}

fn folded(q: f64) -> f64 {
    q.min(1.0 / q.max(TINY))
}

/// tightness + balance of a layer with statistics s for an input box of mean radius R₀.
pub fn penalty(s: &Tensor, input_radius: f64) -> Reference {
    let s = &s.data;
    let tightness = shortfall(input_radius / s[0].max(TINY));
    let balance =
        if has_ratios(s) { shortfall(folded(s[1] / -s[2])) + shortfall(folded(s[3] / s[4])) } else { 0.0 };
    // Each of the three terms is a difference of numbers of at most 1/2, times 2, of two divisions at most.
    Reference { value: Tensor::new([1], vec![tightness + balance]), scale: vec![6.0], terms: 10 }
}

/// d penalty/ds · grad.
pub fn penalty_backward(s: &Tensor, input_radius: f64, grad: f64) -> Reference {
    let s = &s.data;
    let mut out = vec![0.0; 8];
    let q = input_radius / s[0].max(TINY);
    if s[0] > TINY && q < TOLERANCE {
        out[0] = input_radius / (s[0] * s[0]) / TOLERANCE;
    }
    if has_ratios(s) {
        for (above, below, sign) in [(1, 2, -1.0), (3, 4, 1.0)] {
            let (a, b) = (s[above], sign * s[below]);
            let q = a / b;
            let slope = if folded(q) >= TOLERANCE {
                0.0
            } else if q < 1.0 / q.max(TINY) {
                -1.0 / TOLERANCE
            } else {
                1.0 / (q * q) / TOLERANCE
            };
            out[above] = slope / b;
            out[below] = -slope * a / (b * b) * sign;
        }
    }
    Reference::relative(Tensor::new([8], out.into_iter().map(|o| o * grad).collect()), 14)
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::random::Random;

    #[test]
    fn values_worked_by_hand() {
        let c = Tensor::new([4], vec![2.0, -2.0, 0.5, 1.5]);
        let r = Tensor::new([4], vec![1.0, 1.0, 1.0, 1.0]);
        // Mean 0.5; on: 2, 1.5; off: −2.
        let s = statistics(&c, &r).value.data;
        assert_eq!(s, [1.0, 0.875, -0.5, 1.5 * 1.5 + 1.0, 2.5 * 2.5, 0.5, 2.5, -2.5]);
        // q₁ = 1.75 folds to 0.571, q₂ = 0.52, R₀/s₀ = 0.25.
        assert_eq!(penalty(&Tensor::new([8], s), 0.25).value.data, [0.5]);
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(6);
        let inputs = [random.tensor([40], -1.0, 1.0), random.tensor([40], 0.0, 0.5)];
        // Entries 5 to 7 serve the gradient only: differences are taken of the first five.
        let five = |s: Tensor| Tensor::new([5], s.data[..5].to_vec());
        assert_gradient(&inputs, &|i| vec![five(statistics(&i[0], &i[1]).value)], &|i, g| {
            let grad = Tensor::new([8], [g[0].data.as_slice(), &[0.0; 3]].concat());
            statistics_backward(&i[0], &i[1], &grad).map(|r| r.value).into()
        });
        // Ratios below 1/2, above 2, and between, where the term is flat.
        for s in [[2.0, 0.1, -0.5, 1.0, 9.0], [2.0, 0.9, -0.2, 7.0, 1.0], [0.3, 0.5, -0.5, 1.0, 1.0], [2.0, 0.5, 0.0, 1.0, 0.0]] {
            let s = [Tensor::new([8], [s.as_slice(), &[0.3, 0.0, 0.0]].concat())];
            assert_gradient(&s, &|s| vec![penalty(&s[0], 0.25).value], &|s, g| {
                vec![penalty_backward(&s[0], 0.25, g[0].data[0]).value]
            });
        }
    }
}
