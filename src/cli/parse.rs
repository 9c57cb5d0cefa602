//! Values of options that clap doesn't know.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A number or a fraction such as `2/255`.
pub fn number(text: &str) -> Result<f64, String> {
    let plain = |part: &str| part.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let value = match text.split_once('/') {
        None => plain(text),
        Some((numerator, denominator)) => {
            plain(numerator).zip(plain(denominator)).map(|(n, d)| n / d).filter(|value| value.is_finite())
        }
    };
    value.ok_or_else(|| "expected a number or a fraction such as 2/255".to_string())
}

/// A whole number from 1.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a whole number of at least 1".to_string())
}

/// Whole numbers from A to B − 1, as `A..B`.
pub fn range(text: &str) -> Result<Range<usize>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.trim().parse().ok()?..b.trim().parse().ok()?));
    ends.filter(|range| !range.is_empty()).ok_or_else(|| "expected A..B, whole numbers with A below B".to_string())
}

/// Part I of N, as `I/N`, counted from 1.
pub fn shard(text: &str) -> Result<(usize, usize), String> {
    let ends = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
    ends.filter(|(i, n)| (1..=*n).contains(i)).ok_or_else(|| "expected I/N with I from 1 to N, such as 2/4".to_string())
}

/// A file to be written later: its folder must be there now.
pub fn new_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() { Ok(path) } else { Err(format!("there is no folder {}", folder.display())) }
}

/// Units of time, longest first, in seconds.
const UNITS: [(&str, f64); 5] = [("d", 86_400.0), ("h", 3_600.0), ("ms", 1e-3), ("m", 60.0), ("s", 1.0)];

/// A duration such as `90s`, `10m` or `1h30m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 90s, 10m or 1h30m".to_string();
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        if rest.is_empty() && digits == text.trim().len() {
            seconds = value;
            break;
        }
        let (unit, length) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
        seconds += value * length;
        rest = &rest[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_fractions() {
        assert_eq!(number("0.1"), Ok(0.1));
        assert_eq!(number("2/255"), Ok(2.0 / 255.0));
        assert_eq!(number(" 8 / 255 "), Ok(8.0 / 255.0));
        assert_eq!(number("-1"), Ok(-1.0));
        for wrong in ["", "a", "1/0", "1/2/3", "nan", "inf", "/2"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn positive_numbers() {
        assert_eq!(positive("12"), Ok(12));
        for wrong in ["0", "-1", "1.5", "", "99999999999999999999"] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(range("3..12"), Ok(3..12));
        for wrong in ["", "3", "3..", "..3", "3..3", "5..3", "-1..3", "1..2..3", "a..b"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shards() {
        assert_eq!(shard("2/4"), Ok((2, 4)));
        for wrong in ["", "0/4", "5/4", "1", "1/0", "a/b", "-1/2"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn new_files() {
        assert_eq!(new_file("a.json"), Ok(PathBuf::from("a.json")));
        assert!(new_file("no such folder/a.json").unwrap_err().contains("no such folder"));
    }

    #[test]
    fn durations() {
        let seconds = |text: &str| duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("90"), Ok(90.0));
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("1.5m"), Ok(90.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("250ms"), Ok(0.25));
        assert_eq!(seconds("2d"), Ok(172_800.0));
        for wrong in ["", "m", "10x", "-1s", "1m30", "1..5s", "1e3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
