//! Networks described layer by layer, widths, presets.

use super::{TINY, smallbox, train};

const LAYERS: &str = r#"
arch = "mine"

[[layers]]
kind = "conv2d"
features = 6
kernel = 5
stride = 3

[[layers]]
kind = "batch-norm"

[[layers]]
kind = "relu"

[[layers]]
kind = "flatten"

[[layers]]
kind = "linear"
outputs = 10
"#;

#[test]
fn a_described_network_trains_resumes_and_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), LAYERS).unwrap();
    let trained = train(folder.path(), &["--config", "mine.toml", "--out", "run", "--json"]).json();
    assert_eq!(trained["arch"], "mine");
    // The file alone says what the network is.
    let file = ["eval", "run/model.safetensors", "--dataset", "embedded", "--epsilon", "0.1", "--attack-steps", "3"];
    let alone = smallbox(folder.path(), &[&file[..], &["--limit", "64", "--device", "cpu", "--json"]].concat()).json();
    assert_eq!(alone["natural"], trained["test"]["natural"]);
    let again = smallbox(folder.path(), &["train", "--resume", "run", "--json"]).json();
    assert_eq!(again["test"], trained["test"]);
    let onnx = smallbox(folder.path(), &["export", "run", "--onnx", "mine.onnx", "--json"]).json();
    assert_eq!(onnx["arch"], "mine");
}

#[test]
fn layers_that_make_no_network_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, parts) in [
        ("kind = \"relu\"", "kind = \"gelu\"", &["gelu", "relu", "mine.toml"][..]),
        ("kernel = 5", "kernal = 5", &["kernal", "kernel"]),
        ("kernel = 5", "kernel = 29", &["mine, layer 0", "padded image"]),
        ("outputs = 10", "outputs = 9", &["mine", "10 outputs"]),
        ("kind = \"flatten\"", "kind = \"relu\"", &["mine, layer 4", "flatten first"]),
        ("stride = 3", "stride = 0", &["mine, layer 0", "stride"]),
        ("arch = \"mine\"", "", &["cnn3", "layers"]),
        (
            "kind = \"batch-norm\"",
            "kind = \"normalize\"\nmean = [0.5]\ndeviation = [1.0]",
            &["mine, layer 1", "normalised"],
        ),
    ] {
        assert!(LAYERS.contains(from));
        std::fs::write(folder.path().join("mine.toml"), LAYERS.replacen(from, to, 1)).unwrap();
        train(folder.path(), &["--config", "mine.toml", "--out", "run"]).assert_error(3, parts);
        assert!(!folder.path().join("run").exists());
    }
}

#[test]
fn widths_scale_a_named_network() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = |width: &str| {
        let arguments = [&["train"], &TINY[..], &["--width", width, "--dry-run", "--json"]].concat();
        smallbox(folder.path(), &arguments).json()["parameters"].as_u64().unwrap()
    };
    // cnn3 on 28×28: 16, 32 and 100, half of them, and one of each.
    let count = |a: u64, b: u64, c: u64| (16 * a + a) + (16 * a * b + b) + (49 * b * c + c) + (10 * c + 10);
    assert_eq!(
        [parameters("1"), parameters("0.5"), parameters("0.01")],
        [count(16, 32, 100), count(8, 16, 50), count(1, 1, 1)]
    );
    let bad = [&["train"], &TINY[..], &["--width", "0"]].concat();
    smallbox(folder.path(), &bad).assert_error(3, &["width = 0"]);
}

#[test]
fn presets_name_published_experiments() {
    let folder = tempfile::tempdir().unwrap();
    smallbox(folder.path(), &["train", "--preset", "mnist-0.2"]).assert_error(2, &["mnist-0.2", "mnist-0.1"]);
    smallbox(folder.path(), &["train", "--preset", "mnist-0.1", "--config", "x.toml"]).assert_error(2, &["--config"]);
    // The dataset is the first thing that is missing.
    smallbox(folder.path(), &["train", "--preset", "cifar10-8_255", "--data-dir", "none"])
        .assert_error(5, &["cifar10", "data fetch"]);
    let exp = ["train", "--preset", "mnist-0.1", "--method", "exp-ibp"];
    smallbox(folder.path(), &exp).assert_error(3, &["exp-ibp", "mnist-0.1"]);
}
