//! `smallbox analyze growth`.

use std::path::Path;

use super::{Ran, names, smallbox, train};

fn growth(folder: &Path, more: &[&str]) -> Ran {
    let few = ["analyze", "growth", "--device", "cpu", "--quiet", "--attack-steps", "1", "--sizes", "3"];
    smallbox(folder, &[&few[..], more].concat())
}

#[test]
fn two_runs_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "a"]).text();
    train(folder.path(), &["--out", "b", "--method", "std"]).text();
    let ran = growth(folder.path(), &["a", "b", "--limit", "3", "--batch", "2", "--out", "d", "--json"]).json();
    assert_eq!((&ran["dataset"], &ran["split"], &ran["images"]), (&"embedded".into(), &"test".into(), &3.into()));
    assert_eq!(ran["lambdas"].as_array().unwrap().len(), 3);
    assert_eq!((&ran["models"][0]["model"], &ran["models"][1]["model"]), (&"a".into(), &"b".into()));
    for model in ran["models"].as_array().unwrap() {
        let kinds: Vec<&str> = model["layers"].as_array().unwrap().iter().filter_map(|l| l["kind"].as_str()).collect();
        let blocks = ["convolution", "relu", "convolution", "relu", "linear", "relu", "linear"];
        assert_eq!(kinds[kinds.len() - 7..], blocks);
        for center in model["centers"].as_array().unwrap() {
            assert_eq!(center["exponents"].as_array().unwrap().len(), 2);
            assert_eq!(center["layers"].as_array().unwrap().len(), kinds.len());
        }
    }
    let made = names(&folder.path().join("d"));
    let figures =
        ["arriving", "centers", "layers", "network"].map(|f| [format!("growth-{f}.png"), format!("growth-{f}.svg")]);
    let wanted = figures.concat().into_iter().chain(["growth.csv".into(), "growth.json".into()]);
    assert_eq!(made, wanted.collect::<Vec<String>>());
    let text = growth(folder.path(), &["a", "--limit", "2", "--smallest", "1/8", "--largest", "1"]);
    let text = text.text();
    for part in ["How boxes grow", "ReLU 3", "a, PGD", "closed form", "exponent"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn wrong_options_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "a"]).text();
    let refused = |more: &[&str], code: i32, parts: &[&str]| growth(folder.path(), more).assert_error(code, parts);
    refused(&["none"], 3, &["none", "no such file"]);
    refused(&[], 2, &["MODEL"]);
    refused(&["a", "--limit", "0"], 2, &["--limit", "at least 1"]);
    refused(&["a", "--limit", "1000000"], 2, &["--limit 1000000"]);
    refused(&["a", "--smallest", "0"], 2, &["--smallest 0", "positive"]);
    refused(&["a", "--smallest", "1/2", "--largest", "0.5"], 2, &["--largest 0.5", "more than"]);
    refused(&["a", "--epsilon", "0"], 3, &["epsilon = 0"]);
    refused(&["a", "a"], 2, &["a: this model is given twice"]);
    let one = smallbox(folder.path(), &["analyze", "growth", "a", "--sizes", "1"]);
    one.assert_error(2, &["--sizes 1", "2 at least"]);
}
