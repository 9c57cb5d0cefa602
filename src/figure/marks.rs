//! Series as SVG: one element for all that looks alike, and invisible ones that say their value when pointed at.

use std::fmt::Write;

use super::chart::{Chart, Dot, Mark, Point, Series};
use super::number::number;
use super::palette::{colour, dash_attribute, fill_attribute, marker};
use super::plane::Plane;
use super::text::escape;

/// Up to so many points of a line are drawn as dots too.
const DOTTED: usize = 60;

/// A place that can be drawn.
fn shown(chart: &Chart, point: &Point) -> bool {
    chart.x.shows(point.0) && chart.y.shows(point.1)
}

/// `epoch 12: 93.1 %`.
pub(super) fn at(chart: &Chart, (x, y): Point) -> String {
    let unit = |unit: &str| if unit.is_empty() { String::new() } else { format!(" {unit}") };
    format!("{} {}{}: {}{}", chart.x.name, number(x), unit(&chart.x.unit), number(y), unit(&chart.y.unit))
}

/// A series on its plane.
pub(super) fn draw(chart: &Chart, series: &Series, plane: &Plane) -> String {
    let mut svg = match &series.mark {
        Mark::Line(points) => line(chart, series, points, plane),
        Mark::Dots(dots) => self::dots(chart, series, dots, plane),
        Mark::Histogram { edges, heights } => histogram(chart, series, (edges, heights), plane),
        Mark::Areas(polygons) => {
            let style = format!("{} stroke-width=\"0.7\" stroke-opacity=\"0.8\"", fill_attribute(series.style));
            polygon(series, polygons, plane, &style)
        }
        Mark::Outlines(polygons) => polygon(
            series,
            polygons,
            plane,
            &format!(
                " fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"{}",
                colour(series.style),
                dash_attribute(series.style)
            ),
        ),
        Mark::Level(level) => {
            let (left, right, y) = (plane.left, plane.right, plane.down(*level));
            let (colour, dashes) = (colour(series.style), dash_attribute(series.style));
            let title = escape(&format!("{}: {}", series.name, number(*level)));
            format!(
                "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"{dashes}><title>{title}</title></path>"
            )
        }
    };
    svg.push('\n');
    svg
}

fn line(chart: &Chart, series: &Series, points: &[Point], plane: &Plane) -> String {
    let place = |&(x, y): &Point| (plane.across(x), plane.down(y));
    let (mut path, mut dots, mut targets) = (String::new(), String::new(), String::new());
    let all_dotted = points.len() <= DOTTED;
    for piece in points.split(|point| !shown(chart, point)).filter(|piece| !piece.is_empty()) {
        for (i, point) in piece.iter().enumerate() {
            let (x, y) = place(point);
            write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" }).expect("a string takes all");
            // A line of length 0 with round ends is a dot: one element for all of them.
            if all_dotted || piece.len() == 1 {
                write!(dots, "M{x:.1} {y:.1}h0").expect("a string takes all");
            }
            let title = escape(&format!("{}, {}", series.name, at(chart, *point)));
            write!(targets, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"><title>{title}</title></circle>")
                .expect("a string takes all");
        }
    }
    let (colour, dashes) = (colour(series.style), dash_attribute(series.style));
    let mut svg = format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"{dashes}/>\n"
    );
    if !dots.is_empty() {
        svg += &format!("<path d=\"{dots}\" stroke=\"{colour}\" stroke-width=\"4.5\" stroke-linecap=\"round\"/>\n");
    }
    svg + &format!("<g fill-opacity=\"0\">{targets}</g>")
}

fn dots(chart: &Chart, series: &Series, dots: &[Dot], plane: &Plane) -> String {
    let (mut bars, mut markers, mut targets) = (String::new(), String::new(), String::new());
    for dot in dots.iter().filter(|dot| shown(chart, &dot.at)) {
        let (x, y) = (plane.across(dot.at.0), plane.down(dot.at.1));
        // An end that has no place on a logarithmic axis is that of the axis.
        if let Some((low, high)) = dot.across {
            let low = if chart.x.shows(low) { plane.across(low) } else { plane.left };
            write!(bars, "M{low:.1} {y:.1}H{:.1}", plane.across(high)).expect("a string takes all");
        }
        if let Some((low, high)) = dot.along {
            let low = if chart.y.shows(low) { plane.down(low) } else { plane.bottom };
            write!(bars, "M{x:.1} {low:.1}V{:.1}", plane.down(high)).expect("a string takes all");
        }
        markers += &marker(series.style, x, y);
        let name = if dot.note.is_empty() { &series.name } else { &dot.note };
        let title = escape(&format!("{name}, {}", at(chart, dot.at)));
        write!(targets, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\"><title>{title}</title></circle>")
            .expect("a string takes all");
    }
    let colour = colour(series.style);
    format!(
        "<path d=\"{bars}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>\n\
         <path d=\"{markers}\" fill=\"{colour}\"/>\n<g fill-opacity=\"0\">{targets}</g>"
    )
}

fn histogram(chart: &Chart, series: &Series, (edges, heights): (&[f64], &[f64]), plane: &Plane) -> String {
    let (bottom, mut targets) = (plane.down(0.0), String::new());
    let mut path = edges.first().map_or(String::new(), |&edge| format!("M{:.1} {bottom:.1}", plane.across(edge)));
    for (ends, &height) in edges.windows(2).zip(heights) {
        let (left, right, y) = (plane.across(ends[0]), plane.across(ends[1]), plane.down(height));
        write!(path, "V{y:.1}H{right:.1}").expect("a string takes all");
        if height > 0.0 {
            let unit = if chart.y.unit.is_empty() { String::new() } else { format!(" {}", chart.y.unit) };
            let title = escape(&format!(
                "{}, {} from {} to {}: {}{unit}",
                series.name,
                chart.x.name,
                number(ends[0]),
                number(ends[1]),
                number(height)
            ));
            let (width, height) = (right - left, bottom - y);
            write!(
                targets,
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{title}</title></rect>"
            )
            .expect("a string takes all");
        }
    }
    let fill = fill_attribute(series.style);
    format!("<path d=\"{path}V{bottom:.1}Z\"{fill} stroke-width=\"1.2\"/>\n<g fill-opacity=\"0\">{targets}</g>")
}

/// All polygons as one path with `style`.
fn polygon(series: &Series, polygons: &[Vec<Point>], plane: &Plane, style: &str) -> String {
    let mut path = String::new();
    for corners in polygons {
        for (i, &(x, y)) in corners.iter().enumerate() {
            let (x, y) = (plane.across(x), plane.down(y));
            write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" }).expect("a string takes all");
        }
        path.push('Z');
    }
    let title = escape(&series.name);
    format!("<path d=\"{path}\" stroke-linejoin=\"round\"{style}><title>{title}</title></path>")
}
