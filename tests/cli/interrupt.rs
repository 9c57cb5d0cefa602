#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Ran, read, smallbox};

/// 64 steps an epoch, so that a signal after the first epoch comes long before the end.
const LONG: [&str; 14] = [
    "train",
    "--limit",
    "512",
    "--epochs",
    "4",
    "--batch",
    "8",
    "--device",
    "cpu",
    "--set",
    "eval_attack_steps=2",
    "--set",
    "attack_steps=2",
    "--out",
];

/// Starts a run and sends it `signal` when its first epoch is over.
fn interrupted(folder: &Path, out: &str, signal: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_smallbox"))
        .current_dir(folder)
        .args(LONG)
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    while !stderr.contains("epoch  1/4") {
        assert!(lines.read_line(&mut stderr).unwrap() > 0, "ended before its first epoch: {stderr}");
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    lines.read_to_string(&mut stderr).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr }
}

/// Metrics without the columns that are times.
fn figures(run: &Path) -> Vec<Value> {
    let text = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().retain(|key, _| !key.contains("second"));
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn a_signal_saves_and_the_run_that_goes_on_is_the_same_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let whole = smallbox(folder.path(), &[&LONG[..], &["whole"]].concat());
    assert_eq!(whole.code, Some(0), "{whole:?}");
    for (out, signal) in [("a", "-INT"), ("b", "-TERM")] {
        let ran = interrupted(folder.path(), out, signal);
        assert_eq!(ran.code, Some(130), "{ran:?}");
        assert_eq!(ran.stdout, "");
        let last = ran.stderr.lines().last().unwrap();
        assert!(last.starts_with("interrupted") && last.contains(&format!("--resume {out}")), "{ran:?}");

        let resumed = smallbox(folder.path(), &["train", "--resume", out, "--json"]).json();
        assert_eq!((&resumed["complete"], &resumed["steps"]), (&true.into(), &256.into()));
        let run = folder.path().join(out);
        assert!(
            read(run.join("model.safetensors")) == read(folder.path().join("whole/model.safetensors")),
            "the model differs: {last}"
        );
        assert!(
            read(run.join("best.safetensors")) == read(folder.path().join("whole/best.safetensors")),
            "the best epoch differs: {last}"
        );
        assert_eq!(figures(&run), figures(&folder.path().join("whole")));
    }
}
