//! One step of Adam: g ← grad + wd·p; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p − rate₀ · m / (√v · rate₁ + ε).

use smallbox::ops::AdamSpec;

use super::Reference;
use crate::common::tensor::Tensor;

/// New p, m, v.
pub fn adam(spec: AdamSpec, [p, m, v, grad]: [&Tensor; 4], rates: [f64; 2]) -> [Reference; 3] {
    let (b1, b2) = (f64::from(spec.beta1), f64::from(spec.beta2));
    let (epsilon, decay) = (f64::from(spec.epsilon), f64::from(spec.weight_decay));
    let g = |i: usize| (grad.data[i] + decay * p.data[i], grad.data[i].abs() + (decay * p.data[i]).abs());
    let first = |i: usize| (b1 * m.data[i] + (1.0 - b1) * g(i).0, (b1 * m.data[i]).abs() + (1.0 - b1) * g(i).1);
    let second = |i: usize| {
        let (g, size) = g(i);
        (b2 * v.data[i] + (1.0 - b2) * g * g, b2 * v.data[i] + (1.0 - b2) * size * size)
    };
    let moved = |i: usize| {
        let ((m, m_size), (v, v_size)) = (first(i), second(i));
        let denominator = v.sqrt() * rates[1] + epsilon;
        // A gradient that cancels against the decay loses digits of v: the error of √v is that of v over 2√v.
        let lost = if v > 0.0 { v_size / v } else { 1.0 };
        (p.data[i] - rates[0] * m / denominator, p.data[i].abs() + rates[0] * m_size * lost / denominator)
    };
    [
        Reference::elements(&p.shape, 12, moved),
        Reference::elements(&p.shape, 5, first),
        Reference::elements(&p.shape, 8, second),
    ]
}

mod tests {
    use super::*;

    /// From a fresh state the first step has length lr against the sign of the gradient.
    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate() {
        let spec = AdamSpec { epsilon: 0.0, ..AdamSpec::default() };
        let zero = Tensor::filled([2], 0.0);
        let rates = [0.01 / (1.0 - f64::from(spec.beta1)), 1.0 / (1.0 - f64::from(spec.beta2)).sqrt()];
        let [p, ..] = adam(spec, [&zero, &zero, &zero, &Tensor::new([2], vec![3.0, -1e-3])], rates);
        assert!((p.value.data[0] + 0.01).abs() < 1e-15 && (p.value.data[1] - 0.01).abs() < 1e-15, "{p:?}");
    }
}
