//! Tables for people; the numbers in them come from the library.

pub use smallbox::numbers::{bytes, count, duration, flops, radius};

/// Which side a column's cells stand at.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Left,
    Right,
}

/// Rows of cells as lines with columns two blanks apart.
pub fn table(sides: &[Side], rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, &width), side) in row.iter().zip(&widths).zip(sides) {
            let blanks = " ".repeat(width - cell.chars().count());
            let (before, after) = if *side == Side::Left { ("", blanks.as_str()) } else { (blanks.as_str(), "") };
            line += before;
            line += cell;
            line += after;
            line += "  ";
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// [`table`] of text rows, all columns to the left.
pub fn left_table(rows: &[Vec<String>]) -> String {
    table(&vec![Side::Left; rows.first().map_or(0, Vec::len)], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["name", "n"], ["ε", "12"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&[Side::Left, Side::Right], &rows), "name   n\nε     12\n");
    }
}
