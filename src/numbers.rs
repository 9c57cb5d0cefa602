//! Numbers for people.

use std::time::Duration;

/// `12345` as `12 345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a binary prefix, three significant digits.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Floating-point operations with a decimal prefix, three significant digits.
pub fn flops(n: u64) -> String {
    scaled(n as f64, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"])
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would be written with four digits.
    while value >= step.min(999.5) && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", units[unit])
}

/// `7 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A radius in raw pixels: as the literature writes it, where it is a number of levels of 255.
pub fn radius(epsilon: f64) -> String {
    let (decimal, levels) = (epsilon.to_string(), (255.0 * epsilon).round());
    if decimal.len() > 8 && (levels / 255.0 - epsilon).abs() < 1e-12 { format!("{levels}/255") } else { decimal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_read_as_in_the_literature() {
        assert_eq!(
            [0.1, 0.2, 2.0 / 255.0, 0.00392157, 0.03137].map(radius),
            ["0.1", "0.2", "2/255", "0.00392157", "0.03137"]
        );
    }

    #[test]
    fn counts_bytes_and_times() {
        assert_eq!(
            ["0", "999", "1 000", "1 234 567"],
            [0, 999, 1000, 1_234_567].map(count).each_ref().map(|s| s.as_str())
        );
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(1023 * 1024), "1.00 MiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(flops(999_400_000), "999 MFLOP");
        assert_eq!(flops(999_600_000), "1.00 GFLOP");
        assert_eq!(duration(Duration::from_millis(59_400)), "59 s");
        assert_eq!(duration(Duration::from_millis(59_600)), "1 min 00 s");
        assert_eq!(duration(Duration::from_secs(7_500)), "2 h 05 min");
    }
}
