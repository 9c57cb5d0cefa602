//! How series look: colour and dashes by number.

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
}
