//! A chart as SVG text.

use std::fmt::Write;

use super::chart::{Axis, Chart, Scale, Series};
use super::number::number;
use super::palette::{colour, dash_attribute};
use super::ticks::{Ticks, linear, logarithmic, whole};

/// Width of a chart, and its height without the legend.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 280.0;
const TITLE_SIZE: f64 = 14.0;
const TEXT_SIZE: f64 = 12.0;
/// Upper estimate of a letter's width relative to its size: what draws the text knows its font, this does not.
const LETTER: f64 = 0.6;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 18.0;
/// Length of a line sample in the legend, with the blank after it.
const SAMPLE: f64 = 34.0;
/// Names longer than this are cut in the legend.
const LONGEST_NAME: usize = 40;
/// Up to so many points of a series are drawn as dots too.
const DOTTED: usize = 60;

/// Text as it may stand within an element or an attribute in quotes, whatever it holds.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Not allowed in XML at all.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Upper estimate of the width of `text`.
fn width(text: &str, size: f64) -> f64 {
    // From U+1100 on scripts have letters as wide as high.
    text.chars().map(|c| if c < '\u{1100}' { LETTER } else { 1.05 }).sum::<f64>() * size
}

/// At most [`LONGEST_NAME`] letters.
fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.into();
    }
    format!("{}…", name.chars().take(LONGEST_NAME - 1).collect::<String>())
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

/// The plane of a chart: values to places.
struct Plane {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Ticks,
    y: Ticks,
    logarithmic: [bool; 2],
}

impl Plane {
    fn share(ticks: &Ticks, value: f64, logarithmic: bool) -> f64 {
        let at = |v: f64| if logarithmic { v.ln() } else { v };
        (at(value) - at(ticks.low)) / (at(ticks.high) - at(ticks.low))
    }

    fn across(&self, x: f64) -> f64 {
        self.left + Plane::share(&self.x, x, self.logarithmic[0]) * (self.right - self.left)
    }

    fn down(&self, y: f64) -> f64 {
        self.bottom - Plane::share(&self.y, y, self.logarithmic[1]) * (self.bottom - self.top)
    }
}

