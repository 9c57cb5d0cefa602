//! `smallbox analyze results`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Ran, names, read, smallbox, train};

fn results(folder: &Path, arguments: &[&str]) -> Ran {
    smallbox(folder, &[&["analyze", "results"], arguments].concat())
}

fn certify(folder: &Path, run: &str, out: &str, more: &[&str]) -> Value {
    let first = [
        "certify",
        run,
        "--device",
        "cpu",
        "--quiet",
        "--attack-steps",
        "5",
        "--timeout",
        "5s",
        "--out",
        out,
        "--json",
    ];
    smallbox(folder, &[&first, more].concat()).json()
}

#[test]
fn runs_and_certifications_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "first", "--validation", "64"]).text();
    train(folder.path(), &["--out", "second", "--method", "ibp", "--validation", "64"]).text();
    let beside = certify(folder.path(), "first", "first/certified.jsonl", &["--limit", "16"]);
    // Two parts of one certification, at another radius.
    let more = ["--epsilon", "0.01", "--method", "crown"];
    certify(folder.path(), "second", "a.jsonl", &[&more[..], &["--range", "0..6"]].concat());
    certify(folder.path(), "second", "b.jsonl", &[&more[..], &["--range", "6..16"]].concat());
    let whole = smallbox(folder.path(), &["report", "merge", "a.jsonl", "b.jsonl", "--json"]).json();

    let options = ["first", "second", "--certified", "a.jsonl", "--certified", "b.jsonl", "--out", "out"];
    let ran = results(folder.path(), &options);
    let mut files: Vec<String> = ["results.csv", "results.json"].map(String::from).to_vec();
    for figure in ["embedded-0.01", "embedded-0.1"] {
        files.extend(["png", "svg"].map(|end| format!("results-{figure}.{end}")));
    }
    files.sort();
    assert_eq!(names(&folder.path().join("out")), files);
    for part in
        ["embedded, ε = 0.1", "embedded, ε = 0.01", "first", "second", "bab, 5 s an image", "crown, 5 s an image"]
    {
        assert!(ran.text().contains(part), "{part}: {ran:?}");
    }
    let data = results(folder.path(), &[&options[..6], &["--json"]].concat()).json();
    assert_eq!(data["networks"], serde_json::json!(["first", "second"]));
    let [full, small] = &data["settings"].as_array().unwrap()[..] else { panic!("{data}") };
    assert_eq!((&full["epsilon"], &small["epsilon"]), (&0.1.into(), &0.01.into()));
    let points = full["measured"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    for (point, run) in [(&points[0], "first"), (&points[2], "second")] {
        let result: Value = serde_json::from_slice(&read(folder.path().join(run).join("result.json"))).unwrap();
        assert_eq!((&point["network"], &point["verifier"]), (&run.into(), &"intervals".into()));
        assert_eq!((&point["natural"], &point["certified"]), (&result["test"]["natural"], &result["test"]["ibp"]));
        assert_eq!(point["images"], result["test"]["images"]);
    }
    for (point, of, network) in [(&points[1], &beside, "first"), (&small["measured"][0], &whole, "second")] {
        assert_eq!((&point["network"], &point["images"]), (&network.into(), &16.into()));
        assert_eq!((&point["natural"], &point["certified"]), (&of["natural"], &of["certified"]));
        let cascade = &point["verifier"]["cascade"];
        assert_eq!((&cascade["method"], &cascade["ibp"]), (&of["method"], &of["ibp"]));
        let open = ["unknown", "timeout", "error"].iter().map(|key| of[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!(cascade["open"], open);
    }
    assert_ne!(points[0]["natural"], points[1]["natural"], "the control: other images, other rates");

    // The best weights, where a certification is theirs, are a network of their own.
    let best = read(folder.path().join("first/best.safetensors"));
    if best != read(folder.path().join("first/model.safetensors")) {
        certify(folder.path(), "first", "best.jsonl", &["--limit", "2", "--best"]);
        let data = results(folder.path(), &["first", "--certified", "best.jsonl", "--json"]).json();
        assert_eq!(data["settings"][0]["measured"][2]["network"], "first, best epoch");
    }
    // A file that lies in the run and is named as well is counted once.
    let data = results(folder.path(), &["first", "--certified", "first/certified.jsonl", "--json"]).json();
    assert_eq!(data["settings"][0]["measured"].as_array().unwrap().len(), 2);
}

/// The recorded runs on MNIST, of which no weights are kept.
#[test]
fn recorded_runs_stand_beside_published_figures() {
    let folder = tempfile::tempdir().unwrap();
    let runs =
        ["std", "pgd", "ibp", "sabr"].map(|run| format!("{}/benches/runs/mnist/{run}", env!("CARGO_MANIFEST_DIR")));
    let ran = results(folder.path(), &runs.each_ref().map(|run| run.as_str()));
    for part in
        ["mnist, ε = 0.1", "98.22", "MN-BaB", "Müller et al. 2023", "92.99 (92.47–93.47)", "5.89 points above it"]
    {
        assert!(ran.text().contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.stdout.contains("98.75"), "what no second source confirms");
}

#[test]
fn wrong_input_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    train(folder.path(), &["--out", "other", "--seed", "5"]).text();
    certify(folder.path(), "other", "other.jsonl", &["--limit", "2"]);
    certify(folder.path(), "run", "validation.jsonl", &["--limit", "2", "--split", "validation"]);
    let assert_error = |arguments: &[&str], code, parts: &[&str]| {
        results(folder.path(), arguments).assert_error(code, parts);
    };
    assert_error(&[], 2, &["<RUN>"]);
    assert_error(&["no"], 3, &["no", "not a run directory"]);
    assert_error(&["run", "./run"], 2, &["./run", "twice"]);
    assert_error(&["run", "--certified", "other.jsonl"], 3, &["other.jsonl", "none of the runs"]);
    assert_error(
        &["run", "--certified", "validation.jsonl"],
        5,
        &["validation.jsonl", "validation images", "expected test"],
    );
    assert_error(&["run", "--certified", "no.jsonl"], 1, &["no.jsonl"]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty.jsonl"), "").unwrap();
    assert_error(&["run", "--certified", "empty.jsonl"], 5, &["empty.jsonl", "no line"]);
    fs::write(at("wrong.jsonl"), "{}\n").unwrap();
    assert_error(&["run", "--certified", "wrong.jsonl"], 3, &["wrong.jsonl", "line 1"]);
    let twice = ["run", "other", "--certified", "other.jsonl", "--certified", "./other.jsonl"];
    assert_error(&twice, 3, &["image 0", "again"]);
    fs::copy(at("other.jsonl"), at("run/certified.jsonl")).unwrap();
    assert_error(&["run"], 3, &["run/certified.jsonl", "another network"]);
    fs::remove_file(at("run/certified.jsonl")).unwrap();
    fs::remove_file(at("run/result.json")).unwrap();
    assert_error(&["run"], 5, &["result.json", "run with a result", "no result yet"]);
    assert_eq!(names(folder.path()).len(), 6, "nothing was written");
}
