//! `smallbox train --import-weights`, and weights of another program in `eval`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{names, read, smallbox, train};

/// Names, extents and values of a file of weights.
type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn weights(path: &Path) -> Weights {
    let bytes = read(path);
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let values = |data: &[u8]| data.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    file.iter().map(|(name, view)| (name.to_string(), (view.shape().to_vec(), values(view.data())))).collect()
}

/// Writes `weights` without metadata, with a counter for each batch norm.
fn write(path: &Path, weights: &Weights) {
    let counter = 0i64.to_le_bytes();
    let mut views = Vec::new();
    for (name, (shape, values)) in weights {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).expect("a tensor");
        views.push((name.clone(), view));
        if let Some(stem) = name.strip_suffix("running_mean") {
            let view = TensorView::new(Dtype::I64, vec![], &counter).expect("a scalar");
            views.push((format!("{stem}num_batches_tracked"), view));
        }
    }
    fs::write(path, safetensors::serialize(views, None).expect("a file")).expect("written");
}

#[test]
fn a_run_begins_from_imported_weights_and_resumes_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    train(folder.path(), &["--out", "first", "--quiet"]).text();
    let begun = weights(&at("first/model.safetensors"));
    write(&at("f.safetensors"), &begun);
    // So short steps that the weights stay where they begin.
    let import = ["--import-weights", "f.safetensors", "--lr", "1e-12", "--quiet", "--set", "l1=0", "--max-time", "0s"];
    train(folder.path(), &[&import[..], &["--seed", "5", "--out", "second"]].concat()).text();
    assert!(fs::read_to_string(at("second/config.toml")).unwrap().contains("import_weights = \"f.safetensors\"\n"));
    fs::remove_file(at("f.safetensors")).unwrap();
    smallbox(folder.path(), &["train", "--resume", "second", "--quiet"]).text();
    for (name, (shape, values)) in weights(&at("second/model.safetensors")) {
        let (wanted, expected) = &begun[&name];
        assert_eq!(&shape, wanted, "{name}");
        let same = values.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-7 * b.abs().max(0.1));
        assert!(same, "{name}");
    }
    // A network that begins elsewhere does not end there.
    train(folder.path(), &["--seed", "5", "--lr", "1e-12", "--quiet", "--out", "third"]).text();
    assert_ne!(weights(&at("third/model.safetensors"))["0.weight"], begun["0.weight"]);
}

#[test]
fn weights_that_do_not_fit_are_refused_before_there_is_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    train(folder.path(), &["--out", "run", "--quiet"]).text();
    let whole = weights(&at("run/model.safetensors"));
    let import = |parts: &[&str]| {
        let ran = train(folder.path(), &["--import-weights", "f.safetensors", "--quiet", "--out", "new"]);
        ran.assert_error(3, parts);
    };
    import(&["f.safetensors", "no such file"]);
    let mut other = whole.clone();
    other.get_mut("5.weight").unwrap().0.reverse();
    write(&at("f.safetensors"), &other);
    import(&["'5.weight'", "[1568, 100]", "[100, 1568]"]);
    write(&at("f.safetensors"), &whole.iter().map(|(n, w)| (format!("net.{n}"), w.clone())).collect());
    import(&["'0.weight'", "'net.0.weight'", "prefix"]);
    let mut other = whole.clone();
    other.get_mut("0.bias").unwrap().1[3] = f32::NAN;
    write(&at("f.safetensors"), &other);
    import(&["'0.bias'", "NaN"]);
    train(folder.path(), &["--import-weights", "run/model.safetensors", "--arch", "cnn7-narrow", "--out", "new"])
        .assert_error(3, &["cnn3", "cnn7-narrow"]);
    assert_eq!(names(folder.path()), ["f.safetensors", "run"]);
}

#[test]
fn eval_takes_a_state_dict_with_batch_norm_counters() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    train(folder.path(), &["--out", "run", "--quiet", "--arch", "cnn7-narrow", "--method", "std"]).text();
    write(&at("f.safetensors"), &weights(&at("run/model.safetensors")));
    let eval = |model: &[&str]| {
        let settings = ["--limit", "20", "--attack-steps", "1", "--batch", "20", "--epsilon", "0.01", "--json"];
        let mut found = smallbox(folder.path(), &[&["eval"], model, &settings[..]].concat()).json();
        found["model"].take();
        found
    };
    let foreign = eval(&["f.safetensors", "--arch", "cnn7-narrow", "--dataset", "embedded"]);
    assert_eq!(foreign, eval(&["run"]));
    smallbox(folder.path(), &["export", "f.safetensors", "--arch", "cnn7-narrow", "--onnx", "f.onnx"])
        .assert_error(2, &["--dataset"]);
    smallbox(
        folder.path(),
        &["export", "f.safetensors", "--arch", "cnn7-narrow", "--onnx", "f.onnx", "--dataset", "embedded"],
    )
    .text();
}
