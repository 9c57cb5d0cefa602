//! A dense tensor in f64. What is fed to a device is representable in f32, so that both sides compute from the same numbers.

/// Extents, outermost first, and row-major elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Tensor {
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of a tensor of shape {shape:?}");
        Tensor { shape, data }
    }

    pub fn filled(shape: impl Into<Vec<usize>>, value: f64) -> Self {
        let shape = shape.into();
        let n = shape.iter().product();
        Tensor { shape, data: vec![value; n] }
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Tensor { shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    /// Elementwise function of two tensors of one shape.
    pub fn zip(&self, other: &Tensor, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape, "shapes of an elementwise function");
        let data = self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect();
        Tensor { shape: self.shape.clone(), data }
    }

    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// The same elements under another shape.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Self {
        Tensor::new(shape, self.data)
    }

    /// The elements as a device takes them.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&x| x as f32).collect()
    }

    pub fn max_abs(&self) -> f64 {
        self.data.iter().fold(0.0, |m, x| x.abs().max(m))
    }
}
