use serde_json::Value;

use super::train::assert_evaluation;
use super::{smallbox, train};

fn rates(evaluation: &Value) -> [&Value; 4] {
    ["images", "natural", "adversarial", "ibp"].map(|key| &evaluation[key])
}

#[test]
fn a_run_and_its_bare_model_have_the_rates_that_training_reported() {
    let folder = tempfile::tempdir().unwrap();
    let eval = |more: &[&str]| smallbox(folder.path(), &[&["eval", "--device", "cpu", "--json"], more].concat()).json();
    let trained = train(folder.path(), &["--out", "run", "--json"]).json();
    let of_run = eval(&["run", "--limit", "64"]);
    assert_evaluation(&of_run);
    assert_eq!(rates(&of_run), rates(&trained["test"]));
    assert_eq!((of_run["model"].as_str(), of_run["split"].as_str()), (Some("run"), Some("test")));

    let file = ["run/model.safetensors", "--dataset", "embedded", "--attack-steps", "3", "--limit", "64", "--epsilon"];
    assert_eq!(rates(&eval(&[&file[..], &["0.1", "--arch", "cnn3"]].concat())), rates(&of_run));
    // Without any radius every attack and every box is the image itself.
    let point = eval(&[&file[..], &["0"]].concat());
    assert_eq!(point["natural"], point["adversarial"]);
    assert_eq!(point["natural"], point["ibp"]);
}

/// The attack of the run, its restarts too: more of them find more, and `eval` finds the same.
#[test]
fn the_attack_is_the_one_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let adversarial = |restarts: &str, out: &str| {
        let few = ["train", "--limit", "64", "--batch", "32", "--device", "cpu", "--out", out, "--json"];
        let long = ["--epochs", "12", "--set", "epsilon_end_epoch=4", "--epsilon", "0.5", "--method", "std"];
        // Short steps: what turns an image is the start.
        let settings = ["--set", restarts, "--set", "eval_attack_steps=1", "--set", "eval_attack_step_size=0.01"];
        let trained = smallbox(folder.path(), &[&few[..], &long, &settings].concat()).json();
        let of_run = smallbox(folder.path(), &["eval", out, "--limit", "64", "--device", "cpu", "--json"]).json();
        assert_eq!(rates(&of_run), rates(&trained["test"]), "{restarts}");
        of_run["adversarial"]["count"].as_u64().unwrap()
    };
    let (once, often) =
        (adversarial("eval_attack_restarts=1", "once"), adversarial("eval_attack_restarts=12", "often"));
    assert!(often < once, "{often} of {once}");
}

#[test]
fn splits_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run", "--validation", "70"]).text();
    let eval = |more: &[&str]| smallbox(folder.path(), &[&["eval", "run", "--attack-steps", "1"], more].concat());
    let validation = eval(&["--split", "validation", "--json"]).json();
    assert_eq!((&validation["images"], validation["split"].as_str()), (&70.into(), Some("validation")));
    let train = eval(&["--split", "train", "--limit", "5", "--json"]).json();
    assert_eq!(train["images"], 5);
    let table = eval(&["--limit", "5", "--epsilon", "2/255", "--quiet"]);
    assert!(table.text().contains("adversarial (PGD-1)") && table.stderr.is_empty(), "{table:?}");
}

#[test]
fn the_best_epoch_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let trained = train(folder.path(), &["--out", "run", "--validation", "64", "--json"]).json();
    // Three epochs with ε full in the third: the only one that can be the best.
    assert_eq!(trained["best"]["epoch"], 3);
    for key in ["natural", "adversarial", "ibp", "box"] {
        assert!(trained["best"]["validation"][key]["rate"].is_number(), "{key}: {trained}");
    }
    let eval = |more: &[&str]| smallbox(folder.path(), &[&["eval"], more, &["--limit", "64", "--json"]].concat());
    assert_eq!(rates(&eval(&["run", "--best"]).json()), rates(&eval(&["run"]).json()));

    std::fs::remove_file(folder.path().join("run/best.safetensors")).unwrap();
    eval(&["run", "--best"]).assert_error(3, &["best.safetensors", "validation"]);
    eval(&["run/model.safetensors", "--best"]).assert_error(2, &["model.safetensors", "--best", "run directory"]);
    let without = train(folder.path(), &["--out", "none", "--validation", "0", "--json"]).json();
    assert!(without["best"].is_null(), "{without}");
    assert!(!folder.path().join("none/best.safetensors").exists());
}
