use std::fs;
use std::path::Path;

use serde_json::Value;
use smallbox::analyze::{Document, Table};
use smallbox::figure::{Axis, Chart, Figure, Mark, Series};

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
    // Places on the page itself may be pointed at, if they are there.
    for target in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap_or("")) {
        assert_eq!(html.matches(&format!("id=\"{target}\"")).count(), 1, "#{target}");
    }
    let bare = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("href=\"#", "").to_lowercase();
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
    for part in ["92.99 %", "92.47–93.47", "94.69 %", "28 189", "sabr, epoch 20: "] {
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

/// A document with a picture and two tables, all of whose texts have `mark` in them.
fn document(analysis: &str, title: &str, mark: &str) -> Document {
    let chart = |title: &str| Chart {
        title: title.into(),
        x: Axis::linear("box size", ""),
        y: Axis::linear("growth", ""),
        equal_axes: false,
        series: vec![Series::new(&format!("series {mark}"), 0, Mark::Line(vec![(0.0, 1.0), (1.0, 2.0)]))],
    };
    let charts = ["left", "right"].map(chart).to_vec();
    let figure = Figure { name: String::new(), caption: format!("Picture {mark}"), columns: 2, charts };
    let mut table = Table::new(&format!("Table {mark}"), &["network", "growth", "kind"]);
    table.rows.push(vec!["a".into(), "1.5".into(), format!("words {mark}")]);
    table.rows.push(vec!["b".into(), "-2".into(), "words".into()]);
    Document {
        command: format!("smallbox analyze {analysis} {mark} --out analyses"),
        version: "9.8.7".into(),
        explanation: vec![format!("First {mark}"), "Second.".into()],
        findings: vec![format!("Finding {mark}")],
        tables: vec![table, Table::new("Empty", &["network"])],
        figures: vec![figure],
        ..Document::new(analysis, title, Value::Null)
    }
}

/// The commands on a page, as they are copied from it.
fn commands(html: &str) -> Vec<String> {
    let codes = html.split("<code>").skip(1).map(|rest| rest.split("</code>").next().unwrap());
    codes.map(|code| code.replace("<span>", "").replace("</span>", "")).collect()
}

fn put(folder: &Path, name: &str, document: &Document) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), serde_json::to_string_pretty(document).unwrap()).unwrap();
}

#[test]
fn analyses_stand_on_the_page_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let analyses = folder.path().join("analyses");
    // Names that sort otherwise than the page.
    for (name, analysis, title) in [
        ("a.json", "zebra", "Zebra"),
        ("b.json", "results", "Results"),
        ("c.json", "growth", "Growth"),
        ("d.json", "growth", "Growth"),
        ("e.json", "exact", "Exact"),
        ("f.json", "apple", "Apple"),
    ] {
        put(&analyses, name, &document(analysis, title, &format!("of {name}")));
    }
    put(folder.path(), "alone.json", &document("loss-growth", "Loss", "<script>alert('1')&\""));
    fs::write(analyses.join("notes.txt"), "no document").unwrap();
    train(folder.path(), &["--out", "run"]).text();

    let options = ["report", "run", "--analyses", "analyses", "--analyses", "alone.json", "--out", "r.html"];
    let ran = smallbox(folder.path(), &options);
    assert!(ran.text().contains("loss-growth") && ran.text().contains("IBP-certified"), "{ran:?}");
    let html = page(folder.path(), "r.html");
    let count = assert_stands_alone(&html, &["figure", "section", "pre", "nav", "a", "h2"]);
    assert_eq!(count, [7, 7, 7, 1, 11, 11]);
    // Runs first, then analyses: as they are listed, then the others by name; equal titles with their files.
    let order =
        ["Accuracies on the test split", "Growth (c)", "Growth (d)", "Loss", "Exact", "Results", "Apple", "Zebra"];
    for of in ["<nav", "</nav>"] {
        let part = html.split(of).nth(1).unwrap();
        let places: Vec<usize> =
            order.iter().map(|title| part.find(title).unwrap_or_else(|| panic!("{title}"))).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
    for name in ["a.json", "b.json", "c.json", "d.json", "e.json", "f.json"] {
        for text in ["First", "Finding", "Picture", "Table", "words", "series"] {
            assert!(html.contains(&format!("{text} of {name}")), "{text} of {name}");
        }
    }
    for text in [
        "First &lt;script&gt;alert(&#39;1&#39;)&amp;&quot;",
        "<figcaption>Picture &lt;script&gt;",
        "smallbox 9.8.7",
        "<td class=\"n\">-2</td><td>words</td>",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(commands(&html).contains(&"smallbox analyze growth of c.json --out analyses".to_string()));
    // The picture is the figure's own, with room for its letters.
    assert!(html.contains(&document("growth", "Growth", "of c.json").figures[0].svg()));
    assert!(html.contains("--least: 748px"));

    let told = smallbox(folder.path(), &[&options[..], &["--json"]].concat()).json();
    let names: Vec<&str> =
        told["analyses"].as_array().unwrap().iter().map(|a| a["analysis"].as_str().unwrap()).collect();
    assert_eq!(names, ["growth", "growth", "loss-growth", "exact", "results", "apple", "zebra"]);
    let first = &told["analyses"][0];
    assert_eq!((&first["title"], &first["figures"], &first["tables"]), (&"Growth (c)".into(), &1.into(), &2.into()));
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);

    // Without runs, and a single one.
    smallbox(folder.path(), &["report", "--analyses", "alone.json", "--out", "r.html"]).text();
    let html = page(folder.path(), "r.html");
    assert_eq!(assert_stands_alone(&html, &["section", "h2", "nav"]), [1, 1, 0]);
    assert!(html.contains("<title>smallbox: Loss</title>") && !html.contains("Accuracies on the test split"));
}

