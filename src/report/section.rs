//! The part of the page that shows one analysis.

use super::analyses::ReportedAnalysis;
use super::html::{Cell, figure, table, words};
use crate::analyze::Table;
use crate::figure::{Figure, escape};

/// Least and greatest width of a picture on the page, relative to the units in which its letters are 12 high: below, they could not
/// be read, and its box scrolls. A single chart just fits on a phone; of several in a row the first is cut there, so that it is
/// seen that there is more.
const LEAST_ALONE: f64 = 0.75;
const LEAST: f64 = 0.85;
const GREATEST: f64 = 1.2;

/// Heading, words, pictures, tables and command of `analysis`; `id` is what the table of contents points at.
pub(super) fn section(id: &str, analysis: &ReportedAnalysis) -> String {
    let document = &analysis.document;
    let mut html = format!("<section id=\"{id}\">\n<h2>{}</h2>\n", escape(&analysis.title));
    for paragraph in &document.explanation {
        html += &format!("<p>{}</p>\n", escape(paragraph));
    }
    if !document.findings.is_empty() {
        html += "<h3>What came out</h3>\n<ul>\n";
        for finding in &document.findings {
            html += &format!("<li>{}</li>\n", escape(finding));
        }
        html += "</ul>\n";
    }
    for figure in &document.figures {
        html += &picture(figure);
    }
    for table in &document.tables {
        html += &self::table_of(table);
    }
    let (command, version) = (command(&document.command), escape(&document.version));
    html + &format!(
        "<p class=\"faint\">Made by smallbox {version} with</p>\n<pre><code>{command}</code></pre>\n</section>\n"
    )
}

/// A command whose lines break between its words only, not at their dashes.
fn command(command: &str) -> String {
    let words = command.split(' ').map(|word| format!("<span>{}</span>", escape(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// A figure in a box that scrolls sideways where the screen is too narrow for its letters.
fn picture(figure: &Figure) -> String {
    let in_a_row = figure.columns.min(figure.charts.len());
    let least = figure.width() * if in_a_row == 1 { LEAST_ALONE } else { LEAST };
    let greatest = figure.width() * GREATEST;
    let caption = escape(&figure.caption);
    let svg = figure.svg();
    format!(
        "<figure>\n<div class=\"wide\" style=\"--least: {least:.0}px; --greatest: {greatest:.0}px\">\n{svg}</div>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

/// Whether a text is a number, maybe with its unit or an interval, or stands for one that is missing.
fn is_numeric(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '−', '+', '±', '<', '>', '≤', '≥', '≈', ' ']);
    text.is_empty()
        || text.starts_with(|c: char| c.is_ascii_digit())
        || ["–", "—", "n/a", "inf", "NaN", "∞"].contains(&text)
}

/// Columns of numbers to the right.
fn table_of(of: &Table) -> String {
    let columns = of.head.len();
    let numeric: Vec<bool> =
        (0..columns).map(|column| column > 0 && of.rows.iter().all(|row| is_numeric(&row[column]))).collect();
    let cells = |row: &Vec<String>| -> Vec<Cell> {
        row.iter().zip(&numeric).map(|(text, &numeric)| if numeric { figure(text) } else { words(text) }).collect()
    };
    table(&of.caption, &cells(&of.head), &of.rows.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_told_from_words() {
        for text in ["0.5", "-1e-3", "−0.2", "93.1 %", "97.94 (97.64–98.20)", "+0.1 ± 0.2", "–", "", "< 0.01"] {
            assert!(is_numeric(text), "{text}");
        }
        for text in ["ibp", "ReLU 3", "own run", "x 1"] {
            assert!(!is_numeric(text), "{text}");
        }
    }
}
