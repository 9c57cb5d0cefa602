//! A run that is killed without warning, at any moment, goes on as if nothing had been.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use smallbox::philox::Stream;

use super::{command, names, read};

const MOMENTS: usize = 20;

/// Six epochs on 128 images, through all phases, with batch norm and augmentation.
fn arguments<'a>(dataset: &'a str, out: &'a str) -> Vec<&'a str> {
    let settings = "train --limit 128 --epochs 6 --batch 16 --validation 128 --arch small --device cpu --threads 1 \
                    --set attack_steps=2 --set eval_attack_steps=2 --set flip=true --set crop_padding=2 --dataset";
    settings.split_whitespace().chain([dataset, "--out", out]).collect()
}

/// What a run leaves that does not tell the time.
fn results(run: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "best.safetensors"].map(|file| read(run.join(file)))
}

#[test]
fn a_run_killed_at_any_moment_ends_in_the_same_bytes() {
    // CIFAR-10 where it is, else the program's own images.
    let data =
        std::env::var("SMALLBOX_DATA_DIR").ok().filter(|d| Path::new(d).join("cifar10/test_batch.bin").is_file());
    let dataset = if data.is_some() { "cifar10" } else { "embedded" };
    let environment = data.map(|folder| ("SMALLBOX_DATA_DIR", folder));
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let whole = command(folder.path()).args(arguments(dataset, "whole")).envs(environment.clone()).output().unwrap();
    assert!(whole.status.success(), "{whole:?}");
    let mut length = begun.elapsed();
    let expected = results(&folder.path().join("whole"));
    let mut stream = Stream::new(7, 0, 0, 0);
    let (mut early, mut late) = (0, 0);
    for moment in 0..MOMENTS {
        let out = format!("run{moment}");
        let path = folder.path().join(&out);
        let mut child = Command::new(env!("CARGO_BIN_EXE_smallbox"))
            .current_dir(folder.path())
            .args(arguments(dataset, &out))
            .envs(environment.clone())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wait = length.mul_f32(stream.uniform());
        let begun = Instant::now();
        while begun.elapsed() < wait {
            if child.try_wait().unwrap().is_some() {
                // The first one took longer, as it does when the machine has stood still meanwhile: nobody waits for such moments again.
                length = length.min(begun.elapsed());
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        if path.join("state.safetensors").is_file() {
            late += 1;
            let resumed = command(folder.path()).args(["train", "--resume", &out]).envs(environment.clone()).output();
            assert!(resumed.as_ref().unwrap().status.success(), "{resumed:?}");
        } else {
            // Before the first checkpoint there is nothing to go on from, and --resume says so.
            early += 1;
            if path.is_dir() {
                let refused =
                    command(folder.path()).args(["train", "--resume", &out]).envs(environment.clone()).output();
                assert_eq!(refused.as_ref().unwrap().status.code(), Some(3), "{refused:?}");
                std::fs::remove_dir_all(&path).unwrap();
            }
            let again = command(folder.path()).args(arguments(dataset, &out)).envs(environment.clone()).output();
            assert!(again.as_ref().unwrap().status.success(), "{again:?}");
        }
        assert!(results(&path) == expected, "killed after {wait:?} of {length:?}");
        // Nothing half-written is left under any name but a hidden one's, which the next run would not take for its own.
        let left = names(&path).into_iter().filter(|name| name.starts_with('.')).count();
        assert!(left <= 1, "{:?}", names(&path));
    }
    assert!(late > 0 && early < MOMENTS, "{early} before and {late} after the first checkpoint");
    assert!(length > Duration::ZERO);
}
