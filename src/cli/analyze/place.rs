//! Where the outcome of an analysis goes.

use std::fs;
use std::path::PathBuf;

use smallbox::analyze::{Document, Sheet, Table};
use smallbox::error::{Error, Result};
use smallbox::formats::atomic::write_atomically;

use crate::cli::format::{Side, bytes, table};
use crate::cli::output;

/// Options of everything whose outcome is a document.
#[derive(clap::Args)]
pub struct Place {
    /// Folder to write NAME.json, NAME.csv and each figure as .svg and .png to; it is made, and files there are replaced
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// First part of the files' names `[default: that of the analysis]`
    #[arg(long, value_name = "NAME", requires = "out")]
    name: Option<String>,
    /// Print the numbers as one JSON document
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl Place {
    /// Writes the files, if a folder was named, and prints what came out.
    pub fn put(&self, mut document: Document, sheet: &Sheet) -> Result<()> {
        document.command = command_line();
        let mut written = Vec::new();
        if let Some(folder) = &self.out {
            let name = self.name.as_ref().unwrap_or(&document.analysis);
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(Error::Usage(format!("--name {name}: expected the beginning of a file's name")));
            }
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            let mut write = |end: &str, content: &[u8]| -> Result<()> {
                let path = folder.join(format!("{name}{end}"));
                write_atomically(&path, content)?;
                written.push(format!("{} ({})", path.display(), bytes(content.len() as u64)));
                Ok(())
            };
            for figure in &document.figures {
                let part = if figure.name.is_empty() { String::new() } else { format!("-{}", figure.name) };
                write(&format!("{part}.svg"), figure.file_svg().as_bytes())?;
                write(&format!("{part}.png"), &figure.png()?)?;
            }
            write(".csv", sheet.csv().as_bytes())?;
            let json = serde_json::to_string_pretty(&document).expect("a document is JSON");
            write(".json", (json + "\n").as_bytes())?;
        }
        if self.json {
            return output::print_json(&document.data);
        }
        output::print(&text(&document, &written))
    }
}

/// The arguments as they would be typed.
fn command_line() -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,=:@%+".contains(c);
    let quoted = |argument: String| match argument.chars().all(plain) && !argument.is_empty() {
        true => argument,
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    };
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(argument.to_string_lossy().into_owned()));
    std::iter::once("smallbox".to_string()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn text(document: &Document, written: &[String]) -> String {
    let mut text = format!("{}\n", document.title);
    for table in &document.tables {
        text += &format!("\n{}\n{}", table.caption, lines(table));
    }
    if !document.findings.is_empty() {
        text.push('\n');
    }
    for finding in &document.findings {
        text += &format!("{finding}\n");
    }
    if !written.is_empty() {
        text += &format!("\n{}\n", written.join("\n"));
    }
    text
}

/// Columns to the right but the first.
fn lines(of: &Table) -> String {
    let sides: Vec<Side> = (0..of.head.len()).map(|i| if i == 0 { Side::Left } else { Side::Right }).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&of.head).chain(&of.rows).cloned().collect();
    table(&sides, &rows)
}
