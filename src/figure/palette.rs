//! How series look: colour, dashes and markers by number.

use super::chart::Mark;

/// Okabe and Ito 2008 without the yellow, which is too faint on white; their black is the colour of the text, so that it can be
/// seen on a dark page as well.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "currentColor"];
/// Lengths of dashes and gaps. Their number has no divisor in common with that of the colours: 35 looks before one returns.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "12 3"];

/// Colour of series number `style`.
pub(super) fn colour(style: usize) -> &'static str {
    COLOURS[style % COLOURS.len()]
}

/// The attribute for the dashes of series number `style`, with a blank before it; nothing for a solid line.
pub(super) fn dash_attribute(style: usize) -> String {
    match DASHES[style % DASHES.len()] {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    }
}

/// The attributes of an area of series number `style`: what lies below shines through.
pub(super) fn fill_attribute(style: usize) -> String {
    let colour = colour(style);
    format!(" fill=\"{colour}\" fill-opacity=\"0.3\" stroke=\"{colour}\"")
}

/// The path of a dot of series number `style` at a place: disc, square, triangle or diamond.
pub(super) fn marker(style: usize, x: f64, y: f64) -> String {
    match style % 4 {
        0 => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z", x - 4.0),
        1 => format!("M{:.1} {:.1}h7v7h-7Z", x - 3.5, y - 3.5),
        2 => format!("M{x:.1} {:.1}l4.6 8h-9.2Z", y - 5.0),
        _ => format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5Z", y - 5.0),
    }
}

/// What stands for a series in the legend, 26 wide from (x, y) on, y its middle.
pub(super) fn swatch(mark: &Mark, style: usize, x: f64, y: f64) -> String {
    let (colour, dashes) = (colour(style), dash_attribute(style));
    match mark {
        Mark::Line(_) | Mark::Level(_) => {
            format!("<path d=\"M{x:.1} {y:.1}h26\" stroke=\"{colour}\" stroke-width=\"2.5\"{dashes}/>")
        }
        Mark::Dots(_) => format!("<path d=\"{}\" fill=\"{colour}\"/>", marker(style, x + 13.0, y)),
        Mark::Histogram { .. } | Mark::Areas(_) => {
            format!("<path d=\"M{x:.1} {:.1}h26v10h-26Z\"{}/>", y - 5.0, fill_attribute(style))
        }
        Mark::Outlines(_) => format!(
            "<path d=\"M{x:.1} {:.1}h26v10h-26Z\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dashes}/>",
            y - 5.0
        ),
    }
}

/// A short line in the look of series number `style`, as an SVG element of 30 × 10 for a table or a text.
pub fn sample(style: usize) -> String {
    format!(
        "<svg width=\"30\" height=\"10\" viewBox=\"0 0 30 10\" aria-hidden=\"true\"><path d=\"M1 5h28\" stroke=\"{}\" \
         stroke-width=\"2.5\"{}/></svg>",
        colour(style),
        dash_attribute(style)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn thirty_five_series_look_different() {
        let looks: HashSet<String> = (0..35).map(sample).collect();
        assert_eq!(looks.len(), 35);
        assert_eq!(sample(35), sample(0));
    }

    #[test]
    fn twenty_eight_kinds_of_dots_look_different() {
        let dots = |style| swatch(&Mark::Dots(Vec::new()), style, 0.0, 0.0);
        assert_eq!((0..28).map(dots).collect::<HashSet<String>>().len(), 28);
    }
}