impl Chart {
    /// The chart as one `<svg>` element, 440 wide before scaling; it grows with its container.
    pub fn svg(&self) -> String {
        let legend = self.legend(HEIGHT);
        let height = HEIGHT + legend.1;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{}\" font-family=\"system-ui, sans-serif\" font-size=\"{TEXT_SIZE}\" fill=\"currentColor\">\n",
            escape(&self.description())
        );
        let title = escape(&self.title);
        write_line(
            &mut svg,
            format_args!("<text x=\"8\" y=\"18\" font-size=\"{TITLE_SIZE}\" font-weight=\"600\">{title}</text>"),
        );
        let points = || self.series.iter().flat_map(|s| &s.points).filter(|p| self.x.shows(p.0) && self.y.shows(p.1));
        match (ticks(&self.x, points().map(|p| p.0)), ticks(&self.y, points().map(|p| p.1))) {
            (Some(x), Some(y)) => {
                let marks = y.marks.iter().map(|(_, text)| width(text, TEXT_SIZE)).fold(0.0, f64::max);
                let logarithmic = [&self.x, &self.y].map(|axis| axis.scale == Scale::Logarithmic);
                let (left, bottom) = (32.0 + marks, HEIGHT - 44.0);
                let plane = Plane { left, right: WIDTH - 16.0, top: 34.0, bottom, x, y, logarithmic };
                self.axes(&plane, &mut svg);
                for series in &self.series {
                    self.line(series, &plane, &mut svg);
                }
            }
            _ => {
                let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
                write_line(&mut svg, format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">no values</text>"));
            }
        }
        svg += &legend.0;
        svg += "</svg>\n";
        svg
    }

    /// What a reader hears who can't see the chart: heading, axes, and where each line ends.
    fn description(&self) -> String {
        let mut text = format!("{}: {} over {}.", self.title, self.y.label(), self.x.label());
        for series in &self.series {
            let last = series.points.iter().rfind(|point| self.y.shows(point.1));
            let end = last.map_or("no values".into(), |&point| self.at(point));
            write!(text, " {}, {end}.", series.name).expect("a string takes all");
        }
        text
    }

    /// `epoch 12: 93.1 %`.
    fn at(&self, (x, y): (f64, f64)) -> String {
        let unit = if self.y.unit.is_empty() { String::new() } else { format!(" {}", self.y.unit) };
        format!("{} {}: {}{unit}", self.x.name, number(x), number(y))
    }

    fn axes(&self, plane: &Plane, svg: &mut String) {
        let Plane { left, right, top, bottom, .. } = *plane;
        let mut grid = String::new();
        let mut texts = String::new();
        for (value, text) in &plane.y.marks {
            let y = plane.down(*value);
            write!(grid, "M{left:.1} {y:.1}H{right:.1}").expect("a string takes all");
            write!(texts, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", left - 6.0, y + 4.0)
                .expect("a string takes all");
        }
        for (value, text) in &plane.x.marks {
            let x = plane.across(*value);
            write!(grid, "M{x:.1} {bottom:.1}v4").expect("a string takes all");
            write!(texts, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", bottom + 17.0)
                .expect("a string takes all");
        }
        write_line(svg, format_args!("<path d=\"{grid}\" stroke=\"currentColor\" stroke-opacity=\"0.18\"/>"));
        let frame = format!("M{left:.1} {top:.1}V{bottom:.1}H{right:.1}");
        write_line(
            svg,
            format_args!("<path d=\"{frame}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>"),
        );
        write_line(svg, format_args!("{texts}"));
        let (middle, below) = ((left + right) / 2.0, bottom + 35.0);
        let (x, y) = (escape(&self.x.label()), escape(&self.y.label()));
        write_line(svg, format_args!("<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{x}</text>"));
        let turned = format!("rotate(-90) translate({:.1} 16)", -(top + bottom) / 2.0);
        write_line(svg, format_args!("<text transform=\"{turned}\" text-anchor=\"middle\">{y}</text>"));
    }

    /// A line, its dots, and a place to point at for every value.
    fn line(&self, series: &Series, plane: &Plane, svg: &mut String) {
        let place = |&(x, y): &(f64, f64)| (plane.across(x), plane.down(y));
        let shown = |point: &&(f64, f64)| self.x.shows(point.0) && self.y.shows(point.1);
        let (mut path, mut dots, mut targets) = (String::new(), String::new(), String::new());
        let all_dotted = series.points.len() <= DOTTED;
        for piece in series.points.split(|point| !shown(&point)).filter(|piece| !piece.is_empty()) {
            for (i, point) in piece.iter().enumerate() {
                let (x, y) = place(point);
                write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" }).expect("a string takes all");
                // A line of length 0 with round ends is a dot: one element for all of them.
                if all_dotted || piece.len() == 1 {
                    write!(dots, "M{x:.1} {y:.1}h0").expect("a string takes all");
                }
                let title = escape(&format!("{}, {}", series.name, self.at(*point)));
                write!(targets, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"><title>{title}</title></circle>")
                    .expect("a string takes all");
            }
        }
        let (colour, dashes) = (colour(series.style), dash_attribute(series.style));
        write_line(
            svg,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"{dashes}/>"
            ),
        );
        if !dots.is_empty() {
            write_line(
                svg,
                format_args!("<path d=\"{dots}\" stroke=\"{colour}\" stroke-width=\"4.5\" stroke-linecap=\"round\"/>"),
            );
        }
        write_line(svg, format_args!("<g fill-opacity=\"0\">{targets}</g>"));
    }

    /// The legend from `top` on, in as many lines as it needs, and its height.
    fn legend(&self, top: f64) -> (String, f64) {
        let (left, right) = (12.0, WIDTH - 8.0);
        let (mut x, mut line) = (left, 0.0);
        let mut text = String::new();
        for series in &self.series {
            let name = short(&series.name);
            let taken = SAMPLE + width(&name, TEXT_SIZE) + 14.0;
            if x > left && x + taken > right {
                (x, line) = (left, line + 1.0);
            }
            let y = top + line * LEGEND_LINE + 8.0;
            let (colour, dashes) = (colour(series.style), dash_attribute(series.style));
            write_line(
                &mut text,
                format_args!(
                    "<path d=\"M{x:.1} {y:.1}h26\" stroke=\"{colour}\" stroke-width=\"2.5\"{dashes}/>\
                     <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    x + SAMPLE,
                    y + 4.0,
                    escape(&name)
                ),
            );
            x += taken;
        }
        (text, (line + 1.0) * LEGEND_LINE)
    }
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, points: &[f64]) -> Chart {
        let points = points.iter().enumerate().map(|(i, &y)| (i as f64 + 1.0, y)).collect();
        Chart {
            title: "Figure".into(),
            x: Axis { scale: Scale::Whole, ..Axis::linear("epoch", "") },
            y: Axis { scale, ..Axis::linear("share", "%") },
            series: vec![Series { name: "a".into(), style: 0, points }],
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
        assert!(line.iter().all(|(x, y)| (0.0..WIDTH).contains(x) && (0.0..HEIGHT).contains(y)), "{line:?}");
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
            assert!(line.iter().all(|(_, y)| *y == line[0].1 && (34.0..=HEIGHT - 44.0).contains(y)), "{line:?}");
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
        let one_line = chart.legend(0.0).1;
        let series = chart.series[0].clone();
        chart.series =
            (0..9).map(|style| Series { name: format!("run number {style}"), style, ..series.clone() }).collect();
        assert!(chart.legend(0.0).1 >= 3.0 * one_line);
        chart.series = vec![Series { name: "x".repeat(200), ..series }];
        assert!(chart.legend(0.0).0.contains("xxx…<") && chart.legend(0.0).1 == one_line);
    }
}
