//! Streams and disks that refuse to take what is written.

#![cfg(unix)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Ran, TINY, names};

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["data", "list"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smallbox"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn results_that_can_not_be_written_are_an_error() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: no /dev/full");
        return;
    }
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let program = || Command::new(env!("CARGO_BIN_EXE_smallbox"));
    let output = program().args(["data", "list"]).stdout(full()).output().unwrap();
    let ran =
        Ran { code: output.status.code(), stdout: String::new(), stderr: String::from_utf8(output.stderr).unwrap() };
    ran.assert_error(1, &["standard output"]);
    // Progress that nobody can read stops nothing.
    let status = program().args(["eval", "nothing"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_disk_that_takes_no_more_leaves_no_half_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    // With the signal ignored, a write beyond the limit on file sizes fails as one to a full disk does.
    let script = format!("trap '' XFSZ; ulimit -f 16; exec \"$0\" train --quiet --out run {}", TINY.join(" "));
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_smallbox")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    ran.assert_error(1, &["model.safetensors"]);
    assert_eq!(
        names(&folder.path().join("run")),
        ["config.toml", "events.out.tfevents.0.smallbox", "metrics.csv", "metrics.jsonl"]
    );
}
