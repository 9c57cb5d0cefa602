//! `analyze loss-growth` and `analyze loss-precision`.

use super::{names, smallbox, train};

const NO_RELU: &str = "arch = \"flat\"\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"linear\"\noutputs = 10\n";

#[test]
fn loss_growth_of_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--arch", "cnn-tiny", "--out", "a", "--lambda", "0.3"]).text();
    train(folder.path(), &["--arch", "cnn-tiny", "--out", "b", "--method", "std"]).text();
    let grow = |more: &[&str]| {
        let few = ["analyze", "loss-growth", "a", "b", "--limit", "9", "--step", "0.25", "--device", "cpu"];
        smallbox(folder.path(), &[&few[..], more].concat())
    };
    let found = grow(&["--json"]).json();
    let curves = found["curves"].as_array().unwrap();
    let said: Vec<(&str, &str, Option<f64>)> = curves
        .iter()
        .map(|c| (c["model"].as_str().unwrap(), c["bound"].as_str().unwrap(), c["own_lambda"].as_f64()))
        .collect();
    assert_eq!(said, [("a", "ibp", Some(0.3)), ("a", "crown", Some(0.3)), ("b", "ibp", None), ("b", "crown", None)]);
    let lambdas: Vec<f64> =
        curves[2]["points"].as_array().unwrap().iter().map(|p| p["lambda"].as_f64().unwrap()).collect();
    assert_eq!(lambdas, [0.0, 0.25, 0.3, 0.5, 0.75, 1.0, 1.25]);

    let text = grow(&["--bounds", "ibp", "--out", "figures", "--quiet"]);
    assert!(text.text().contains("Mean robust loss at some box sizes") && text.stderr.is_empty(), "{text:?}");
    assert_eq!(
        names(&folder.path().join("figures")),
        ["csv", "json", "png", "svg"].map(|end| format!("loss-growth.{end}"))
    );
}

#[test]
fn loss_precision_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--arch", "cnn-tiny", "--out", "run", "--lambda", "0.3"]).text();
    let precision = |more: &[&str]| {
        let few =
            ["analyze", "loss-precision", "run", "--limit", "3", "--epsilon", "0.01", "--device", "cpu", "--quiet"];
        smallbox(folder.path(), &[&few[..], &["--attack-steps", "5", "--attack-restarts", "1"], more].concat())
    };
    let found = precision(&["--json"]).json();
    assert_eq!((found["lambda"].as_f64(), found["epsilon"].as_f64()), (Some(0.3), Some(0.01)));
    let images = found["models"][0]["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    for image in images {
        let of = |key: &str| image[key].as_f64().unwrap_or_else(|| panic!("{key}: {image}"));
        assert!(
            image["open"].is_null() && of("upper") > of("lower") && of("upper") - of("lower") < 0.001_001,
            "{image}"
        );
        assert!(of("pgd") <= of("lower") && of("natural") <= of("lower") && of("ibp") >= of("lower") - 1e-4, "{image}");
    }
    let text = precision(&["--lambda", "0.5", "--out", "figures", "--name", "tiny"]);
    assert!(text.text().contains("λ = 0.5, ε = 0.01"), "{text:?}");
    assert_eq!(names(&folder.path().join("figures")), ["csv", "json", "png", "svg"].map(|end| format!("tiny.{end}")));
}

#[test]
fn wrong_inputs_get_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flat.toml"), NO_RELU).unwrap();
    train(folder.path(), &["--config", "flat.toml", "--out", "flat", "--method", "std"]).text();
    train(folder.path(), &["--arch", "cnn-tiny", "--out", "run"]).text();
    train(folder.path(), &["--arch", "cnn-tiny", "--out", "other", "--epsilon", "0.2"]).text();
    train(folder.path(), &["--dataset", "plane", "--out", "plane"]).text();
    for command in ["loss-growth", "loss-precision"] {
        let analyze =
            |more: &[&str]| smallbox(folder.path(), &[&["analyze", command, "--device", "cpu"], more].concat());
        analyze(&["flat"]).assert_error(3, &["flat", "without ReLU"]);
        analyze(&["run", "--limit", "0"]).assert_error(2, &["--limit 0", "1 to 2000"]);
        analyze(&["run", "--limit", "2001"]).assert_error(2, &["--limit 2001"]);
        analyze(&["run", "run"]).assert_error(2, &["run", "twice"]);
        analyze(&["run", "other"]).assert_error(2, &["epsilon", "0.1", "0.2"]);
        analyze(&["run", "--epsilon", "-1"]).assert_error(3, &["epsilon = -1"]);
        analyze(&["run", "plane"]).assert_error(2, &["dataset embedded", "plane"]);
        analyze(&["none"]).assert_error(3, &["none"]);
    }
    let precision = |option: &str, value: &str| {
        smallbox(folder.path(), &["analyze", "loss-precision", "run", "--device", "cpu", option, value])
    };
    for wrong in ["0", "1.5", "-0.4"] {
        precision("--lambda", wrong).assert_error(3, &[&format!("lambda = {wrong}"), "(0, 1]"]);
    }
    precision("--tolerance", "0").assert_error(2, &["--tolerance 0", "at least"]);
    precision("--attack-steps", "0").assert_error(2, &["--attack-steps"]);
    let growth = |value: &str| smallbox(folder.path(), &["analyze", "loss-growth", "run", "--step", value]);
    growth("0").assert_error(2, &["--step 0", "0.001 to 1.25"]);
    growth("-1").assert_error(2, &["--step -1"]);
}
