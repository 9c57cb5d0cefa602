//! Decimal numbers, and whether an f64 is one of them.

/// A decimal as it was read: the nearest f64, and whether that is the very number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    /// The nearest f64.
    pub value: f64,
    /// Whether it is the decimal itself.
    pub is_exact: bool,
}

impl Decimal {
    /// 0.
    pub const ZERO: Decimal = Decimal { value: 0.0, is_exact: true };
    /// 1.
    pub const ONE: Decimal = Decimal { value: 1.0, is_exact: true };

    /// From text such as `-0.25` or `1e-3`; `None` for anything else, and for what f64 has no finite number for.
    pub fn parse(text: &str) -> Option<Decimal> {
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
        if !text.chars().all(digits) || !text.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
        Some(Decimal { value, is_exact: is_exact(text, value) })
    }

    /// The greatest f64 that is at most the decimal for sure.
    pub fn below(self) -> f64 {
        if self.is_exact { self.value } else { self.value.next_down() }
    }

    /// The least f64 that is at least the decimal for sure.
    pub fn above(self) -> f64 {
        if self.is_exact { self.value } else { self.value.next_up() }
    }

    /// The negative.
    pub fn negative(self) -> Decimal {
        Decimal { value: -self.value, is_exact: self.is_exact }
    }
}

/// Whether `value`, the nearest f64 to the decimal `text`, is equal to it. A text with an exponent counts as not exact.
fn is_exact(text: &str, value: f64) -> bool {
    let text = text.trim_start_matches(['+', '-']);
    if text.contains(['e', 'E']) {
        return false;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    // An odd multiple of 2^−n has exactly n digits behind the point.
    let bits = binary_places(value);
    if bits != fraction.len() {
        return false;
    }
    let exact = format!("{:.*}", bits, value.abs());
    let (their_whole, their_fraction) = exact.split_once('.').unwrap_or((&exact, ""));
    their_whole.trim_start_matches('0') == whole && their_fraction == fraction
}

/// n of the odd multiple of 2^−n that `value` is; 0 for whole numbers.
fn binary_places(value: f64) -> usize {
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64;
    let mantissa = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) };
    let lowest = exponent + i64::from(mantissa.trailing_zeros());
    usize::try_from(-lowest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_decimals_are_recognised() {
        for text in
            ["0", "-0.0", "1", "-1.50", "007", "0.5", "0.000244140625", "123456789.0", "+2.25", "9007199254740993"]
        {
            let decimal = Decimal::parse(text).unwrap();
            // 2^53 + 1 is no f64.
            assert_eq!(decimal.is_exact, text != "9007199254740993", "{text}");
        }
        for text in ["0.1", "-0.3", "0.029999999329447746", "1e0", "0.50000000000000000000000000001", "3.3"] {
            let decimal = Decimal::parse(text).unwrap();
            assert!(!decimal.is_exact && decimal.below() < decimal.value && decimal.value < decimal.above(), "{text}");
        }
        for text in ["", "-", "x", "1e999", "nan", "inf", "1.2.3", "."] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
