//! Mistakes: each is one line that names the thing and what would be right, with its exit code, and leaves nothing behind.

use std::fs;
use std::path::Path;

use super::{names, read, smallbox, train};

#[test]
fn wrong_values_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| smallbox(folder.path(), arguments);
    for (arguments, code, parts) in [
        (&["train", "--epsilon", "-0.1"][..], 3, &["epsilon", "-0.1", "[0, 1]"][..]),
        (&["train", "--epsilon", "a/b"], 2, &["--epsilon", "a/b", "2/255"]),
        (&["train", "--lambda", "0"], 3, &["lambda", "0", "(0, 1]"]),
        (&["train", "--lambda=1.5"], 3, &["lambda", "1.5", "(0, 1]"]),
        (&["train", "--lr", "-1"], 3, &["lr", "-1", "positive"]),
        (&["train", "--epochs", "0"], 3, &["epochs", "at least 1"]),
        (&["train", "--epochs", "many"], 2, &["--epochs", "many"]),
        (&["train", "--batch", "100000"], 3, &["batch", "100000", "9000"]),
        (&["train", "--method", "best"], 2, &["--method", "best", "sabr"]),
        (&["train", "--arch", "cnn8"], 2, &["--arch", "cnn8", "cnn7"]),
        (&["train", "--set", "arch=cnn8"], 3, &["cnn8", "cnn7"]),
        (&["train", "--dataset", "emnist"], 2, &["emnist", "embedded"]),
        (&["train", "--validation", "10000"], 2, &["validation 10000", "10000"]),
        (&["train", "--device", "tpu"], 2, &["tpu", "cpu", "gpu:N"]),
        (&["train", "--threads", "0"], 2, &["--threads", "at least 1"]),
        (&["train", "--max-time", "10 years"], 2, &["--max-time", "10m"]),
        (&["train", "--set", "epsilom=0.2"], 3, &["epsilom"]),
        (&["train", "--set", "epsilon"], 2, &["--set epsilon", "key=value"]),
        (&["train", "--set", "epochs=2.5"], 3, &["2.5"]),
        (&["train", "--config", "no.toml"], 3, &["no.toml"]),
        (&["train", "--resume", "no"], 3, &["no", "run directory"]),
        (&["train", "--resume", "a", "--epochs", "3"], 2, &["--resume", "--epochs"]),
        (&["train", "--colour"], 2, &["--colour"]),
        (&["paint"], 2, &["paint"]),
        (&["eval"], 2, &["<MODEL>"]),
        (&["eval", "no.safetensors", "--epsilon", "0.1"], 3, &["no.safetensors", "no such file"]),
        (&["data", "verify", "emnist"], 2, &["emnist", "mnist"]),
        (&["data", "fetch", "embedded"], 2, &["embedded", "nothing to fetch"]),
        (&["data", "show", "embedded", "--out", "x.png", "--rows", "0"], 2, &["0 rows"]),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran.assert_error(code, parts);
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_configuration_file_with_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    for (text, parts) in [
        ("epsilom = 0.2\n", &["c.toml", "epsilom"][..]),
        ("epsilon = \"wide\"\n", &["c.toml", "wide"]),
        ("epsilon = = 1\n", &["c.toml", "line 1"]),
        ("lambda = 2.0\n", &["lambda", "2", "(0, 1]"]),
    ] {
        fs::write(folder.path().join("c.toml"), text).unwrap();
        smallbox(folder.path(), &["train", "--config", "c.toml"]).assert_error(3, parts);
    }
    assert_eq!(names(folder.path()), ["c.toml"]);
}

/// An IDX file of bytes, cut off after `keep` elements.
fn idx(dims: &[u32], keep: usize) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    file.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    file.resize(file.len() + keep, 1);
    file
}

