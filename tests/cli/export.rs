//! `smallbox export`.

use std::fs;
use std::path::Path;

use super::{Ran, names, read, smallbox, train};

fn export(folder: &Path, more: &[&str]) -> Ran {
    smallbox(folder, &[&["export", "run", "--device", "cpu"], more].concat())
}

#[test]
fn a_folder_of_instances_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let all = ["--onnx", "f.onnx", "--vnnlib", "d", "--range", "3..40", "--epsilon", "2/255", "--timeout", "7"];
    let ran = export(folder.path(), &[&all[..], &["--misclassified", "--json"]].concat()).json();
    assert_eq!(ran["onnx"], serde_json::json!(["f.onnx", "d/onnx/cnn3.onnx"]));
    assert_eq!(ran["operators"], serde_json::json!({"Conv": 2, "Relu": 3, "Flatten": 1, "Gemm": 2}));
    assert_eq!((&ran["nodes"], &ran["opset"]), (&8.into(), &13.into()));
    let about = &ran["vnnlib"];
    assert_eq!((&about["first"], &about["images"], &about["properties"]), (&3.into(), &37.into(), &37.into()));

    let at = |name: &str| folder.path().join(name);
    assert_eq!(read(at("f.onnx")), read(at("d/onnx/cnn3.onnx")));
    assert_eq!(ran["bytes"], read(at("f.onnx")).len());
    assert_eq!(names(&at("d")), ["instances.csv", "onnx", "vnnlib"]);
    let list = fs::read_to_string(at("d/instances.csv")).unwrap();
    assert_eq!(list.lines().count(), 37);
    let mut wrong = 0;
    for (line, index) in list.lines().zip(3..) {
        let [network, property, "7"] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(at("d").join(network).is_file() && at("d").join(property).is_file(), "{line}");
        assert!(property.starts_with(&format!("vnnlib/test{index}-label")), "{line}");
        let text = fs::read_to_string(at("d").join(property)).unwrap();
        wrong += usize::from(text.lines().next().unwrap().ends_with(", misclassified"));
        assert!(text.lines().next().unwrap().contains(&format!("test image {index} ")), "{line}");
    }
    assert_eq!(about["misclassified"], wrong);

    // Without misclassified images only the others are left, under the same names.
    let ran = export(folder.path(), &["--vnnlib", "e", "--range", "3..40", "--epsilon", "2/255", "--json"]).json();
    assert_eq!((&ran["vnnlib"]["misclassified"], &ran["vnnlib"]["properties"]), (&wrong.into(), &(37 - wrong).into()));
    let few = names(&at("e/vnnlib"));
    assert_eq!(few.len(), 37 - wrong);
    assert!(few.iter().all(|name| read(at("e/vnnlib").join(name)) == read(at("d/vnnlib").join(name))));

    // The evaluation counts the same images as correct.
    let ran = export(folder.path(), &["--vnnlib", "g", "--limit", "50", "--json"]).json();
    let rates = smallbox(folder.path(), &["eval", "run", "--limit", "50", "--attack-steps", "1", "--json"]).json();
    assert_eq!(ran["vnnlib"]["properties"], rates["natural"]["count"]);
    assert_eq!(ran["vnnlib"]["epsilon"], 0.1);
}

#[test]
fn a_file_that_describes_itself_needs_no_dataset() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let file = ["export", "run/model.safetensors"];
    let ran = smallbox(folder.path(), &[&file[..], &["--onnx", "f.onnx", "--batch", "4"]].concat());
    assert!(ran.text().contains("batch 4") && ran.stderr.is_empty(), "{ran:?}");
    smallbox(folder.path(), &[&file[..], &["--vnnlib", "d"]].concat()).assert_error(2, &["--dataset"]);
    let dataset = ["--vnnlib", "d", "--dataset", "embedded"];
    smallbox(folder.path(), &[&file[..], &dataset].concat()).assert_error(2, &["--epsilon"]);
    smallbox(folder.path(), &[&file[..], &["--onnx", "g.onnx", "--arch", "cnn7"]].concat())
        .assert_error(3, &["cnn3", "cnn7"]);
    assert_eq!(names(folder.path()), ["f.onnx", "run"]);
}

#[test]
fn mistakes_are_one_line_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    fs::create_dir(folder.path().join("used")).unwrap();
    fs::write(folder.path().join("used/something"), "").unwrap();
    for (arguments, code, parts) in [
        (&[][..], 2, &["--onnx", "--vnnlib"][..]),
        (&["--onnx", "f.onnx", "--limit", "3"], 2, &["--vnnlib"]),
        (&["--onnx", "f.onnx", "--split", "train"], 2, &["--vnnlib"]),
        (&["--vnnlib", "d", "--batch", "2"], 2, &["--batch"]),
        (&["--vnnlib", "d", "--range", "5..5"], 2, &["--range", "A..B"]),
        (&["--vnnlib", "d", "--range", "1990..2001"], 2, &["--range 1990..2001", "2000 test"]),
        (&["--vnnlib", "d", "--range", "1..2", "--limit", "3"], 2, &["--range", "--limit"]),
        (&["--vnnlib", "d", "--epsilon", "1.5"], 3, &["epsilon", "1.5", "[0, 1]"]),
        (&["--vnnlib", "d", "--timeout", "0"], 2, &["--timeout", "at least 1"]),
        (&["--vnnlib", "used"], 2, &["used", "not empty"]),
        (&["--vnnlib", "used/something"], 1, &["used/something"]),
        (&["--onnx", "no/f.onnx"], 1, &["no/f.onnx"]),
        (&["--onnx", "used"], 1, &["used"]),
    ] {
        let ran = export(folder.path(), arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran.assert_error(code, parts);
    }
    smallbox(folder.path(), &["export", "no", "--onnx", "f.onnx"]).assert_error(3, &["no", "no such file"]);
    assert_eq!(names(folder.path()), ["run", "used"]);
}
