//! Errors of many images in a few numbers.

use serde::Serialize;

use super::{Approximation, Image};

/// Errors value − exact of one method over the images whose exact value is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// Images.
    pub images: usize,
    /// Mean error; 0 of no image.
    pub mean: f64,
    /// Standard deviation over these images (division by their number).
    pub deviation: f64,
    /// Mean absolute error.
    pub absolute: f64,
    /// Images whose value is above the exact one by more than the tolerance.
    pub over: usize,
    /// Images whose value is below the exact one: a point that was found is worse.
    pub under: usize,
}

/// The errors of `approximation`, of all images or only of those that are proved robust.
pub fn errors(images: &[Image], approximation: Approximation, only_robust: bool, tolerance: f64) -> Errors {
    let counted = images.iter().filter(|image| !only_robust || image.is_robust());
    let errors: Vec<f64> = counted.filter_map(|image| image.error(approximation)).collect();
    let mean_of = |f: &dyn Fn(f64) -> f64| errors.iter().map(|&e| f(e)).sum::<f64>() / errors.len().max(1) as f64;
    let mean = mean_of(&|e| e);
    Errors {
        images: errors.len(),
        mean,
        deviation: mean_of(&|e| (e - mean) * (e - mean)).sqrt(),
        absolute: mean_of(&f64::abs),
        over: errors.iter().filter(|&&e| e > tolerance).count(),
        under: errors.iter().filter(|&&e| e < 0.0).count(),
    }
}
