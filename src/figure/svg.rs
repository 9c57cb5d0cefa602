//! A chart as SVG text.

use std::fmt::Write;

use super::chart::{Chart, Mark, Series};
use super::marks::{at, draw};
use super::palette::swatch;
use super::plane::{Plane, Room, TEXT_SIZE};
use super::text::{escape, fitted, width};

/// Room of a chart that stands alone.
pub(super) const ALONE: Room = Room { width: 440.0, height: 280.0 };
const TITLE_SIZE: f64 = 14.0;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 18.0;
/// Width of a sample in the legend, with the blank after it.
const SAMPLE: f64 = 34.0;
/// Names longer than this are cut in the legend.
const LONGEST_NAME: usize = 40;

impl Chart {
    /// The chart as one `<svg>` element, 440 wide before scaling; it grows with its container.
    pub fn svg(&self) -> String {
        let legend = legend(self.series.iter(), ALONE.width, ALONE.height);
        let body = self.body(ALONE) + &legend.0;
        element(ALONE.width, ALONE.height + legend.1, &self.description(), &body)
    }

    /// Heading, axes and series within `room`.
    pub(super) fn body(&self, room: Room) -> String {
        let title = escape(&fitted(&self.title, TITLE_SIZE, room.width - 12.0));
        let mut svg = format!("<text x=\"8\" y=\"18\" font-size=\"{TITLE_SIZE}\" font-weight=\"600\">{title}</text>\n");
        match Plane::new(self, room) {
            Some(plane) => {
                svg += &plane.axes(self);
                for series in &self.series {
                    svg += &draw(self, series, &plane);
                }
            }
            None => {
                let (x, y) = (room.width / 2.0, room.height / 2.0);
                svg += &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">no values</text>\n");
            }
        }
        svg
    }

    /// What a reader hears who can't see the chart: heading, axes, and where each series ends.
    pub(super) fn description(&self) -> String {
        let mut text = format!("{}: {} over {}.", self.title, self.y.label(), self.x.label());
        for series in &self.series {
            let said = match &series.mark {
                Mark::Areas(polygons) | Mark::Outlines(polygons) => format!("{} polygons", polygons.len()),
                Mark::Histogram { heights, .. } => format!("{} intervals", heights.len()),
                Mark::Level(level) => super::number(*level),
                Mark::Line(_) | Mark::Dots(_) => {
                    let last = series.places().into_iter().rfind(|point| self.y.shows(point.1));
                    last.map_or("no values".into(), |point| at(self, point))
                }
            };
            write!(text, " {}, {said}.", series.name).expect("a string takes all");
        }
        text
    }
}

/// An `<svg>` element of the given size.
pub(super) fn element(width: f64, height: f64, description: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"{TEXT_SIZE}\" fill=\"currentColor\">\n{body}</svg>\n",
        escape(description)
    )
}

/// At most [`LONGEST_NAME`] letters.
fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.into();
    }
    format!("{}…", name.chars().take(LONGEST_NAME - 1).collect::<String>())
}

