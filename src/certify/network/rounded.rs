//! Real numbers as f64 with a bound of what they are off: running error analysis (Higham, Accuracy and Stability, §3.3).
//!
//! Where an operation rounds nothing, its error-free transformation says so and the bound stays 0: numbers that are used as a
//! file holds them remain exact.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number within `error` of `value`. What can't be bounded has an error that is infinite or no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rounded {
    pub(super) value: f64,
    pub(super) error: f64,
}

/// Least positive f64: what rounding may cost where a result is not normal.
const TINY: f64 = f64::from_bits(1);
/// Half a unit in the last place of 1.
const UNIT: f64 = f64::EPSILON / 2.0;
/// Products and quotients of at least this size have remainders that f64 holds.
const SAFE: f64 = 1e-250;

/// a + b of bounds, rounded up. The sum of two is 0 only if both are.
fn sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if sum == 0.0 { 0.0 } else { sum.next_up() }
}

/// a · b of bounds, rounded up.
fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { (a * b).next_up() }
}

impl Rounded {
    /// This very number.
    pub(super) fn exact(value: impl Into<f64>) -> Rounded {
        Rounded { value: value.into(), error: 0.0 }
    }

    /// Square root; no number for a negative one.
    pub(super) fn sqrt(self) -> Rounded {
        let value = self.value.sqrt();
        if value == 0.0 {
            return Rounded { value, error: if self.error == 0.0 { 0.0 } else { self.error.sqrt().next_up() } };
        }
        // |√(a+δ) − r| = |a + δ − r²| / (√(a+δ) + r), and the divisor is at least r.
        let off = sum(remainder(value, value, self.value), self.error);
        Rounded { value, error: if off == 0.0 { 0.0 } else { (off / value).next_up() } }
    }

    /// Bound of |real − value| / |value|; infinite for a 0 that is not exact.
    pub(super) fn relative(self) -> f64 {
        if self.error == 0.0 { 0.0 } else { (self.error / self.value.abs()).next_up() }
    }
}

/// At least |a · b − c| for a c that is a · b, or of which a or b is the quotient or root, rounded.
fn remainder(a: f64, b: f64, c: f64) -> f64 {
    if a == 0.0 || b == 0.0 {
        return c.abs();
    }
    if c.abs() >= SAFE && a.abs() >= SAFE && b.abs() >= SAFE {
        return a.mul_add(b, -c).abs();
    }
    // Rounding the product, the quotient (which b magnifies) or the root costs half a unit in the last place or half of the least number.
    let magnified = sum(product(TINY, a.abs()), product(TINY, b.abs()));
    sum(sum(product(4.0 * UNIT, c.abs()), magnified), TINY)
}

impl Add for Rounded {
    type Output = Rounded;
    fn add(self, other: Rounded) -> Rounded {
        let (a, b) = (self.value, other.value);
        let value = a + b;
        // Knuth's two-sum: the remainder is an f64.
        let part = value - a;
        let off = (a - (value - part)) + (b - part);
        Rounded { value, error: sum(sum(self.error, other.error), off.abs()) }
    }
}

impl Neg for Rounded {
    type Output = Rounded;
    fn neg(self) -> Rounded {
        Rounded { value: -self.value, ..self }
    }
}

impl Sub for Rounded {
    type Output = Rounded;
    fn sub(self, other: Rounded) -> Rounded {
        self + -other
    }
}

impl Mul for Rounded {
    type Output = Rounded;
    fn mul(self, other: Rounded) -> Rounded {
        let (a, b) = (self.value, other.value);
        let value = a * b;
        let inherited = sum(product(a.abs(), other.error), product(b.abs(), self.error));
        let inherited = sum(inherited, product(self.error, other.error));
        Rounded { value, error: sum(inherited, remainder(a, b, value)) }
    }
}

impl Div for Rounded {
    type Output = Rounded;
    fn div(self, other: Rounded) -> Rounded {
        let (a, b) = (self.value, other.value);
        let value = a / b;
        // |(a + α) / (b + β) − r| ≤ (|a − r·b| + α + |r|·β) / (|b| − β).
        let off = sum(sum(remainder(value, b, a), self.error), product(value.abs(), other.error));
        let least = if other.error == 0.0 { b.abs() } else { (b.abs() - other.error).next_down() };
        let error = match least > 0.0 {
            true if off == 0.0 => 0.0,
            true => (off / least).next_up(),
            false => f64::INFINITY,
        };
        Rounded { value, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_nothing_stays_exact() {
        let [half, three] = [0.5, 3.0].map(|v: f64| Rounded::exact(v));
        for exact in [half + three, half - three, half * three, three / half, (three * three).sqrt(), three - three] {
            assert_eq!(exact.error, 0.0, "{exact:?}");
        }
        let float = Rounded::exact(0.1f32);
        assert_eq!((float * float).error, 0.0, "a product of two f32");
        assert_eq!((Rounded::exact(0.0) * three).error, 0.0);
    }

    #[test]
    fn what_rounds_is_bounded_and_sharply() {
        let [third, three] = [Rounded::exact(1.0) / Rounded::exact(3.0), Rounded::exact(3.0)];
        // 3 · fl(1/3) is 1 − 2⁻⁵⁴: off by a third of that.
        assert!(third.error >= 2f64.powi(-54) / 3.0 && third.error <= 2f64.powi(-54), "{third:?}");
        let one = third * three;
        assert!((one.value - 1.0).abs() <= one.error && one.error < 1e-15, "{one:?}");
        let small = Rounded::exact(2f64.powi(-55)) + Rounded::exact(1.0);
        assert_eq!((small.value, small.error), (1.0, 2f64.powi(-55).next_up()));
        let root = Rounded::exact(2.0).sqrt();
        let square = root * root;
        assert!((square.value - 2.0).abs() <= square.error && square.error < 1e-14, "{square:?}");
    }

    #[test]
    fn errors_of_operands_are_handed_on() {
        let about = |value: f64| Rounded { value, error: 0.25 };
        let bounds = [
            (about(2.0) + about(3.0), 5.0, 0.5),
            (about(2.0) - about(3.0), -1.0, 0.5),
            (about(2.0) * about(3.0), 6.0, 2.25 * 3.25 - 6.0),
            (about(3.0) / about(1.5), 2.0, 3.25 / 1.25 - 2.0),
            (about(4.0).sqrt(), 2.0, 2.0 - 3.75f64.sqrt()),
        ];
        for (got, value, worst) in bounds {
            assert_eq!(got.value, value);
            assert!(got.error >= worst && got.error < 2.5 * worst, "{got:?}, {worst}");
        }
        assert!(about(4.0).relative() >= 0.0625);
    }

    #[test]
    fn what_has_no_bound_is_not_finite() {
        let about_zero = Rounded { value: 0.125, error: 0.25 };
        assert_eq!((Rounded::exact(1.0) / about_zero).error, f64::INFINITY);
        assert!(!(Rounded::exact(1.0) / Rounded::exact(0.0)).error.is_finite());
        assert!(!Rounded::exact(-1.0).sqrt().error.is_finite());
        let least = Rounded::exact(1e-200) * Rounded::exact(1e-200);
        assert!(least.value == 0.0 && least.error > 0.0 && least.relative() == f64::INFINITY, "{least:?}");
        let huge = Rounded::exact(1e300) * Rounded::exact(1e300);
        assert!(!huge.error.is_finite() || !huge.value.is_finite());
    }
}
