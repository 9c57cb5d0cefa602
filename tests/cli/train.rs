use serde_json::Value;

use super::{names, read, smallbox, train};

/// The keys that scripts may rely on.
const KEYS: [&str; 14] = [
    "run",
    "method",
    "arch",
    "dataset",
    "epsilon",
    "lambda",
    "epochs",
    "steps",
    "seconds",
    "samples_per_second",
    "peak_bytes",
    "device",
    "loss",
    "test",
];

/// Each rate is count / images and lies within its interval.
pub(super) fn assert_evaluation(evaluation: &Value) {
    for key in ["model", "dataset", "split", "epsilon", "images"] {
        assert!(!evaluation[key].is_null(), "{key}: {evaluation}");
    }
    let images = evaluation["images"].as_f64().unwrap();
    for key in ["natural", "adversarial", "ibp"] {
        let part = |name: &str| evaluation[key][name].as_f64().unwrap_or_else(|| panic!("{key}.{name}: {evaluation}"));
        assert_eq!(part("rate"), part("count") / images, "{key}: {evaluation}");
        assert!(part("low") <= part("rate") && part("rate") <= part("high"), "{key}: {evaluation}");
        assert!(part("low") >= 0.0 && part("high") <= 1.0 && part("low") < part("high"), "{key}: {evaluation}");
    }
}

#[test]
fn a_run_leaves_its_directory_and_reports_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let result = train(folder.path(), &["--json"]).json();
    for key in KEYS {
        assert!(!result[key].is_null(), "{key}: {result}");
    }
    assert_eq!(result["run"], "runs/embedded-sabr-cnn3");
    assert_eq!(result["steps"], 6);
    assert_eq!(result["device"], "cpu");
    assert_eq!(result["test"]["images"], 64);
    assert_evaluation(&result["test"]);
    // From the start of the process, before the clock of the run begins.
    let first = result["first_step_seconds"].as_f64().unwrap_or_else(|| panic!("{result}"));
    assert!(first > 0.0 && first < 60.0, "{result}");

    let run = folder.path().join("runs/embedded-sabr-cnn3");
    for name in
        ["config.toml", "metrics.csv", "metrics.jsonl", "model.safetensors", "best.safetensors", "state.safetensors"]
    {
        assert!(names(&run).contains(&name.to_string()), "{name}: {:?}", names(&run));
    }
    assert_eq!(serde_json::from_slice::<Value>(&read(run.join("result.json"))).unwrap(), result);
    let metrics = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    let rows: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    for key in ["epoch", "step", "seconds", "epsilon", "lr", "loss"] {
        assert!(rows.iter().all(|row| row[key].is_number()), "{key}: {metrics}");
    }
    for split in ["train", "validation"] {
        for rate in ["natural", "adversarial", "ibp"] {
            assert!(rows.iter().all(|row| row[format!("{split}_{rate}")].is_number()), "{split}_{rate}: {metrics}");
        }
    }
    for split in ["train", "validation"] {
        assert!(rows.iter().all(|row| row[format!("{split}_box")].is_number()), "sabr has a small box: {metrics}");
    }
    assert!(rows.iter().all(|row| row["samples_per_second"].as_f64().unwrap() > 0.0), "{metrics}");
    assert_eq!((&rows[0]["epsilon"], &rows[2]["epsilon"]), (&0.0.into(), &0.1.into()), "{metrics}");
}

#[test]
fn training_may_end_at_another_radius_than_the_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let result = train(folder.path(), &["--json", "--out", "run", "--set", "train_epsilon=0.2"]).json();
    assert_eq!(result["epsilon"], 0.1);
    assert_eq!(result["test"]["epsilon"], 0.1);
    let metrics = String::from_utf8(read(folder.path().join("run/metrics.jsonl"))).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(last["epsilon"], 0.2);
}

#[test]
fn one_seed_gives_one_model_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let model = |out: &str, seed: &str| {
        train(folder.path(), &["--out", out, "--seed", seed]).text();
        read(folder.path().join(out).join("model.safetensors"))
    };
    let first = model("a", "7");
    assert!(first == model("b", "7"), "two runs with one seed differ");
    assert!(first != model("c", "8"), "the seed has no effect");
}

#[test]
fn the_recorded_configuration_makes_the_same_run_again() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "a", "--method", "ibp", "--lr", "0.002"]).text();
    smallbox(folder.path(), &["train", "--config", "a/config.toml", "--out", "b", "--device", "cpu"]).text();
    let model = |run: &str| read(folder.path().join(run).join("model.safetensors"));
    assert!(model("a") == model("b"));
    assert_eq!(read(folder.path().join("a/config.toml")), read(folder.path().join("b/config.toml")));
}

#[test]
fn the_result_is_a_table_and_progress_is_apart() {
    let folder = tempfile::tempdir().unwrap();
    let ran = train(folder.path(), &[]);
    for part in
        ["natural", "adversarial (PGD-3)", "IBP-certified", "95 % interval", "samples/s", "runs/embedded-sabr-cnn3"]
    {
        assert!(ran.text().contains(part), "{part}: {ran:?}");
    }
    for part in
        ["device   cpu", "network  cnn3, 166 406 parameters", "64 training, 64 validation, 64 test", "epoch  3/3"]
    {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    let quiet = train(folder.path(), &["--quiet"]);
    assert!(quiet.text().contains("runs/embedded-sabr-cnn3-2"), "{quiet:?}");
    assert_eq!(quiet.stderr, "");
}

#[test]
fn every_method_trains_every_small_network() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["std", "pgd", "ibp", "sabr", "cc-ibp", "mtl-ibp", "exp-ibp", "taps", "staps"] {
        let result = train(folder.path(), &["--method", method, "--json", "--arch", "small"]).json();
        assert_eq!((result["method"].as_str(), result["arch"].as_str()), (Some(method), Some("small")));
        assert_evaluation(&result["test"]);
    }
}

#[test]
fn a_dry_run_shows_every_phase_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ran = train(folder.path(), &["--dry-run"]);
    for part in ["nodes", "kernels", "launches", "arithmetic", "traffic", "memory", "natural", "annealing", "full"] {
        assert!(ran.text().contains(part), "{part}: {ran:?}");
    }
    let result = train(folder.path(), &["--dry-run", "--json"]).json();
    assert_eq!(result["parameters"], 166_406);
    for phase in result["phases"].as_array().unwrap() {
        for key in ["nodes", "kernels", "launches", "flops", "bytes", "slot_bytes"] {
            assert!(phase[key].as_u64().is_some_and(|n| n > 0), "{key}: {phase}");
        }
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn time_that_is_over_ends_well_and_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let stopped = train(folder.path(), &["--out", "a", "--max-time", "1ms", "--json"]).json();
    assert_eq!(stopped["complete"], false);
    assert_evaluation(&stopped["test"]);
    let whole = smallbox(folder.path(), &["train", "--resume", "a", "--json"]).json();
    assert_eq!((&whole["complete"], &whole["steps"]), (&true.into(), &6.into()));
    train(folder.path(), &["--out", "b"]).text();
    let model = |run: &str| read(folder.path().join(run).join("model.safetensors"));
    assert!(model("a") == model("b"));
}
