//! The mean growth of a box through a ReLU in closed form (Müller et al. 2023, section 4 and appendix A).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use serde::Serialize;

/// A normal distribution of the middles of boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gaussian {
    /// Mean μ.
    pub mean: f64,
    /// Standard deviation σ ≥ 0.
    pub deviation: f64,
}

/// Below this share of σ the closed form, a difference of nearly equal numbers, is replaced by its expansion, which then errs by a
/// part of 10⁻¹² at most.
const SMALL: f64 = 1e-3;

/// P(z ≤ x) of the standard normal distribution.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// Density of the standard normal distribution.
fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Radius of the box that a ReLU makes of `[center − radius, center + radius]`.
pub fn relu_radius(center: f64, radius: f64) -> f64 {
    // Written out by cases: no difference of large numbers for a neuron that is active on the whole box.
    if center >= radius {
        radius
    } else if center <= -radius {
        0.0
    } else {
        0.5 * (center + radius)
    }
}

impl Gaussian {
    /// The normal distribution with mean and deviation of `count` values, of which the sums of values and of squares are given.
    pub fn of_sums(count: usize, sum: f64, squares: f64) -> Gaussian {
        let mean = sum / count as f64;
        Gaussian { mean, deviation: (squares / count as f64 - mean * mean).max(0.0).sqrt() }
    }

    /// Growth rate κ(δ) = E\[r'\]/δ of boxes of radius δ > 0 through a ReLU: with a = (−δ − μ)/σ and b = (δ − μ)/σ,
    /// E\[r'\] = ½((δ + μ)(Φ(b) − Φ(a)) + σ(φ(a) − φ(b))) + δ(1 − Φ(b)). It goes to P(c > 0) as δ goes to 0, and to ½ as δ
    /// grows.
    pub fn relu_growth(self, radius: f64) -> f64 {
        let Gaussian { mean, deviation } = self;
        if deviation == 0.0 {
            return relu_radius(mean, radius) / radius;
        }
        let z = mean / deviation;
        let t = radius / deviation;
        if t < SMALL {
            // E'' = ½(p(−δ) − p(δ)) = −p'(0)δ + …, so that κ = P(c > 0) − p'(0)δ²/6, where p'(0) = μp(0)/σ².
            return normal_cdf(z) - z * normal_density(z) * t * t / 6.0;
        }
        let (a, b) = (-t - z, t - z);
        let unstable = (t + z) * (normal_cdf(b) - normal_cdf(a)) + normal_density(a) - normal_density(b);
        // 1 − Φ(b) = Φ(−b), without the difference.
        0.5 * unstable / t + normal_cdf(-b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun 1964, table 26.1, and the tails by the same integral in more digits.
    #[test]
    fn distribution_function_is_the_tabulated_one() {
        for (x, want) in [
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013_1),
            (1.0, 0.841_344_746_068_542_9),
            (2.0, 0.977_249_868_051_820_8),
            (3.0, 0.998_650_101_968_369_9),
            (-1.0, 0.158_655_253_931_457_05),
            (-4.0, 3.167_124_183_311_992e-5),
        ] {
            let got = normal_cdf(x);
            assert!((got - want).abs() <= 1e-15_f64.max(1e-14 * want), "Φ({x}) = {got}, expected {want}");
        }
        assert!((normal_cdf(1.0) - 0.841_344_746_068).abs() > 1e-13, "a value cut after twelve digits is told apart");
    }

    /// Simpson's rule with n intervals.
    fn integral(f: impl Fn(f64) -> f64, from: f64, to: f64, n: usize) -> f64 {
        let h = (to - from) / n as f64;
        let weight = |i: usize| if i == 0 || i == n { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
        (0..=n).map(|i| weight(i) * f(from + h * i as f64)).sum::<f64>() * h / 3.0
    }

    #[test]
    fn distribution_function_is_the_integral_of_the_density() {
        for x in [-2.5, -0.3, 0.7, 1.9, 3.3] {
            let want = 0.5 + integral(normal_density, 0.0, x, 2_000);
            assert!((normal_cdf(x) - want).abs() < 1e-12, "Φ({x})");
        }
    }

    #[test]
    fn growth_has_the_values_of_the_example_of_the_paper() {
        let example = Gaussian { mean: -1.0, deviation: 0.5 };
        for (radius, want) in [
            (1e-9, 0.02275),
            (0.1, 0.02347),
            (0.25, 0.02730),
            (0.5, 0.04147),
            (1.0, 0.09973),
            (1.5, 0.18055),
            (2.0, 0.25106),
            (4.0, 0.37500),
            (10.0, 0.45000),
        ] {
            let got = example.relu_growth(radius);
            assert!((got - want).abs() < 5.1e-6, "κ({radius}) = {got}, expected {want}");
        }
        // E[r'] more than doubles with the radius: the theorem.
        assert!((2.0 * example.relu_growth(2.0) - 0.50212).abs() < 5.1e-6);
        assert!(2.0 * example.relu_growth(2.0) > 2.0 * example.relu_growth(1.0));
    }

    #[test]
    fn growth_is_the_mean_over_the_distribution() {
        for (mean, deviation) in [(-1.0, 0.5), (0.7, 0.5), (-0.2, 3.0), (4.0, 1.0)] {
            let of = Gaussian { mean, deviation };
            for radius in [1e-5, 4e-4, 6e-4, 0.01, 0.3, 2.0, 9.0] {
                // Piece by piece between the kinks at ±radius.
                let inside = |c: f64| relu_radius(c, radius) * normal_density((c - mean) / deviation) / deviation;
                let ends = [-12.0, -4.0, 0.0, 4.0, 12.0].map(|t| mean + t * deviation);
                let mut ends: Vec<f64> = ends.into_iter().chain([-radius, radius]).collect();
                ends.sort_by(f64::total_cmp);
                let want: f64 = ends.windows(2).map(|e| integral(inside, e[0], e[1], 4_000)).sum::<f64>() / radius;
                let got = of.relu_growth(radius);
                assert!((got - want).abs() < 1e-11, "{of:?} at {radius}: {got}, expected {want}");
                let other = Gaussian { mean: mean + 0.01, deviation };
                assert!((other.relu_growth(radius) - want).abs() > 1e-10, "{other:?} at {radius} is told apart");
            }
        }
    }

    #[test]
    fn growth_of_a_symmetric_distribution_is_one_half() {
        for radius in [1e-6, 0.1, 1.0, 7.0] {
            assert!((Gaussian { mean: 0.0, deviation: 1.3 }.relu_growth(radius) - 0.5).abs() < 1e-15, "{radius}");
        }
    }

    #[test]
    fn growth_has_its_limits() {
        for mean in [-1.3, 0.4] {
            let of = Gaussian { mean, deviation: 0.8 };
            assert!((of.relu_growth(1e-12) - normal_cdf(mean / 0.8)).abs() < 1e-12);
            assert!((of.relu_growth(1e9) - 0.5).abs() < 1e-8);
        }
        let point = Gaussian { mean: 0.5, deviation: 0.0 };
        assert_eq!([point.relu_growth(0.25), point.relu_growth(1.0)], [1.0, 0.75]);
    }

    #[test]
    fn moments_of_sums() {
        let values = [1.0, 2.0, 4.0, 9.0];
        let of = Gaussian::of_sums(4, values.iter().sum(), values.iter().map(|v| v * v).sum());
        assert_eq!(of, Gaussian { mean: 4.0, deviation: 9.5f64.sqrt() });
    }
}
