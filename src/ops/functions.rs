//! Exponential, logarithm, sine and cosine of f32, as loops over them become vectors: without branches, in operations that are the same on
//! every machine. No function of a platform's mathematics library takes part, so that its version does not change a result.
//!
//! The polynomials are near-minimax fits (Chebyshev) of this program's own; the tests hold each function against f64.

/// 1.5 · 2²³: added to a number below 2²² and taken away again, it leaves the nearest integer, which the last bits of the sum are, too.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first times an exponent is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// The nearest integer to `x`, |x| < 2²², as both types.
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    let sum = x + ROUNDING;
    (sum - ROUNDING, sum.to_bits().wrapping_sub(ROUNDING.to_bits()) as i32)
}

/// Σ cᵢxⁱ, the last coefficient first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().reduce(|sum, c| sum * x + c).unwrap_or(0.0)
}

/// eˣ to 1 unit in the last place; NaN for NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these it is 0 and infinite.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let (n, bits) = nearest(x * std::f32::consts::LOG2_E);
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let rest = polynomial(r, [1.989_108e-4, 1.393_373e-3, 8.333_311e-3, 4.166_646_4e-2, 1.666_666_7e-1, 0.5]);
    let power = 1.0 + (r + r * r * rest);
    // 2ⁿ in two factors, since n reaches beyond the exponents of normal numbers.
    let half = bits >> 1;
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    power * two_to(half) * two_to(bits.wrapping_sub(half))
}

/// The natural logarithm of a normal positive number, to 1 unit in the last place; infinity and NaN are as they are.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    const ROOT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let above = x.to_bits().wrapping_sub(ROOT_HALF) as i32;
    let exponent = (above >> 23) as f32;
    // x = 2ᵉ(1 + f), 1 + f ∈ [√½, √2); with s = f / (2 + f), ln(1 + f) = ln((1 + s) / (1 − s)) = 2s + s³Q(s²) and 2s = f − sf.
    let f = f32::from_bits((above as u32 & 0x007f_ffff).wrapping_add(ROOT_HALF)) - 1.0;
    let s = f / (2.0 + f);
    let w = s * s;
    let rest = w * polynomial(w, [0.233_316_15, 0.285_507_8, 0.400_001_23, 0.666_666_6]);
    let ln = exponent * LN_2[0] + (f - (s * (f - rest) - exponent * LN_2[1]));
    if x < f32::INFINITY { ln } else { x }
}

/// Sine and cosine of `u` turns, 0 ≤ u ≤ 1, to 2 · 10⁻⁷.
#[inline(always)]
pub(crate) fn sin_cos_of_turns(u: f32) -> (f32, f32) {
    let (quarters, n) = nearest(4.0 * u);
    // Exact: in quarters of a turn from the nearest one.
    let r = 4.0 * u - quarters;
    let w = r * r;
    let sin = r * polynomial(w, [1.586_515e-4, -4.681_475e-3, 7.969_261e-2, -0.645_964_1, std::f32::consts::FRAC_PI_2]);
    let cos = polynomial(w, [9.067_399e-4, -2.086_152_8e-2, 0.253_669_4, -1.233_700_5, 1.0]);
    let (a, b) = if n & 1 == 0 { (sin, cos) } else { (cos, sin) };
    (if n & 2 == 0 { a } else { -a }, if (n + 1) & 2 == 0 { b } else { -b })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the right result in units of its last place, the smallest numbers having that of the least normal one.
    fn ulps(got: f32, right: f64) -> f64 {
        let near = (right as f32).abs().max(f32::MIN_POSITIVE);
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(got) - right).abs() / unit
    }

    /// Every 97th number from `from` to `to`, both of one sign.
    fn numbers(from: f32, to: f32) -> impl Iterator<Item = f32> {
        let (a, b) = (from.to_bits().min(to.to_bits()), from.to_bits().max(to.to_bits()));
        (a..=b).step_by(97).map(f32::from_bits)
    }

    #[test]
    fn exponentials_are_near_those_of_f64() {
        let worst = numbers(0.0, 88.722).chain(numbers(-0.0, -110.0));
        let worst = worst.map(|x| ulps(exp(x), f64::from(x).exp())).fold(0.0, f64::max);
        assert!(worst < 1.0, "{worst} units");
        assert!(ulps(exp(1.0 + 1e-6), 1f64.exp()) > 4.0, "another number's");
        assert_eq!([exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)], [1.0, 0.0, 0.0]);
        assert_eq!([exp(89.0), exp(f32::INFINITY)], [f32::INFINITY; 2]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn logarithms_are_near_those_of_f64() {
        let worst = numbers(f32::MIN_POSITIVE, f32::MAX).chain(numbers(0.99, 1.01));
        let worst = worst.map(|x| ulps(ln(x), f64::from(x).ln())).fold(0.0, f64::max);
        assert!(worst < 1.0, "{worst} units");
        assert_eq!([ln(1.0), ln(f32::INFINITY)], [0.0, f32::INFINITY]);
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn sines_and_cosines_of_all_turns_are_near_those_of_f64() {
        let mut worst = 0f64;
        for bits in (0..=1u32 << 24).step_by(13) {
            let u = bits as f32 / (1 << 24) as f32;
            let (sin, cos) = sin_cos_of_turns(u);
            let right = (std::f64::consts::TAU * f64::from(u)).sin_cos();
            worst = worst.max((f64::from(sin) - right.0).abs()).max((f64::from(cos) - right.1).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        let quarters = [0.0, 0.25, 0.5, 0.75, 1.0].map(sin_cos_of_turns);
        assert_eq!(quarters, [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 1.0)]);
    }
}
