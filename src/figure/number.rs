//! One number as text.

use crate::numbers::count;

/// A number with up to four significant digits: `0.4`, `93.12`, `38 218`, `8e-5`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        let text = format!("{value:.3e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    if size >= 999.95 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    let whole_digits = if size < 1.0 { 1 } else { size.log10().floor() as usize + 1 };
    let leading_zeros = if size == 0.0 || size >= 0.1 { 0 } else { (-size.log10()).floor() as usize };
    trimmed(&format!("{value:.*}", 4usize.saturating_sub(whole_digits) + usize::from(size < 1.0) + leading_zeros))
        .to_string()
}

/// Without zeros at the end of the fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_without_idle_zeros() {
        for (value, text) in [
            (0.0, "0"),
            (0.1, "0.1"),
            (0.400_000_1, "0.4"),
            (0.012_345_6, "0.01235"),
            (0.902_653_7, "0.9027"),
            (0.002, "0.002"),
            (0.000_512_34, "0.0005123"),
            (0.000_08, "8e-5"),
            (-1.5, "-1.5"),
            (93.124_9, "93.12"),
            (100.0, "100"),
            (999.96, "1 000"),
            (38_218.3, "38 218"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
