//! Every op in plain f64 loops that mirror the equations in `src/ops`, independent of the kernels.
//!
//! Each function returns the value and, per element, the sum of the absolute terms it is made of, from which the comparator
//! derives the rounding bound. Gradients are written out; the tests at the bottom of each file hold them against
//! central differences.

pub mod conv2d;
pub mod elementwise;
pub mod interval;
pub mod layout;
pub mod linear;
pub mod loss;
pub mod optimizer;
pub mod regularizer;
pub mod relaxation;

use super::random::Random;
use super::tensor::Tensor;

/// An exact result, with what its rounding error is measured by.
#[derive(Clone, Debug)]
pub struct Reference {
    pub value: Tensor,
    /// Per element: the sum of the absolute values of its terms.
    pub scale: Vec<f64>,
    /// Number of roundings on the way to one element; for sums the number of terms.
    pub terms: usize,
}

impl Reference {
    /// A result that needs no rounding bound because it is exact in f32.
    pub fn exact(value: Tensor) -> Self {
        Reference { scale: value.data.iter().map(|x| x.abs()).collect(), value, terms: 1 }
    }

    /// A result of `terms` roundings relative to its own size.
    pub fn relative(value: Tensor, terms: usize) -> Self {
        Reference { terms, ..Self::exact(value) }
    }

    /// Elementwise result: `f` gives value and scale of element `i`.
    pub fn elements(shape: &[usize], terms: usize, f: impl Fn(usize) -> (f64, f64)) -> Self {
        let n = shape.iter().product();
        let (data, scale) = (0..n).map(f).unzip();
        Reference { value: Tensor::new(shape, data), scale, terms }
    }

    /// The sum of two results, term by term.
    pub fn plus(mut self, other: &Reference) -> Self {
        self.value = self.value.zip(&other.value, |a, b| a + b);
        self.scale.iter_mut().zip(&other.scale).for_each(|(a, b)| *a += b);
        self.terms += other.terms;
        self
    }

    /// Every element times the same element of `factor`, which is exact.
    pub fn times(mut self, factor: &Tensor) -> Self {
        self.value = self.value.zip(factor, |a, b| a * b);
        self.scale.iter_mut().zip(&factor.data).for_each(|(a, b)| *a *= b.abs());
        self
    }
}

/// Sums under construction: one per element of the result.
pub struct Sums {
    shape: Vec<usize>,
    value: Vec<f64>,
    scale: Vec<f64>,
    count: Vec<usize>,
}

impl Sums {
    pub fn new(shape: &[usize]) -> Self {
        let n = shape.iter().product();
        Sums { shape: shape.to_vec(), value: vec![0.0; n], scale: vec![0.0; n], count: vec![0; n] }
    }

    pub fn add(&mut self, i: usize, term: f64) {
        self.value[i] += term;
        self.scale[i] += term.abs();
        self.count[i] += 1;
    }

    pub fn finish(self) -> Reference {
        let terms = self.count.into_iter().max().unwrap_or(0).max(1);
        Reference { value: Tensor::new(self.shape, self.value), scale: self.scale, terms }
    }
}

/// A function of tensors, as the gradient check sees it.
pub type Function<'a> = &'a dyn Fn(&[Tensor]) -> Vec<Tensor>;
/// Its gradient: the inputs and the upstream gradients of the outputs → a gradient for each input.
pub type Gradient<'a> = &'a dyn Fn(&[Tensor], &[Tensor]) -> Vec<Tensor>;

/// Holds `gradient` against central differences of `function` at `inputs` for a random upstream gradient. With the step
/// h = 2⁻¹⁷ the truncation error is h²·f‴/6 < 1e-10·f‴ and the rounding error 2⁻⁵²/h < 3e-11·|f|.
pub fn gradient_error(inputs: &[Tensor], function: Function<'_>, gradient: Gradient<'_>) -> f64 {
    const H: f64 = 1.0 / (1 << 17) as f64;
    let mut random = Random::new(11);
    let upstream: Vec<Tensor> = function(inputs).iter().map(|y| random.tensor(y.shape.clone(), -1.0, 1.0)).collect();
    let loss = |inputs: &[Tensor]| -> f64 {
        let pairs = |(y, g): (&Tensor, &Tensor)| y.data.iter().zip(&g.data).map(|(y, g)| y * g).sum::<f64>();
        function(inputs).iter().zip(&upstream).map(pairs).sum()
    };
    let mut worst = 0.0f64;
    for (which, gradient) in gradient(inputs, &upstream).iter().enumerate() {
        assert_eq!(gradient.shape, inputs[which].shape, "shape of gradient {which}");
        for i in 0..gradient.len() {
            let mut moved = inputs.to_vec();
            moved[which].data[i] += H;
            let above = loss(&moved);
            moved[which].data[i] -= 2.0 * H;
            let difference = (above - loss(&moved)) / (2.0 * H);
            worst = worst.max((difference - gradient.data[i]).abs() / (1.0 + difference.abs()));
        }
    }
    worst
}

/// Panics where `gradient` is not the slope of `function`.
#[track_caller]
pub fn assert_gradient(inputs: &[Tensor], function: Function<'_>, gradient: Gradient<'_>) {
    let error = gradient_error(inputs, function, gradient);
    assert!(error < 1e-7, "the gradient is off by {error:e}, relative");
}

mod tests {
    use super::*;

    #[test]
    fn the_gradient_check_rejects_a_wrong_slope() {
        let x = [Tensor::new([3], vec![0.5, -1.0, 2.0])];
        let cube: Function<'_> = &|x| vec![x[0].map(|x| x * x * x)];
        assert_gradient(&x, cube, &|x, g| vec![x[0].zip(&g[0], |x, g| 3.0 * x * x * g)]);
        let wrong = gradient_error(&x, cube, &|x, g| vec![x[0].zip(&g[0], |x, g| 3.001 * x * x * g)]);
        assert!(wrong > 1e-4, "{wrong:e}");
    }
}
