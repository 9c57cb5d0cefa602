//! Where an axis begins, ends and has its marks.

use super::number::number;

/// Places from the least to the greatest value, with marks between.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticks {
    /// Value at the beginning of the axis.
    pub(super) low: f64,
    /// Value at its end.
    pub(super) high: f64,
    /// Marks in rising order, each with its text.
    pub(super) marks: Vec<(f64, String)>,
}

/// Marks wanted on an axis.
const WANTED: f64 = 5.0;

/// The least of 1, 2, 5 times a power of ten that is no less than `raw`.
fn nice_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// The multiples of `step` in `[low, high]`, each with as many decimals as the step.
fn multiples(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let slack = 1e-9 * step;
    let (first, last) = (((low - slack) / step).ceil() as i64, ((high + slack) / step).floor() as i64);
    let size = low.abs().max(high.abs());
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let text = |value: f64| {
        if decimals > 4 || size >= 1e4 { number(value) } else { format!("{value:.decimals$}") }
    };
    (first..=last).map(|i| i as f64 * step).map(|value| (value, text(value))).collect()
}

/// A linear axis for values from `low` to `high`, widened to whole steps but not beyond `limits`. It begins at 0 when the values
/// come close to it.
pub(super) fn linear(mut low: f64, mut high: f64, limits: (f64, f64)) -> Ticks {
    if low == high {
        let room = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
        let below = if low == 0.0 { 0.0 } else { low - room };
        (low, high) = (below.max(limits.0.min(low)), (high + room).min(limits.1.max(high)));
    }
    if low > 0.0 && low < 0.3 * high {
        low = 0.0;
    }
    let step = nice_step((high - low) / WANTED);
    let whole = |value: f64| (value / step - 1e-9, value / step + 1e-9);
    let low = ((whole(low).1.floor() * step).max(limits.0)).min(low);
    let high = ((whole(high).0.ceil() * step).min(limits.1)).max(high);
    Ticks { low, high, marks: multiples(low, high, step) }
}

/// A linear axis of whole numbers from `low` to `high`, not widened.
pub(super) fn whole(low: f64, high: f64) -> Ticks {
    let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
    let step = nice_step((high - low) / WANTED).max(1.0);
    Ticks { low, high, marks: multiples(low, high, step) }
}

/// A logarithmic axis for positive values from `low` to `high`, widened to its marks.
pub(super) fn logarithmic(low: f64, high: f64) -> Ticks {
    let (low, high) = if low == high { (low / 2.0, high * 2.0) } else { (low, high) };
    let decades = (high / low).log10();
    let factors: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let every = (decades / (WANTED + 1.0)).ceil().max(1.0) as i32;
    // One decade more on either side, of which the marks beyond those next to the values are dropped again.
    let (first, last) = (low.log10().floor() as i32 - every, high.log10().ceil() as i32 + every);
    let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
    let all: Vec<f64> = powers.flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power))).collect();
    let least = all.iter().copied().rfind(|&mark| mark <= low * (1.0 + 1e-9)).unwrap_or(low);
    let greatest = all.iter().copied().find(|&mark| mark >= high * (1.0 - 1e-9)).unwrap_or(high);
    let inside = all.into_iter().filter(|&mark| mark >= least && mark <= greatest);
    Ticks { low: least.min(low), high: greatest.max(high), marks: inside.map(|mark| (mark, number(mark))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    fn texts(ticks: &Ticks) -> Vec<&str> {
        ticks.marks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn linear_axes_have_round_marks_and_hold_their_values() {
        assert_eq!(texts(&linear(0.0, 0.1, FREE)), ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]);
        assert_eq!(texts(&linear(91.8, 99.3, (0.0, 100.0))), ["90", "92", "94", "96", "98", "100"]);
        assert_eq!(texts(&linear(3_917.0, 38_218.0, FREE)), ["0", "10 000", "20 000", "30 000", "40 000"]);
        assert_eq!(texts(&linear(-3.0, 4.0, FREE)), ["-4", "-2", "0", "2", "4"]);
        for (low, high) in [(0.3, 0.300_001), (1e-7, 9e-7), (5.0, 5.0), (-1.0, -1.0), (0.0, 0.0), (1e9, 3e9)] {
            let ticks = linear(low, high, FREE);
            assert!(ticks.low <= low && ticks.high >= high && ticks.low < ticks.high, "{low} {high}: {ticks:?}");
            assert!((2..=12).contains(&ticks.marks.len()), "{low} {high}: {ticks:?}");
        }
    }

    #[test]
    fn limits_hold_back_the_widening_only() {
        let ticks = linear(0.0, 99.0, (0.0, 99.5));
        assert_eq!((ticks.low, ticks.high), (0.0, 99.5));
        assert_eq!(linear(100.0, 100.0, (0.0, 100.0)).high, 100.0);
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(texts(&whole(1.0, 3.0)), ["1", "2", "3"]);
        assert_eq!(texts(&whole(1.0, 20.0)), ["5", "10", "15", "20"]);
        assert_eq!(texts(&whole(7.0, 7.0)), ["7"]);
    }

    #[test]
    fn logarithmic_axes() {
        assert_eq!(texts(&logarithmic(8e-5, 2e-3)), ["5e-5", "0.0001", "0.0002", "0.0005", "0.001", "0.002"]);
        assert_eq!(texts(&logarithmic(0.5, 2_000.0)), ["0.1", "1", "10", "100", "1 000", "10 000"]);
        for (low, high) in [(1.0, 1.0), (3.0, 3.1), (1e-12, 1e12), (2.0, 5.0)] {
            let ticks = logarithmic(low, high);
            assert!(ticks.low <= low && ticks.high >= high && ticks.low < ticks.high, "{low} {high}: {ticks:?}");
            assert!((2..=12).contains(&ticks.marks.len()), "{low} {high}: {ticks:?}");
        }
    }
}
