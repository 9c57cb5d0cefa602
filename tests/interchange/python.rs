//! ONNX files under onnx's checker and in onnxruntime, by the interpreter that `SMALLBOX_PYTHON` names (`.ci/run` makes one).

use std::path::Path;
use std::process::Command;

use smallbox::export::onnx_graph;
use smallbox::formats::onnx::write;

use super::{Model, models, pixels};
use crate::common::tensor::Tensor;

const IMAGES: usize = 32;

/// Checks a file, then prints the logits of raw f32 images, one line for each.
const SCRIPT: &str = r#"
import sys, numpy, onnx, onnxruntime
file, images = sys.argv[1:]
onnx.checker.check_model(file, full_check=True)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
images = numpy.fromfile(images, dtype=numpy.float32).reshape([-1] + session.get_inputs()[0].shape)
for image in images:
    print(*[repr(float(v)) for v in session.run(["logits"], {"input": image})[0].ravel()])
"#;

fn onnxruntime(python: &Path, folder: &Path, model: &Model) -> (Tensor, Tensor) {
    let (file, raw) = (folder.join("f.onnx"), folder.join("images"));
    write(&file, &onnx_graph(&model.network, &model.tensors, 1).expect("a graph")).expect("written");
    let (images, ours) = model.logits(IMAGES);
    let bytes: Vec<u8> = (0..IMAGES).flat_map(|n| pixels(&images, n)).flat_map(f32::to_le_bytes).collect();
    std::fs::write(&raw, bytes).expect("written");
    let ran = Command::new(python).args(["-c", SCRIPT]).args([&file, &raw]).output().expect("SMALLBOX_PYTHON starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).expect("numbers");
    let theirs = text.split_whitespace().map(|v| v.parse().expect("a number")).collect();
    (ours, Tensor::new([IMAGES, 10], theirs))
}

/// Largest difference relative to the largest logit.
fn deviation(ours: &Tensor, theirs: &Tensor) -> f64 {
    ours.zip(theirs, |a, b| a - b).max_abs() / ours.max_abs()
}

#[test]
fn onnxruntime_computes_the_same_logits() {
    let Some(python) = std::env::var_os("SMALLBOX_PYTHON") else {
        println!("skipped: SMALLBOX_PYTHON is not set");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, mut model) in models() {
        let (ours, theirs) = onnxruntime(python.as_ref(), folder.path(), &model);
        let same = deviation(&ours, &theirs);
        println!("{name}: {same:e} of the largest logit");
        assert!(same < 1e-5, "{name}: {same:e}");
        // One weight of the last layer, a hundredth of it: the distance tells.
        let last = model.network.parameters().len() - 2;
        model.tensors[last].1.iter_mut().take(10).for_each(|w| *w *= 1.01);
        let changed = onnxruntime(python.as_ref(), folder.path(), &model).1;
        assert!(deviation(&ours, &changed) > 1e-5, "{name}");
    }
}