/// The legend of `series` from `top` on, in as many lines as it needs within `room`, and its height. What looks alike and is
/// called alike stands there once.
pub(super) fn legend<'a>(series: impl Iterator<Item = &'a Series>, room: f64, top: f64) -> (String, f64) {
    let (left, right) = (12.0, room - 8.0);
    let (mut x, mut line) = (left, 0.0);
    let mut text = String::new();
    let mut seen: Vec<String> = Vec::new();
    for series in series {
        let name = fitted(&short(&series.name), TEXT_SIZE, right - left - SAMPLE);
        let look = format!("{}{name}", swatch(&series.mark, series.style, 0.0, 0.0));
        if seen.contains(&look) {
            continue;
        }
        seen.push(look);
        let taken = SAMPLE + width(&name, TEXT_SIZE) + 14.0;
        if x > left && x + taken > right {
            (x, line) = (left, line + 1.0);
        }
        let y = top + line * LEGEND_LINE + 8.0;
        let (sample, at) = (swatch(&series.mark, series.style, x, y), x + SAMPLE);
        writeln!(text, "{sample}<text x=\"{at:.1}\" y=\"{:.1}\">{}</text>", y + 4.0, escape(&name))
            .expect("a string takes all");
        x += taken;
    }
    (text, (line + 1.0) * LEGEND_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Axis, Scale};

    fn chart(scale: Scale, points: &[f64]) -> Chart {
        let points = points.iter().enumerate().map(|(i, &y)| (i as f64 + 1.0, y)).collect();
        Chart {
            title: "Figure".into(),
            x: Axis { scale: Scale::Whole, ..Axis::linear("epoch", "") },
            y: Axis { scale, ..Axis::linear("share", "%") },
            equal_axes: false,
            series: vec![Series::new("a", 0, Mark::Line(points))],
        }
    }

    /// The pieces of the line, each its points (x, y) on the chart.
    fn pieces(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let line = svg.lines().find(|line| line.contains("stroke-width=\"2\"")).expect("a line");
        let path = line.split('"').nth(1).expect("its path");
        let point = |text: &str| {
            let (x, y) = text.split_once(' ').expect("two numbers");
            (x.parse().expect("a number"), y.parse().expect("a number"))
        };
        path.split('M').filter(|piece| !piece.is_empty()).map(|piece| piece.split('L').map(point).collect()).collect()
    }

    fn count(svg: &str, part: &str) -> usize {
        svg.matches(part).count()
    }

    #[test]
    fn values_rise_upwards_and_stay_within_the_chart() {
        let svg = chart(Scale::Linear, &[10.0, 20.0, 40.0]).svg();
        let [line] = &pieces(&svg)[..] else { panic!("{svg}") };
        assert!(line[0].1 > line[1].1 && line[1].1 > line[2].1, "{line:?}");
        let steps = [line[0].1 - line[1].1, line[1].1 - line[2].1];
        assert!((steps[1] - 2.0 * steps[0]).abs() < 0.2, "{line:?}");
        assert!(
            line.iter().all(|(x, y)| (0.0..ALONE.width).contains(x) && (0.0..ALONE.height).contains(y)),
            "{line:?}"
        );
        assert!(svg.contains("<title>a, epoch 3: 40 %</title>"), "{svg}");
        assert!(svg.contains("share [%]") && svg.contains(">epoch<"), "{svg}");
    }

    #[test]
    fn equal_ratios_are_equally_long_on_a_logarithmic_axis() {
        let svg = chart(Scale::Logarithmic, &[1.0, 10.0, 100.0]).svg();
        let line = &pieces(&svg)[0];
        assert!(((line[0].1 - line[1].1) - (line[1].1 - line[2].1)).abs() < 0.2, "{line:?}");
        // Values without a logarithm are gaps.
        assert_eq!(pieces(&chart(Scale::Logarithmic, &[1.0, 0.0, 2.0, -1.0]).svg()).len(), 2);
        assert!(chart(Scale::Logarithmic, &[0.0, -1.0]).svg().contains("no values"));
    }

    #[test]
    fn gaps_single_points_and_constants() {
        let svg = chart(Scale::Linear, &[1.0, f64::NAN, 3.0, 4.0, f64::INFINITY]).svg();
        assert_eq!(pieces(&svg).iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(count(&svg, "<title>"), 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");

        let single = chart(Scale::Linear, &[5.0]).svg();
        assert_eq!((count(&single, "h0"), count(&single, "<circle")), (1, 1), "a dot: {single}");
        for value in [0.0, 5.0, -5.0, 1e-9] {
            let line = &pieces(&chart(Scale::Linear, &[value; 3]).svg())[0];
            assert!(line.iter().all(|(_, y)| *y == line[0].1 && (34.0..=ALONE.height - 44.0).contains(y)), "{line:?}");
        }
        for empty in [&[][..], &[f64::NAN]] {
            assert!(chart(Scale::Linear, empty).svg().contains("no values"));
        }
    }

    #[test]
    fn many_points_have_no_dots_but_keep_their_titles() {
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let svg = chart(Scale::Linear, &many).svg();
        assert_eq!((count(&svg, "h0"), count(&svg, "<title>")), (0, 100));
    }

    #[test]
    fn names_can_not_break_out_of_their_place() {
        let mut chart = chart(Scale::Linear, &[1.0]);
        chart.series[0].name = "<script>\"'&\u{1}".into();
        chart.title = "</svg>".into();
        let svg = chart.svg();
        assert!(!svg.contains("<script") && count(&svg, "</svg>") == 1 && !svg.contains('\u{1}'), "{svg}");
        assert!(svg.contains("&lt;script&gt;&quot;&#39;&amp;\u{fffd}"), "{svg}");
    }

    #[test]
    fn the_legend_breaks_its_lines_and_cuts_long_names() {
        let mut chart = chart(Scale::Linear, &[1.0]);
        let of = |chart: &Chart| legend(chart.series.iter(), ALONE.width, 0.0);
        let one_line = of(&chart).1;
        let series = chart.series[0].clone();
        chart.series =
            (0..9).map(|style| Series { name: format!("run number {style}"), style, ..series.clone() }).collect();
        assert!(of(&chart).1 >= 3.0 * one_line);
        chart.series = vec![Series { name: "x".repeat(200), ..series }];
        assert!(of(&chart).0.contains("xxx…<") && of(&chart).1 == one_line);
        chart.series.push(chart.series[0].clone());
        assert_eq!(count(&of(&chart).0, "<text"), 1, "the same look and name once");
    }
}
