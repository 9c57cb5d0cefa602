//! The one comparator: shape first, NaN never equal, every difference held against a bound that follows from the
//! number of roundings and not from trying.

use super::oracle::Reference;
use super::random::Data;
use super::tensor::Tensor;

/// 2⁻²³: one unit in the last place of 1 in f32, twice the unit roundoff. The factor of two over the theory pays for
/// the roundings that belong to no summand (a bias, a final scaling).
pub const EPSILON: f64 = f32::EPSILON as f64;

/// The factor of ε₃₂ · Σ|terms| that bounds the error of a sum of `terms` rounded terms in any order: `terms`
/// (Higham, Accuracy and Stability, §4.2), and from 64 terms on 8·√terms, which independent roundings exceed with a probability
/// below e⁻³² (Higham & Mary 2019, theorem 2.4) and which keeps the bound sharp enough to notice one missing term.
pub fn growth(terms: usize) -> f64 {
    let k = terms as f64;
    k.min(8.0 * k.sqrt())
}

/// How closely a result must agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closeness {
    /// To the bit (−0 = 0).
    Exact,
    /// Within the bound that the oracle's scale and number of terms give.
    Rounded,
    /// Within an absolute distance that the caller can justify.
    Within(f64),
}

impl From<Data> for Closeness {
    fn from(data: Data) -> Self {
        match data {
            Data::Integers => Closeness::Exact,
            Data::Reals => Closeness::Rounded,
        }
    }
}

/// What is wrong with `got`, if anything: the shape, or how many elements are off and the worst of them.
pub fn compare(got: &Tensor, want: &Reference, closeness: Closeness) -> Result<(), String> {
    if got.shape != want.value.shape {
        return Err(format!("shape {:?}, expected {:?}", got.shape, want.value.shape));
    }
    let (mut failures, mut worst) = (0, None::<(f64, usize)>);
    for (i, (&g, &w)) in got.data.iter().zip(&want.value.data).enumerate() {
        let allowed = match closeness {
            Closeness::Exact => 0.0,
            Closeness::Within(distance) => distance,
            // Numbers below the smallest normal one may be flushed to zero.
            Closeness::Rounded => growth(want.terms) * (EPSILON * want.scale[i] + f64::from(f32::MIN_POSITIVE)),
        };
        let difference = if g == w { 0.0 } else { (g - w).abs() };
        if difference <= allowed {
            continue;
        }
        failures += 1;
        let excess = if difference.is_nan() { f64::INFINITY } else { difference - allowed };
        if worst.is_none_or(|(most, _)| excess > most) {
            worst = Some((excess, i));
        }
    }
    let Some((_, i)) = worst else { return Ok(()) };
    Err(format!(
        "{failures} of {} elements differ; worst at {:?}: got {:e}, expected {:e} ({closeness:?}, scale {:e}, {} terms)",
        got.len(),
        position(&got.shape, i),
        got.data[i],
        want.value.data[i],
        want.scale[i],
        want.terms,
    ))
}

/// Panics with `context` where [`compare`] finds a difference.
#[track_caller]
pub fn assert_close(context: &str, got: &Tensor, want: &Reference, closeness: impl Into<Closeness>) {
    if let Err(what) = compare(got, want, closeness.into()) {
        panic!("{context}: {what}");
    }
}

/// Index along each axis of flat element `i`.
fn position(shape: &[usize], mut i: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (index, &extent) in index.iter_mut().zip(shape).rev() {
        (*index, i) = (i % extent, i / extent);
    }
    index
}

mod tests {
    use super::*;

    fn reference(data: &[f64], scale: f64, terms: usize) -> Reference {
        let value = Tensor::new([data.len()], data.to_vec());
        Reference { scale: vec![scale; data.len()], value, terms }
    }

    fn tensor(data: &[f64]) -> Tensor {
        Tensor::new([data.len()], data.to_vec())
    }

    #[test]
    fn equal_and_nearly_equal_values_pass() {
        let want = reference(&[1.0, -2.0, 0.0], 2.0, 3);
        assert_eq!(compare(&tensor(&[1.0, -2.0, -0.0]), &want, Closeness::Exact), Ok(()));
        assert_eq!(compare(&tensor(&[1.0 + 6.0 * EPSILON, -2.0, 0.0]), &want, Closeness::Rounded), Ok(()));
        assert_eq!(compare(&tensor(&[1.25, -2.0, 0.0]), &want, Closeness::Within(0.25)), Ok(()));
        let infinite = reference(&[f64::INFINITY], 1.0, 1);
        assert_eq!(compare(&tensor(&[f64::INFINITY]), &infinite, Closeness::Exact), Ok(()));
    }

    #[test]
    fn another_shape_of_the_same_elements_fails() {
        let want = reference(&[1.0, 2.0], 1.0, 1);
        let got = Tensor::new([2, 1], vec![1.0, 2.0]);
        assert!(compare(&got, &want, Closeness::Within(9.0)).unwrap_err().contains("shape [2, 1]"));
    }

    #[test]
    fn values_beyond_the_bound_fail_and_the_worst_is_named() {
        let want = reference(&[1.0, -2.0, 0.0], 2.0, 3);
        let got = tensor(&[1.0 + 7.0 * EPSILON, -2.0, 0.5]);
        let message = compare(&got, &want, Closeness::Rounded).unwrap_err();
        assert!(message.starts_with("2 of 3 elements differ; worst at [2]: got 5e-1, expected 0e0"), "{message}");
        assert!(compare(&got, &want, Closeness::Exact).is_err());
        assert!(compare(&tensor(&[1.0, -2.0, 0.26]), &want, Closeness::Within(0.25)).is_err());
    }

    #[test]
    fn nan_and_infinity_never_pass_for_a_number() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for closeness in [Closeness::Exact, Closeness::Rounded, Closeness::Within(f64::MAX)] {
                assert!(compare(&tensor(&[wrong]), &reference(&[1.0], 1.0, 1), closeness).is_err(), "{wrong}");
                assert!(compare(&tensor(&[1.0]), &reference(&[wrong], 1.0, 1), closeness).is_err(), "{wrong}");
            }
        }
        assert!(compare(&tensor(&[f64::NAN]), &reference(&[f64::NAN], 1.0, 1), Closeness::Exact).is_err());
    }

    #[test]
    fn the_bound_notices_one_missing_term_of_a_long_sum() {
        for terms in [2usize, 63, 64, 1000, 10_000] {
            assert!(growth(terms) * EPSILON < 1.0 / terms as f64, "{terms} equal terms");
        }
    }
}
