//! Writing to the two standard streams without panicking.

use std::io::{ErrorKind, Write};

use smallbox::error::{Error, Result};

/// Writes results to the standard output.
///
/// A reader that has gone away (`smallbox … | head`) wanted no more and is no error; a full disk is one.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Writes one JSON document to the standard output.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value is JSON");
    text.push('\n');
    print(&text)
}

/// Writes a line to the standard error. When that fails there is nowhere left to say so.
pub fn note(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}
