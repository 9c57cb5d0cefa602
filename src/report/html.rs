//! Pieces of HTML. What comes from outside goes through [`escape`].

use crate::figure::escape;

/// A cell of a table, as HTML.
pub(super) struct Cell {
    html: String,
    numeric: bool,
}

/// Words, whatever they hold.
pub(super) fn words(text: &str) -> Cell {
    Cell { html: escape(text), numeric: false }
}

/// A figure, to the right.
pub(super) fn figure(text: &str) -> Cell {
    Cell { html: escape(text), numeric: true }
}

/// A figure with something smaller below it.
pub(super) fn figure_with(text: &str, below: &str) -> Cell {
    Cell { html: format!("{}<small>{}</small>", escape(text), escape(below)), numeric: true }
}

/// HTML that was made here.
pub(super) fn markup(html: String) -> Cell {
    Cell { html, numeric: false }
}

/// What stands where there is no value.
pub(super) fn none() -> Cell {
    Cell { html: "<span class=\"none\">–</span>".into(), numeric: true }
}

/// A table whose first column names its rows. It scrolls sideways within the page where it is too wide.
pub(super) fn table(caption: &str, head: &[Cell], rows: &[Vec<Cell>]) -> String {
    let class = |cell: &Cell| if cell.numeric { " class=\"n\"" } else { "" };
    let mut html =
        format!("<div class=\"wide\"><table><caption><span>{}</span></caption>\n<thead><tr>", escape(caption));
    for cell in head {
        html += &format!("<th scope=\"col\"{}>{}</th>", class(cell), cell.html);
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            html += &match column {
                0 => format!("<th scope=\"row\">{}</th>", cell.html),
                _ => format!("<td{}>{}</td>", class(cell), cell.html),
            };
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}
