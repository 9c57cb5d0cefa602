//! The robust loss against the size of the box that it is taken over (Müller et al. 2023, figure 7).
//!
//! Boxes are centered at the images, with radius λ·ε, and cut with `[0, 1]` as in training. Over each the margins are bounded by interval
//! arithmetic with the last layer elided, or by linear relaxation (CROWN, Zhang et al. 2018) with the neurons' intervals tightened by the same; the
//! loss of an image is log(1 + Σ exp(−dᵢ)) of these bounds, which at λ = 0 is its cross-entropy.

mod compute;
mod document;

pub use compute::{curve, robust_loss};

use serde::Serialize;

use crate::train::{Config, MethodKind};

/// How margins are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Interval arithmetic.
    Ibp,
    /// Backward passes for every layer.
    Crown,
}

impl Bound {
    /// The name in figures and tables.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Ibp => "IBP",
            Bound::Crown => "CROWN",
        }
    }
}

/// Which boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Radius ε.
    pub epsilon: f64,
    /// Box sizes λ, relative to ε, rising.
    pub lambdas: Vec<f64>,
}

impl Setting {
    /// The greatest λ.
    pub const GREATEST: f64 = 1.25;

    /// λ from 0 to [`Setting::GREATEST`] at the distance `step`, with those of `also` and the 0.5, 1 and 1.25 that the outcome's words are about.
    ///
    /// # Panics
    /// If `step` is not positive.
    pub fn new(epsilon: f64, step: f64, also: &[f64]) -> Setting {
        assert!(step > 0.0, "a distance of {step}");
        let steps = (Setting::GREATEST / step).floor() as usize;
        let grid = (0..=steps).map(|i| i as f64 * step);
        // Multiples of a step carry rounding: 3 · 0.1 is not 0.3.
        let rounded = |lambda: f64| (lambda * 1e9).round() / 1e9;
        let mut lambdas: Vec<f64> =
            grid.chain(also.iter().copied()).chain([0.5, 1.0, Setting::GREATEST]).map(rounded).collect();
        lambdas.sort_by(f64::total_cmp);
        lambdas.dedup();
        Setting { epsilon, lambdas }
    }
}

/// λ of the boxes that a run trained on: 1 for those that propagate the whole ball, the small one of `sabr` and `staps`; none for a
/// method that has no box or mixes its bounds with something else.
pub fn own_lambda(config: &Config) -> Option<f64> {
    match config.method {
        MethodKind::Ibp | MethodKind::Taps => Some(1.0),
        MethodKind::Sabr | MethodKind::Staps => Some(config.lambda),
        _ => None,
    }
}

/// One box size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Radius relative to ε.
    pub lambda: f64,
    /// Mean robust loss over the images, in nats.
    pub loss: f64,
    /// Images with all bounds of their margins positive.
    pub certified: usize,
}

/// One network under one kind of bounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Name of the network.
    pub model: String,
    /// How margins are bounded.
    pub bound: Bound,
    /// λ of the boxes that it was trained on, see [`own_lambda`].
    pub own_lambda: Option<f64>,
    /// By rising λ.
    pub points: Vec<Point>,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossGrowth {
    /// Name of the dataset.
    pub dataset: String,
    /// Part of it.
    pub split: String,
    /// Number of images.
    pub images: usize,
    /// Radius ε.
    pub epsilon: f64,
    /// Network by network.
    pub curves: Vec<Curve>,
}

impl Curve {
    /// The point at `lambda`, if it was computed.
    pub fn at(&self, lambda: f64) -> Option<&Point> {
        self.points.iter().find(|point| (point.lambda - lambda).abs() < 1e-8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_sizes_rise_without_repetition() {
        let setting = Setting::new(0.1, 0.05, &[0.4, 1.0, 0.33]);
        assert_eq!(setting.lambdas.len(), 27);
        assert!(setting.lambdas.windows(2).all(|pair| pair[0] < pair[1]));
        for wanted in [0.0, 0.15, 0.33, 0.4, 0.5, 1.0, 1.25] {
            assert!(setting.lambdas.contains(&wanted), "{wanted}");
        }
        assert_eq!(Setting::new(0.1, 1.25, &[]).lambdas, [0.0, 0.5, 1.0, 1.25]);
    }

    #[test]
    fn methods_with_one_box_have_its_size() {
        let of = |method| own_lambda(&Config { method, lambda: 0.3, ..Config::default() });
        let wanted = [None, None, Some(1.0), Some(0.3), None];
        let methods = [MethodKind::Std, MethodKind::Pgd, MethodKind::Ibp, MethodKind::Sabr, MethodKind::MtlIbp];
        assert_eq!(methods.map(of), wanted);
    }
}
