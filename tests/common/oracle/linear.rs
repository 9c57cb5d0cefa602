//! y[n,g] = b[g] + Σ_f w[g,f] · x[n,f], the margins of a last layer, and their gradients.

use super::{Reference, Sums};
use crate::common::tensor::Tensor;

pub fn forward(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Reference {
    let ([n, f], [g, _]) = (extents(x), extents(w));
    let mut sums = Sums::new(&[n, g]);
    for i in 0..n {
        for j in 0..g {
            if let Some(b) = b {
                sums.add(i * g + j, b.data[j]);
            }
            for k in 0..f {
                sums.add(i * g + j, w.data[j * f + k] * x.data[i * f + k]);
            }
        }
    }
    sums.finish()
}

/// grad [N,G] · w.
pub fn backward_input(grad: &Tensor, w: &Tensor) -> Reference {
    let ([n, g], [_, f]) = (extents(grad), extents(w));
    let mut sums = Sums::new(&[n, f]);
    for i in 0..n {
        for j in 0..g {
            for k in 0..f {
                sums.add(i * f + k, grad.data[i * g + j] * w.data[j * f + k]);
            }
        }
    }
    sums.finish()
}

/// gradᵀ · x.
pub fn backward_weight(x: &Tensor, grad: &Tensor) -> Reference {
    let ([n, f], [_, g]) = (extents(x), extents(grad));
    let mut sums = Sums::new(&[g, f]);
    for i in 0..n {
        for j in 0..g {
            for k in 0..f {
                sums.add(j * f + k, grad.data[i * g + j] * x.data[i * f + k]);
            }
        }
    }
    sums.finish()
}

/// y[n,k] = z[n,k] − z[n,label].
pub fn label_margin(z: &Tensor, labels: &[u32]) -> Reference {
    let [_, k] = extents(z);
    Reference::elements(&z.shape, 2, |i| {
        let own = z.data[i / k * k + labels[i / k] as usize];
        (z.data[i] - own, z.data[i].abs() + own.abs())
    })
}

/// grad, except Σ of the others, negated, at the label: its own entry cancels.
pub fn label_margin_backward(grad: &Tensor, labels: &[u32]) -> Reference {
    let [n, k] = extents(grad);
    let mut sums = Sums::new(&grad.shape);
    for (i, &label) in labels.iter().enumerate().take(n) {
        let label = label as usize;
        for j in 0..k {
            sums.add(i * k + j, grad.data[i * k + j]);
            sums.add(i * k + label, -grad.data[i * k + j]);
        }
    }
    sums.finish()
}

/// y[n,k] = Σ_f |w[label,f] − w[k,f]| · r[n,f].
pub fn margin_radius(r: &Tensor, w: &Tensor, labels: &[u32]) -> Reference {
    let ([n, f], [k, _]) = (extents(r), extents(w));
    let mut sums = Sums::new(&[n, k]);
    for (i, &label) in labels.iter().enumerate().take(n) {
        let own = label as usize;
        for j in 0..k {
            for l in 0..f {
                sums.add(i * k + j, (w.data[own * f + l] - w.data[j * f + l]).abs() * r.data[i * f + l]);
            }
        }
    }
    rounded_difference(sums.finish())
}

/// d/dr[n,f] = Σ_k g[n,k] · |w[label,f] − w[k,f]|.
pub fn margin_radius_backward_input(grad: &Tensor, w: &Tensor, labels: &[u32]) -> Reference {
    let ([n, k], [_, f]) = (extents(grad), extents(w));
    let mut sums = Sums::new(&[n, f]);
    for (i, &label) in labels.iter().enumerate().take(n) {
        let own = label as usize;
        for j in 0..k {
            for l in 0..f {
                sums.add(i * f + l, grad.data[i * k + j] * (w.data[own * f + l] - w.data[j * f + l]).abs());
            }
        }
    }
    rounded_difference(sums.finish())
}

/// d/dw: every |w[label,f] − w[k,f]| pulls its label's row up and row k down, or the other way round.
pub fn margin_radius_backward_weight(grad: &Tensor, r: &Tensor, w: &Tensor, labels: &[u32]) -> Reference {
    let ([n, k], [_, f]) = (extents(grad), extents(w));
    let mut sums = Sums::new(&w.shape);
    for (i, &label) in labels.iter().enumerate().take(n) {
        let own = label as usize;
        for j in 0..k {
            for l in 0..f {
                let term = grad.data[i * k + j] * sign(w.data[own * f + l] - w.data[j * f + l]) * r.data[i * f + l];
                sums.add(own * f + l, term);
                sums.add(j * f + l, -term);
            }
        }
    }
    sums.finish()
}

/// Each term holds one rounding more: that of the difference of weights.
fn rounded_difference(mut reference: Reference) -> Reference {
    reference.terms += 1;
    reference
}

/// −1, 0 or 1.
pub fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn extents(x: &Tensor) -> [usize; 2] {
    x.shape.as_slice().try_into().expect("a matrix")
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::random::Random;

    #[test]
    fn values_worked_by_hand() {
        let x = Tensor::new([1, 2], vec![2.0, 3.0]);
        let w = Tensor::new([3, 2], vec![1.0, -1.0, 0.0, 2.0, 4.0, 1.0]);
        assert_eq!(forward(&x, &w, Some(&Tensor::new([3], vec![1.0, 2.0, 3.0]))).value.data, [0.0, 8.0, 14.0]);
        assert_eq!(label_margin(&Tensor::new([1, 3], vec![5.0, 7.0, 4.0]), &[1]).value.data, [-2.0, 0.0, -3.0]);
        // |row 2 − row 0| = (3, 2), |row 2 − row 1| = (4, 1).
        assert_eq!(margin_radius(&x, &w, &[2]).value.data, [12.0, 11.0, 0.0]);
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(2);
        let labels = [2, 0, 2, 3];
        let inputs =
            [random.tensor([4, 5], -1.0, 1.0), random.tensor([6, 5], -1.0, 1.0), random.tensor([6], -1.0, 1.0)];
        assert_gradient(&inputs, &|i| vec![forward(&i[0], &i[1], Some(&i[2])).value], &|i, g| {
            let bias = super::super::conv2d::backward_bias(&g[0]).value;
            vec![backward_input(&g[0], &i[1]).value, backward_weight(&i[0], &g[0]).value, bias]
        });
        let inputs = [random.tensor([4, 5], -1.0, 1.0)];
        assert_gradient(&inputs, &|i| vec![label_margin(&i[0], &labels).value], &|_, g| {
            vec![label_margin_backward(&g[0], &labels).value]
        });
        let inputs = [random.tensor([4, 5], 0.0, 1.0), random.tensor([6, 5], -1.0, 1.0)];
        assert_gradient(&inputs, &|i| vec![margin_radius(&i[0], &i[1], &labels).value], &|i, g| {
            vec![
                margin_radius_backward_input(&g[0], &i[1], &labels).value,
                margin_radius_backward_weight(&g[0], &i[0], &i[1], &labels).value,
            ]
        });
    }

    #[test]
    fn equal_rows_have_no_slope() {
        let w = Tensor::filled([3, 2], 0.5);
        let ones = Tensor::filled([1, 3], 1.0);
        let grad = margin_radius_backward_weight(&ones, &Tensor::filled([1, 2], 1.0), &w, &[0]);
        assert!(grad.value.data.iter().all(|&g| g == 0.0));
    }
}