#[test]
fn a_real_analysis_comes_onto_the_page() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let ran = smallbox(folder.path(), &["analyze", "results", "run", "--out", "with blank"]);
    assert!(ran.text().contains("results.json"), "{ran:?}");
    smallbox(folder.path(), &["report", "--analyses", "with blank", "--out", "r.html"]).text();
    let html = page(folder.path(), "r.html");
    assert_stands_alone(&html, &[]);
    assert_eq!(commands(&html), ["smallbox analyze results run --out &#39;with blank&#39;"]);
    assert!(html.contains("Natural against certified accuracy on the test images of embedded"));
}

#[test]
fn wrong_analyses_are_one_line_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = document("growth", "Growth", "x");
    put(folder.path(), "good.json", &good);
    let assert_error = |paths: &[&str], code, parts: &[&str]| {
        let places = paths.iter().flat_map(|path| ["--analyses", *path]);
        let arguments: Vec<&str> = ["report", "--out", "r.html"].into_iter().chain(places).collect();
        smallbox(folder.path(), &arguments).assert_error(code, parts);
    };
    assert_error(&["no.json"], 5, &["no.json", "no such file"]);
    assert_error(&["good.json", "./good.json"], 2, &["./good.json", "twice"]);
    assert_error(&[".", "good.json"], 2, &["good.json", "twice"]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_error(&["empty"], 5, &["empty", "*.json"]);
    let broken = folder.path().join("broken");
    let mut cells = good.clone();
    cells.tables[0].rows[0].pop();
    let mut columns = good.clone();
    columns.figures[0].columns = 0;
    let text = |document: &Document| serde_json::to_string(document).unwrap();
    for (content, part) in [
        ("{".to_string(), "EOF"),
        ("[]".to_string(), "document of an analysis"),
        ("{\"analysis\": \"growth\"}".to_string(), "title"),
        (text(&cells), "2 cells for 3 columns"),
        (text(&columns), "0 columns"),
    ] {
        put(&broken, "a.json", &good);
        fs::write(broken.join("b.json"), content).unwrap();
        assert_error(&["broken"], 5, &["b.json", part]);
    }
    smallbox(folder.path(), &["report", "--out", "r.html"]).assert_error(2, &["RUN"]);
    assert_eq!(names(folder.path()), ["broken", "empty", "good.json"]);
}
