//! `smallbox analyze regularisation`.

use std::path::Path;

use super::{Ran, names, smallbox, train};

fn regularisation(folder: &Path, more: &[&str]) -> Ran {
    let few = ["analyze", "regularisation", "--device", "cpu", "--quiet", "--attack-steps", "1", "--limit", "4"];
    smallbox(folder, &[&few[..], more].concat())
}

#[test]
fn two_runs_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "a", "--method", "std"]).text();
    train(folder.path(), &["--out", "b", "--lambda", "0.3"]).text();
    let ran =
        regularisation(folder.path(), &["a", "b", "--gradients", "2", "--batch", "3", "--out", "d", "--json"]).json();
    assert_eq!((&ran["dataset"], &ran["images"], &ran["gradient_images"]), (&"embedded".into(), &4.into(), &2.into()));
    assert_eq!(ran["lambda"], 0.3, "of the first run that has small boxes");
    for model in ran["models"].as_array().unwrap() {
        let regions: Vec<&str> =
            model["states"].as_array().unwrap().iter().filter_map(|s| s["region"].as_str()).collect();
        assert_eq!(regions, ["natural", "pgd", "small-box", "epsilon-box"]);
        assert_eq!(model["alignments"].as_array().unwrap().len(), 4);
        assert_eq!(model["norms"]["layers"].as_array().unwrap().len(), 4);
    }
    let figures = ["gradients", "states", "weights"];
    let figures = figures.map(|f| [format!("regularisation-{f}.png"), format!("regularisation-{f}.svg")]);
    let wanted = figures.concat().into_iter().chain(["regularisation.csv".into(), "regularisation.json".into()]);
    let mut wanted: Vec<String> = wanted.collect();
    wanted.sort();
    assert_eq!(names(&folder.path().join("d")), wanted);
    let text = regularisation(folder.path(), &["a", "--gradients", "1"]);
    for part in ["What training does", "ε box: unstable [%]", "cosine of gradients: λ·ε box, adversarial", "linear 4"]
    {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
}

#[test]
fn wrong_options_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "a"]).text();
    let refused =
        |more: &[&str], code: i32, parts: &[&str]| regularisation(folder.path(), more).assert_error(code, parts);
    refused(&["none"], 3, &["none", "no such file"]);
    refused(&["a", "--lambda", "0"], 3, &["lambda = 0", "(0, 1]"]);
    refused(&["a", "--lambda", "1.5"], 3, &["lambda = 1.5"]);
    refused(&["a", "--gradients", "5"], 2, &["--gradients 5", "1 to 4"]);
    refused(&["a", "--gradients", "0"], 2, &["--gradients", "at least 1"]);
    refused(&["a", "--split", "nowhere"], 2, &["--split", "nowhere"]);
}
