//! What an analysis says: words, tables, figures, numbers.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::figure::Figure;

/// The outcome of one analysis, as it is written to `NAME.json` and shown in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Which analysis, as on the command line: `growth`.
    pub analysis: String,
    /// Heading.
    pub title: String,
    /// The command that made it.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// What the pictures show and how to read them, a paragraph each, for a reader who does not know the paper.
    pub explanation: Vec<String>,
    /// What came out, a sentence each, with the numbers.
    pub findings: Vec<String>,
    /// Small tables of rounded numbers.
    pub tables: Vec<Table>,
    /// Pictures.
    pub figures: Vec<Figure>,
    /// All numbers in full precision, in a form of the analysis' own.
    pub data: serde_json::Value,
}

/// A table of texts; the first column names its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// A text for each column.
    pub head: Vec<String>,
    /// As many texts in each row as in the head.
    pub rows: Vec<Vec<String>>,
}

/// All numbers of an analysis as rows, as they are written to `NAME.csv`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sheet {
    /// Names of the columns.
    pub head: Vec<String>,
    /// Texts of the rows.
    pub rows: Vec<Vec<String>>,
}

impl Document {
    /// A document with a heading and nothing else yet.
    pub fn new(analysis: &str, title: &str, data: serde_json::Value) -> Document {
        Document {
            analysis: analysis.into(),
            title: title.into(),
            command: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            explanation: Vec::new(),
            findings: Vec::new(),
            tables: Vec::new(),
            figures: Vec::new(),
            data,
        }
    }

    /// Whether tables and figures are what they must be, for a document that was read from a file.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part that is wrong.
    pub fn check(&self) -> Result<()> {
        for table in &self.tables {
            if let Some(row) = table.rows.iter().find(|row| row.len() != table.head.len()) {
                let (cells, columns) = (row.len(), table.head.len());
                return Err(Error::Config(format!("table '{}': {cells} cells for {columns} columns", table.caption)));
            }
        }
        for figure in &self.figures {
            figure.check().map_err(|reason| Error::Config(format!("figure '{}': {reason}", figure.caption)))?;
        }
        Ok(())
    }
}

impl Table {
    /// A table without rows.
    pub fn new(caption: &str, head: &[&str]) -> Table {
        Table { caption: caption.into(), head: head.iter().map(|&text| text.into()).collect(), rows: Vec::new() }
    }
}

impl Sheet {
    /// A sheet without rows.
    pub fn new(head: &[&str]) -> Sheet {
        Sheet { head: head.iter().map(|&text| text.into()).collect(), rows: Vec::new() }
    }

    /// The rows as CSV (RFC 4180), the head first.
    pub fn csv(&self) -> String {
        let cell = |text: &String| {
            if text.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.clone()
            }
        };
        let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&self.head).chain(&self.rows).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let mut sheet = Sheet::new(&["model", "value"]);
        sheet.rows.push(vec!["a, \"b\"".into(), "0.5".into()]);
        assert_eq!(sheet.csv(), "model,value\n\"a, \"\"b\"\"\",0.5\n");
    }

    #[test]
    fn a_row_of_another_length_is_noticed() {
        let mut document = Document::new("growth", "Growth", serde_json::Value::Null);
        document.tables.push(Table { rows: vec![vec!["x".into()]], ..Table::new("t", &["a", "b"]) });
        assert!(document.check().unwrap_err().to_string().contains("1 cells for 2 columns"));
    }
}
