use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Ran, names, read, smallbox, train};
use crate::common::html::elements;

fn page(folder: &Path, name: &str) -> String {
    String::from_utf8(read(folder.join(name))).unwrap()
}

fn report(folder: &Path, runs: &[&str]) -> Ran {
    smallbox(folder, &[&["report"], runs, &["--out", "r.html"]].concat())
}

/// Holds that the page is well-formed and needs nothing but itself; returns how often each of `wanted` begins.
fn assert_stands_alone(html: &str, wanted: &[&str]) -> Vec<usize> {
    let seen = elements(html).unwrap_or_else(|error| panic!("{error}"));
    let bare = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").to_lowercase();
    for part in ["http", "<script", "<link", "<img", "<iframe", "@import", "url(", "src=", "href=", "javascript"] {
        assert!(!bare.contains(part), "{part} in the page");
    }
    assert!(bare.contains("prefers-color-scheme: dark") && bare.contains("@media print"));
    wanted.iter().map(|name| seen.iter().filter(|n| n == name).count()).collect()
}

/// A run's result as the program wrote it.
fn result(folder: &Path, run: &str) -> Value {
    serde_json::from_slice(&read(folder.join(run).join("result.json"))).unwrap()
}

/// Puts `edit` of a file's text in its place.
fn change(path: impl AsRef<Path>, edit: impl Fn(String) -> String) {
    let text = String::from_utf8(read(&path)).unwrap();
    fs::write(path, edit(text)).unwrap();
}

#[test]
fn two_runs_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "first", "--validation", "64"]).text();
    train(folder.path(), &["--out", "second", "--method", "mtl-ibp", "--seed", "3", "--validation", "0"]).text();
    let ran = report(folder.path(), &["first", "second"]);
    assert!(ran.text().contains("first") && ran.text().contains("r.html"), "{ran:?}");
    assert_eq!(ran.stderr, "");
    let html = page(folder.path(), "r.html");
    let count = assert_stands_alone(&html, &["html", "details", "table"]);
    assert_eq!(count, [1, 2, 5]);
    for run in ["first", "second"] {
        let test = &result(folder.path(), run)["test"];
        for key in ["natural", "adversarial", "ibp"] {
            let part = |name: &str| format!("{:.2}", 100.0 * test[key][name].as_f64().unwrap());
            let cell = format!("{} %<small>{}–{}</small>", part("rate"), part("low"), part("high"));
            assert!(html.contains(&cell), "{run}: {key}: {cell}");
        }
        let metrics = page(folder.path(), &format!("{run}/metrics.jsonl"));
        for line in metrics.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let natural = 100.0 * row["train_natural"].as_f64().unwrap();
            let title = format!("<title>{run}, epoch {}: {}", row["epoch"], smallbox::figure::number(natural));
            assert!(html.contains(&title), "{title}");
        }
    }
    for text in ["sabr, λ = 0.4", "mtl-ibp, α = 0.1", "epoch", "samples/s", "peak memory", "Learning rate", "3 of 3"]
    {
        assert!(html.contains(text), "{text}");
    }
    // Only what differs stands in the table of differences; the figures that only one run has are drawn.
    let differing = html.split("Settings in which the runs differ").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(differing.contains(">seed<") && differing.contains(">method<") && !differing.contains(">batch<"));
    for title in ["small box, validation images", "IBP-certified, validation images", "best epoch"] {
        assert!(html.contains(title), "{title}");
    }
    // Nothing is published for the dataset of the program.
    assert!(!html.contains("incomplete") && !html.contains("published"));
    let best = result(folder.path(), "first")["best"].clone();
    let chosen_by = 100.0 * best["validation"]["ibp"]["rate"].as_f64().unwrap();
    assert!(html.contains(&format!("{}<small>IBP {chosen_by:.2} %</small>", best["epoch"])), "{best}");

    let document = smallbox(folder.path(), &["report", "first", "second", "--out", "r.html", "--json"]).json();
    assert_eq!(document["runs"][1]["test"]["ibp"], result(folder.path(), "second")["test"]["ibp"]);
    assert_eq!((&document["bytes"], &document["runs"][0]["complete"]), (&html.len().into(), &true.into()));
    // The same runs give the same page, and metrics.csv holds what metrics.jsonl does.
    fs::remove_file(folder.path().join("first/metrics.jsonl")).unwrap();
    report(folder.path(), &["first", "second"]).text();
    assert!(page(folder.path(), "r.html") == html);
}