#[test]
fn data_that_is_missing_truncated_or_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let run = || smallbox(folder.path(), &["train", "--dataset", "mnist", "--data-dir", "d"]);
    run().assert_error(5, &["d", "mnist", "data fetch mnist"]);

    let place = folder.path().join("d/mnist");
    fs::create_dir_all(&place).unwrap();
    let write = |name: &str, content: &[u8]| fs::write(place.join(name), content).unwrap();
    for part in ["train", "t10k"] {
        write(&format!("{part}-images-idx3-ubyte"), &idx(&[40, 28, 28], 40 * 784));
        write(&format!("{part}-labels-idx1-ubyte"), &idx(&[40], 40));
    }
    write("train-images-idx3-ubyte", &idx(&[40, 28, 28], 39 * 784));
    run().assert_error(5, &["train-images-idx3-ubyte"]);
    write("train-images-idx3-ubyte", &idx(&[40, 32, 32], 40 * 1024));
    run().assert_error(5, &["train-images-idx3-ubyte", "28x28", "32x32"]);
    write("train-images-idx3-ubyte", b"\x89PNG\r\n\x1a\n and more that is no IDX file");
    run().assert_error(5, &["train-images-idx3-ubyte"]);
    fs::remove_file(place.join("train-images-idx3-ubyte")).unwrap();
    run().assert_error(5, &["train-images-idx3-ubyte"]);
    assert_eq!(names(folder.path()), ["d"]);
}

/// A safetensors file with one tensor `0.weight` of shape [1].
fn foreign_model() -> Vec<u8> {
    let header = r#"{"0.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

#[test]
fn models_that_are_truncated_or_of_another_network() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let eval = |more: &[&str]| {
        let settings = ["--epsilon", "0.1", "--dataset", "embedded"];
        smallbox(folder.path(), &[&["eval"], more, &settings[..]].concat())
    };
    fs::write(folder.path().join("f.safetensors"), foreign_model()).unwrap();
    eval(&["f.safetensors"]).assert_error(2, &["f.safetensors", "--arch"]);
    eval(&["f.safetensors", "--arch", "cnn3"]).assert_error(3, &["f.safetensors", "0.weight", "[1]"]);
    eval(&["run/model.safetensors", "--arch", "cnn7"]).assert_error(3, &["cnn3", "cnn7"]);
    smallbox(folder.path(), &["eval", "run/model.safetensors"]).assert_error(2, &["--epsilon"]);

    let cut = |name: &str| {
        let path = folder.path().join("run").join(name);
        let whole = read(&path);
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    };
    cut("model.safetensors");
    eval(&["run"]).assert_error(3, &["model.safetensors"]);
    cut("state.safetensors");
    smallbox(folder.path(), &["train", "--resume", "run"]).assert_error(3, &["state.safetensors"]);
    fs::write(folder.path().join("run/state.safetensors"), foreign_model()).unwrap();
    smallbox(folder.path(), &["train", "--resume", "run"]).assert_error(3, &["state.safetensors"]);
}

#[test]
fn directories_that_can_not_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("used")).unwrap();
    fs::write(path("used/something"), "").unwrap();
    let quiet = |out: &str| train(folder.path(), &["--quiet", "--out", out]);
    quiet("file").assert_error(1, &["file"]);
    quiet("file/run").assert_error(1, &["file/run"]);
    quiet("used").assert_error(2, &["used", "--out"]);
    smallbox(folder.path(), &["data", "show", "embedded", "--out", "no/x.png"]).assert_error(1, &["no/x.png"]);
    assert_eq!(names(folder.path()), ["file", "used"]);
    assert_eq!(names(&path("used")), ["something"]);
    #[cfg(unix)]
    unwritable(folder.path());
}

/// A folder without write permission, which holds back everybody but root.
#[cfg(unix)]
fn unwritable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let locked = folder.join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    train(folder, &["--quiet", "--out", "locked/run"]).assert_error(1, &["locked/run"]);
    train(&locked, &["--quiet"]).assert_error(1, &["runs"]);
}
