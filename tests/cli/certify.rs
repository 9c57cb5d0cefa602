//! `smallbox certify` and `report merge`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Ran, smallbox, train};

fn certify(folder: &Path, more: &[&str]) -> Ran {
    let first = ["certify", "run", "--device", "cpu", "--quiet", "--attack-steps", "5", "--epsilon", "0.01"];
    smallbox(folder, &[&first, more].concat())
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line without what depends on the clock.
fn timeless(mut line: Value) -> Value {
    line.as_object_mut().unwrap().remove("seconds").unwrap();
    line
}

#[test]
fn images_are_counted_recorded_and_proved_again() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let at = |name: &str| folder.path().join(name);
    let options = ["--limit", "24", "--out", "a.jsonl", "--certificates", "c", "--timeout", "10s"];
    let whole = certify(folder.path(), &[&options[..], &["--json"]].concat()).json();
    let records = lines(&at("a.jsonl"));
    assert_eq!((records.len(), &whole["images"]), (24, &Value::from(24)));
    let number = |key: &str| whole[key].as_u64().unwrap_or_else(|| panic!("{key}: {whole}"));
    let certified = whole["certified"]["count"].as_u64().unwrap();
    assert!(certified > 0, "{whole}");
    let decided = number("falsified") + number("unknown") + number("timeout") + number("error");
    assert_eq!(certified + decided, 24);
    let by_stage = |what: &str| -> u64 {
        whole["stages"].as_object().unwrap().values().map(|stage| stage[what].as_u64().unwrap()).sum()
    };
    assert_eq!((by_stage("certified"), by_stage("falsified")), (certified, number("falsified")));
    // The evaluation counts the same images as correct, and its interval bounds none that is not certified here.
    let rates = smallbox(
        folder.path(),
        &["eval", "run", "--limit", "24", "--epsilon", "0.01", "--attack-steps", "1", "--json"],
    )
    .json();
    assert_eq!(rates["natural"], whole["natural"]);
    assert_eq!(rates["ibp"], whole["ibp"]);

    // A certificate for each certified image, proved by the program that knows no search, and held against its image.
    let names: Vec<String> = records
        .iter()
        .filter(|r| r["verdict"] == "certified")
        .map(|r| format!("c/{:05}.certificate", r["index"].as_u64().unwrap()))
        .collect();
    assert_eq!(names.len() as u64, certified);
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let check = |more: &[&str]| smallbox(folder.path(), &[&["check", "--model", "run"], &files[..], more].concat());
    assert!(check(&["--epsilon", "0.01"]).text().contains(&format!("{certified} of {certified} proved")));
    assert_eq!(check(&["--epsilon", "0.02"]).code, Some(7), "the box of 0.01 does not hold the ball of 0.02");

    // In two parts: the same lines, which merge to the same counts.
    for part in ["1/2", "2/2"] {
        let out = format!("{}.jsonl", part.replace('/', "-"));
        certify(folder.path(), &["--limit", "24", "--timeout", "10s", "--shard", part, "--out", &out]).text();
    }
    let merged =
        smallbox(folder.path(), &["report", "merge", "2-2.jsonl", "1-2.jsonl", "--out", "m.jsonl", "--json"]).json();
    for key in ["images", "natural", "adversarial", "certified", "falsified", "digest"] {
        assert_eq!(merged[key], whole[key], "{key}");
    }
    assert!(lines(&at("m.jsonl")).into_iter().map(timeless).eq(records.into_iter().map(timeless)));
    let merge = |files: &[&str]| smallbox(folder.path(), &[&["report", "merge"], files].concat());
    merge(&["1-2.jsonl", "1-2.jsonl"]).assert_error(3, &["image 0", "again"]);
    let text = fs::read_to_string(at("1-2.jsonl")).unwrap();
    fs::write(at("gap.jsonl"), text.lines().skip(1).map(|l| format!("{l}\n")).collect::<String>()).unwrap();
    let first = text.lines().next().unwrap().replace("\"index\":0", "\"index\":99");
    fs::write(at("far.jsonl"), first + "\n").unwrap();
    merge(&["1-2.jsonl", "far.jsonl"]).assert_error(3, &["images 12 to 98", "missing"]);
    certify(folder.path(), &["--limit", "2", "--method", "ibp", "--out", "ibp.jsonl"]).text();
    merge(&["2-2.jsonl", "ibp.jsonl"]).assert_error(3, &["ibp.jsonl", "method ibp instead of bab"]);
}

#[test]
fn an_interrupted_file_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let at = |name: &str| folder.path().join(name);
    let options = ["--limit", "6", "--method", "crown", "--batch", "2", "--out", "a.jsonl"];
    certify(folder.path(), &options).text();
    let whole = lines(&at("a.jsonl"));
    // Two lines and the half of a third: what a crash leaves.
    let text = fs::read_to_string(at("a.jsonl")).unwrap();
    let second = text.match_indices('\n').nth(1).unwrap().0;
    fs::write(at("a.jsonl"), &text[..second + 30]).unwrap();
    let again = certify(folder.path(), &options);
    assert!(again.text().contains("natural") && again.stderr.contains("2 images are decided already"), "{again:?}");
    assert!(lines(&at("a.jsonl")).into_iter().map(timeless).eq(whole.into_iter().map(timeless)));
    // The same file for something else is refused, and stays.
    certify(folder.path(), &["--limit", "6", "--method", "ibp", "--out", "a.jsonl"])
        .assert_error(3, &["a.jsonl", "method crown instead of ibp"]);
    certify(folder.path(), &["--limit", "2", "--method", "crown", "--out", "a.jsonl"])
        .assert_error(3, &["image 2", "not asked for"]);
    assert_eq!(lines(&at("a.jsonl")).len(), 6);
    fs::write(at("b.jsonl"), "{}\n").unwrap();
    certify(folder.path(), &["--limit", "2", "--out", "b.jsonl"]).assert_error(3, &["b.jsonl", "line 1"]);
}

#[test]
fn gates_and_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let gate =
        certify(folder.path(), &["--limit", "3", "--method", "ibp", "--min-certified", "1.0", "--epsilon", "0.3"]);
    assert_eq!(gate.code, Some(2), "--epsilon twice: {gate:?}");
    let wrong = |more: &[&str], code, parts: &[&str]| {
        let ran = smallbox(folder.path(), &[&["certify", "run", "--device", "cpu", "--quiet"], more].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        parts.iter().for_each(|part| assert!(ran.stderr.contains(part), "{part}: {ran:?}"));
    };
    wrong(&["--limit", "3", "--method", "ibp", "--min-certified", "1.0", "--epsilon", "0.5"], 7, &["--min-certified"]);
    wrong(&["--method", "magic"], 2, &["magic"]);
    wrong(&["--range", "0..100000"], 2, &["100000"]);
    wrong(&["--shard", "3/2"], 2, &["I/N"]);
    wrong(&["--epsilon", "-1"], 3, &["epsilon"]);
    wrong(&["--timeout", "soon"], 2, &["soon"]);
    smallbox(folder.path(), &["certify", "nowhere"]).assert_error(3, &["nowhere", "no such file"]);
}
