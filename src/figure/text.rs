//! Words within SVG: escaped, measured, cut.

/// Upper estimate of a letter's width relative to its size: what draws the text knows its font, this does not.
const LETTER: f64 = 0.6;

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
pub(super) fn width(text: &str, size: f64) -> f64 {
    // From U+1100 on scripts have letters as wide as high, but for the signs of mathematics between them.
    let wide = |c: char| c >= '\u{1100}' && !('\u{2000}'..'\u{2c00}').contains(&c);
    text.chars().map(|c| if wide(c) { 1.05 } else { LETTER }).sum::<f64>() * size
}

/// `text`, cut where it would be wider than `room`.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.into();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if width(&cut, size) + width(&c.to_string(), size) + width("…", size) > room {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_is_cut() {
        assert_eq!(fitted("growth", 10.0, 36.0), "growth");
        assert_eq!(fitted("growth", 10.0, 35.0), "grow…");
        assert_eq!(fitted("growth", 10.0, 0.0), "…");
    }
}
