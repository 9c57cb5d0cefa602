//! Where values lie on a chart: axes with their marks, values to places.

use std::fmt::Write;

use super::chart::{Axis, Chart, Mark, Scale, Series};
use super::text::{escape, fitted, width};
use super::ticks::{Ticks, linear, logarithmic, whole};

/// Size of a letter.
pub(super) const TEXT_SIZE: f64 = 12.0;
/// Free room between two marks' texts.
const APART: f64 = 6.0;

/// Room of a chart without its legend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The plane of a chart.
pub(super) struct Plane {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    x: Ticks,
    y: Ticks,
    logarithmic: [bool; 2],
}

/// The axis for all of `values` that it can show; `None` if there are none.
fn ticks(axis: &Axis, values: impl Iterator<Item = f64>) -> Option<Ticks> {
    let shown = values.filter(|&value| axis.shows(value));
    let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    (low <= high).then(|| match axis.scale {
        Scale::Linear => linear(low, high, axis.limits),
        Scale::Logarithmic => logarithmic(low, high),
        Scale::Whole => whole(low, high),
    })
}

/// Every `step`-th mark, the smallest step with which no two texts of `size(text)` touch. Marks come in rising order at
/// rising or falling `place`s.
fn apart(
    marks: &[(f64, String)],
    place: impl Fn(f64) -> f64,
    size: impl Fn(&str) -> f64,
) -> impl Iterator<Item = &(f64, String)> {
    let fits = |step: usize| {
        let kept: Vec<(f64, f64)> = marks.iter().step_by(step).map(|(v, text)| (place(*v), size(text))).collect();
        kept.windows(2).all(|pair| (pair[0].0 - pair[1].0).abs() >= 0.5 * (pair[0].1 + pair[1].1))
    };
    let step = (1..marks.len()).find(|&step| fits(step)).unwrap_or(marks.len().max(1));
    marks.iter().step_by(step)
}

impl Plane {
    /// The plane for all values of `chart` within `room`; `None` if there is nothing to show.
    pub(super) fn new(chart: &Chart, room: Room) -> Option<Plane> {
        let places =
            || chart.series.iter().flat_map(Series::places).filter(|p| chart.x.shows(p.0) && chart.y.shows(p.1));
        let levels = chart.series.iter().filter_map(|series| match series.mark {
            Mark::Level(level) => Some(level),
            _ => None,
        });
        let x = ticks(&chart.x, places().map(|p| p.0))?;
        let y = ticks(&chart.y, places().map(|p| p.1).chain(levels))?;
        let marks = y.marks.iter().map(|(_, text)| width(text, TEXT_SIZE)).fold(0.0, f64::max);
        let logarithmic = [&chart.x, &chart.y].map(|axis| axis.scale == Scale::Logarithmic);
        // The last mark of x stands at the end of its axis, half of it beyond.
        let beyond = x.marks.last().map_or(0.0, |(_, text)| 0.5 * width(text, TEXT_SIZE) + 2.0);
        let (left, right, top, bottom) = (32.0 + marks, room.width - beyond.max(16.0), 34.0, room.height - 44.0);
        let mut plane = Plane { left, right, top, bottom, x, y, logarithmic };
        if chart.equal_axes {
            plane.equalize();
        }
        Some(plane)
    }

    /// Makes the plane smaller along one axis so that one unit is as long on both.
    fn equalize(&mut self) {
        let per_unit = [
            (self.right - self.left) / (self.x.high - self.x.low),
            (self.bottom - self.top) / (self.y.high - self.y.low),
        ];
        let length = per_unit[0].min(per_unit[1]);
        self.right = self.left + length * (self.x.high - self.x.low);
        self.top = self.bottom - length * (self.y.high - self.y.low);
    }

    fn share(ticks: &Ticks, value: f64, logarithmic: bool) -> f64 {
        let at = |v: f64| if logarithmic { v.ln() } else { v };
        (at(value) - at(ticks.low)) / (at(ticks.high) - at(ticks.low))
    }

    /// Place of x.
    pub(super) fn across(&self, x: f64) -> f64 {
        self.left + Plane::share(&self.x, x, self.logarithmic[0]) * (self.right - self.left)
    }

    /// Place of y.
    pub(super) fn down(&self, y: f64) -> f64 {
        self.bottom - Plane::share(&self.y, y, self.logarithmic[1]) * (self.bottom - self.top)
    }

    /// Frame, grid, marks and names of the axes as SVG lines.
    pub(super) fn axes(&self, chart: &Chart) -> String {
        let Plane { left, right, top, bottom, .. } = *self;
        let (mut grid, mut texts) = (String::new(), String::new());
        for (value, text) in apart(&self.y.marks, |v| self.down(v), |_| TEXT_SIZE + 2.0) {
            let y = self.down(*value);
            write!(grid, "M{left:.1} {y:.1}H{right:.1}").expect("a string takes all");
            write!(texts, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", left - 6.0, y + 4.0)
                .expect("a string takes all");
        }
        for (value, text) in apart(&self.x.marks, |v| self.across(v), |text| width(text, TEXT_SIZE) + APART) {
            let x = self.across(*value);
            write!(grid, "M{x:.1} {bottom:.1}v4").expect("a string takes all");
            write!(texts, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", bottom + 19.0)
                .expect("a string takes all");
        }
        let (middle, below) = ((left + right) / 2.0, bottom + 36.0);
        // The name below may be as wide as the chart, the other as long as the axis and its surroundings are high.
        let x = escape(&fitted(&chart.x.label(), TEXT_SIZE, 2.0 * (middle - 4.0).min(right + 14.0 - middle).max(0.0)));
        let y = escape(&fitted(&chart.y.label(), TEXT_SIZE, bottom - top + 50.0));
        let turned = format!("rotate(-90) translate({:.1} 16)", -(top + bottom) / 2.0);
        format!(
            "<path d=\"{grid}\" stroke=\"currentColor\" stroke-opacity=\"0.18\"/>\n\
             <path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>\n\
             {texts}\n\
             <text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{x}</text>\n\
             <text transform=\"{turned}\" text-anchor=\"middle\">{y}</text>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_would_touch_are_left_out() {
        let marks: Vec<(f64, String)> = (0..6).map(|i| (f64::from(i), format!("{i}"))).collect();
        let kept = |unit: f64| apart(&marks, |v| v * unit, |_| 10.0).map(|mark| mark.0).collect::<Vec<_>>();
        assert_eq!(kept(10.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(kept(9.0), [0.0, 2.0, 4.0]);
        assert_eq!(kept(4.0), [0.0, 3.0]);
        assert_eq!(kept(0.1), [0.0]);
    }
}