#[test]
fn runs_that_are_not_complete_are_shown_as_such() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let file = |name: &str| folder.path().join("run").join(name);
    let metrics = page(folder.path(), "run/metrics.jsonl");
    let lines: Vec<&str> = metrics.lines().collect();

    // Trained on since its result was written.
    change(file("result.json"), |text| text.replace("\"epochs\": 3", "\"epochs\": 1"));
    report(folder.path(), &["run"]).text();
    assert!(page(folder.path(), "r.html").contains("the test figures are those after epoch 1"));

    // In progress, with a line that is being written.
    fs::remove_file(file("result.json")).unwrap();
    fs::write(file("metrics.jsonl"), format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..20])).unwrap();
    let ran = report(folder.path(), &["run"]);
    assert!(ran.text().contains("incomplete: 2 of 3 epochs, no result yet"), "{ran:?}");
    assert!(ran.stderr.contains("metrics.jsonl: line 3") && ran.stderr.lines().count() == 1, "{ran:?}");
    let html = page(folder.path(), "r.html");
    assert_stands_alone(&html, &[]);
    assert!(html.contains("run: incomplete: 2 of 3 epochs, no result yet") && html.contains("run, epoch 2: "));
    assert!(!html.contains("run, epoch 3: "));
}

#[test]
fn published_figures_stand_beside_ours_as_anothers() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let publish = |text: &str| {
        change(folder.path().join("run/result.json"), |result| {
            let mut result: serde_json::Value = serde_json::from_str(&result).unwrap();
            result["published"] = serde_json::from_str(text).unwrap();
            result.to_string()
        });
    };
    publish("{\"natural\": 0.9923, \"certified\": 0.9822, \"verifier\": \"MN-BaB <1>\", \"source\": \"Table 1\"}");
    report(folder.path(), &["run"]).text();
    let html = page(folder.path(), "r.html");
    assert_stands_alone(&html, &[]);
    for part in ["99.23 %", "98.22 %", "MN-BaB &lt;1&gt;; Table 1", "by another verifier"] {
        assert!(html.contains(part), "{part}");
    }
    publish("null");
    report(folder.path(), &["run"]).text();
    assert!(!page(folder.path(), "r.html").contains("another verifier"));
    publish("{\"natural\": 99.23, \"certified\": 0.9822}");
    report(folder.path(), &["run"]).assert_error(5, &["result.json", "published.natural", "99.23", "0..1"]);
}

/// A file system that lets a run be called so.
#[cfg(unix)]
#[test]
fn a_name_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let name = "<script>alert('1')&\"";
    train(folder.path(), &["--out", "run"]).text();
    fs::rename(folder.path().join("run"), folder.path().join(name)).unwrap();
    report(folder.path(), &[name]).text();
    let html = page(folder.path(), "r.html");
    assert_stands_alone(&html, &[]);
    assert!(html.contains("&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;"));
}

/// The recorded runs on MNIST, whose directories keep `metrics.csv` only.
#[test]
fn the_recorded_runs() {
    let folder = tempfile::tempdir().unwrap();
    let runs =
        ["ibp", "pgd", "sabr", "std"].map(|run| format!("{}/benches/runs/mnist/{run}", env!("CARGO_MANIFEST_DIR")));
    report(folder.path(), &runs.each_ref().map(|run| run.as_str())).text();
    let html = page(folder.path(), "r.html");
    assert_stands_alone(&html, &[]);
    for part in ["93.20 %", "92.69–93.68", "95.14 %", "38 218", "sabr, epoch 20: "] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.len() < 150_000, "{} bytes", html.len());
}

#[test]
fn wrong_input_is_one_line_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let run = folder.path().join("run");
    let assert_error = |runs: &[&str], code, parts: &[&str]| report(folder.path(), runs).assert_error(code, parts);
    assert_error(&[], 2, &["<RUN>"]);
    smallbox(folder.path(), &["report", "run"]).assert_error(2, &["--out"]);
    smallbox(folder.path(), &["report", "run", "--out", "no/r.html"]).assert_error(1, &["no/r.html"]);
    assert_error(&["run", "./run"], 2, &["./run", "twice"]);
    assert_error(&["no"], 3, &["no", "not a run directory"]);
    // One wrong run spoils the page: none is left out silently.
    assert_error(&["run", "no"], 3, &["no", "not a run directory"]);

    let broken = |file: &str, edit: &dyn Fn(String) -> String, code, parts: &[&str]| {
        let kept = read(run.join(file));
        change(run.join(file), edit);
        assert_error(&["run"], code, parts);
        fs::write(run.join(file), kept).unwrap();
    };
    broken("metrics.jsonl", &|text| text.replacen("\n{", "\n", 1), 5, &["metrics.jsonl", "line 2"]);
    broken(
        "metrics.jsonl",
        &|text| text.replacen("\"loss\"", "\"lost\"", 1),
        5,
        &["metrics.jsonl", "line 1", "'loss'"],
    );
    broken("metrics.jsonl", &|_| String::new(), 5, &["metrics.jsonl", "no epoch"]);
    broken("result.json", &|text| text[..text.len() / 2].into(), 5, &["result.json", "line"]);
    broken("config.toml", &|text| text.replace("lambda", "lamda"), 3, &["config.toml", "lamda"]);
    for file in ["metrics.jsonl", "metrics.csv"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    assert_error(&["run"], 5, &["metrics.jsonl", "no epoch"]);
    assert_eq!(names(folder.path()), ["run"]);
}
