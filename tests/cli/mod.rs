//! The program as its users see it: arguments, streams, files, exit codes. Everything runs in temporary folders, on the native
//! device, with runs of a few steps on the embedded dataset.

mod analyze_exact;
mod analyze_growth;
mod analyze_loss;
mod analyze_regularisation;
mod analyze_results;
mod attack;
mod bench;
mod certify;
mod data;
mod described;
mod errors;
mod eval;
mod export;
mod help;
mod import;
mod interrupt;
mod killed;
mod profile;
mod report;
mod streams;
mod train;
mod verify;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// What a finished program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The standard output as one JSON document, of a program that ended well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Of a program that ended well: its standard output.
    pub fn text(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }

    /// Holds that the program ended with `code`, nothing on the standard output and one line of error that has all `parts`.
    pub fn assert_error(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "expected one line of error: {self:?}");
        for part in parts {
            assert!(lines[0].contains(part), "expected {part:?} in {:?}", lines[0]);
        }
    }
}

/// The program with `folder` as its working directory and without the caller's settings.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smallbox"));
    command.current_dir(folder).env_remove("SMALLBOX_DATA_DIR");
    command
}

/// Runs the program in `folder`.
pub fn smallbox(folder: &Path, arguments: &[&str]) -> Ran {
    let output = command(folder).args(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Settings of a run of a few steps that goes through all phases.
const TINY: [&str; 14] = [
    "--limit",
    "64",
    "--epochs",
    "3",
    "--batch",
    "32",
    "--device",
    "cpu",
    "--set",
    "epsilon_end_epoch=3",
    "--set",
    "attack_steps=2",
    "--set",
    "eval_attack_steps=3",
];

/// `smallbox train` with [`TINY`] and `more`.
pub fn train(folder: &Path, more: &[&str]) -> Ran {
    smallbox(folder, &[&["train"], &TINY[..], more].concat())
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sorted names in a folder, hidden ones included.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
