use super::{smallbox, train};

#[test]
fn a_step_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |more: &[&str]| {
        let common = ["bench", "step", "--device", "cpu", "--batch", "4", "--warmup", "1"];
        smallbox(folder.path(), &[&common[..], more].concat())
    };
    let result = bench(&["--steps", "5", "--json"]).json();
    assert_eq!(result["device"], "cpu");
    let row = &result["rows"][0];
    assert_eq!(row["name"], "step/sabr/cnn3/4");
    let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {result}"));
    assert!(number("min_ms") > 0.0 && number("min_ms") <= number("median_ms"), "{result}");
    assert!(number("gflops") > 0.0 && number("gbytes_per_s") > 0.0, "{result}");
    assert!(row["of_roof"].is_null() && row.as_object().unwrap().contains_key("of_roof"), "{result}");
    assert!(bench(&["--steps", "5", "--method", "std"]).text().contains("median"));
    bench(&["--steps", "4"]).assert_error(2, &["--steps 4", "at least 5"]);
}

#[test]
fn an_attack_is_timed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |command: &str, more: &[&str]| {
        let common = ["bench", command, "--device", "cpu", "--batch", "4", "--warmup", "1", "--steps", "5", "--json"];
        smallbox(folder.path(), &[&common[..], more].concat()).json()
    };
    let flops = |result: &serde_json::Value| result["flops"].as_u64().unwrap_or_else(|| panic!("{result}"));
    let (attack, chosen, step) = (bench("attack", &[]), bench("attack", &["--choose"]), bench("step", &[]));
    assert_eq!((&attack["rows"][0]["name"], &attack["method"]), (&"attack/cnn3/4".into(), &serde_json::Value::Null));
    assert_eq!(chosen["rows"][0]["name"], "attack-and-choice/cnn3/4");
    assert!(attack["rows"][0]["median_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{attack}");
    assert!(flops(&attack) < flops(&chosen) && flops(&chosen) < flops(&step), "{attack} {chosen} {step}");
    // A forward pass and the gradient of the input for each step.
    let short = bench("attack", &["--attack-steps", "4"]);
    assert!(flops(&short) * 3 / 2 < flops(&attack), "{attack}");
    let launches = |result: &serde_json::Value| result["launches"].as_u64().unwrap_or_else(|| panic!("{result}"));
    assert!(launches(&short) < launches(&attack) && launches(&attack) < launches(&step), "{short} {attack} {step}");
}

#[test]
fn scaling_is_measured_over_batch_sizes_widths_and_threads() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |more: &[&str]| {
        let common = ["bench", "scaling", "--device", "cpu", "--method", "std", "--batch", "4", "--quiet"];
        let little = ["--steps", "2", "--warmup", "1", "--passes", "2", "--threads", "2"];
        smallbox(folder.path(), &[&common[..], &little, more].concat())
    };
    let result = bench(&["--batches", "4,2,8", "--widths", "1,0.5", "--out", "figures", "--json"]).json();
    let rows = result["rows"].as_array().unwrap();
    let of = |axis: &str, key: &str| -> Vec<f64> {
        let number = |row: &serde_json::Value| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
        rows.iter().filter(|row| row["axis"] == axis).map(number).collect()
    };
    assert_eq!(of("batch", "at"), [2.0, 4.0, 8.0]);
    assert_eq!(of("width", "at"), [0.5, 1.0]);
    assert_eq!(of("threads", "at"), [1.0, 2.0]);
    assert!(of("batch", "flops").windows(2).all(|pair| pair[0] < pair[1]), "{result}");
    assert!(of("width", "flops").windows(2).all(|pair| 2.0 * pair[0] < pair[1]), "{result}");
    assert!(of("threads", "flops").windows(2).all(|pair| pair[0] == pair[1]), "{result}");
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
        assert!(number("min_ms") > 0.0 && number("min_ms") <= number("median_ms"), "{row}");
        assert!((0.0..=1.0 + 1e-9).contains(&number("compute_share")) && number("unit") > 0.0, "{row}");
        assert_eq!(row["compute_bound"].as_bool(), Some(number("compute_share") >= 0.9), "{row}");
        assert_eq!(row["linear"].as_bool(), (row["compute_bound"] == true).then(|| number("deviation").abs() <= 0.1));
    }
    let files = [".csv", ".json", "-batch.png", "-batch.svg", "-threads.svg", "-width.svg"];
    for file in files.map(|end| format!("scaling{end}")) {
        assert!(folder.path().join("figures").join(&file).is_file(), "{file}");
    }
    let csv = std::fs::read_to_string(folder.path().join("figures/scaling.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + rows.len());
    // It is a section of a report like any analysis.
    let report = ["report", "--analyses", "figures", "--out", "r.html"];
    assert!(smallbox(folder.path(), &report).text().contains("Scaling of a step"));

    let text = bench(&["--over", "threads"]);
    assert!(text.text().contains("Over threads") && !text.text().contains("Over widths"), "{text:?}");
    bench(&["--widths", "1,0"]).assert_error(2, &["--widths 0"]);
    bench(&["--batches", "0"]).assert_error(2, &["--batches", "at least 1"]);
    bench(&["--over", "depth"]).assert_error(2, &["depth", "threads"]);
}

#[test]
fn crown_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let bench = |more: &[&str]| {
        let common = ["bench", "crown", "run", "--device", "cpu", "--epsilon", "0.01", "--batch", "4", "--passes", "1"];
        smallbox(folder.path(), &[&common[..], more].concat())
    };
    let timed = bench(&["--limit", "6", "--json"]).json();
    let number = |key: &str| timed[key].as_f64().unwrap_or_else(|| panic!("{key}: {timed}"));
    assert!(number("images_per_second") > 0.0 && number("min_seconds") <= number("median_seconds"), "{timed}");
    // What it bounds is what `certify` bounds: an image has positive margins here if CROWN proves it there.
    let certify = ["certify", "run", "--device", "cpu", "--epsilon", "0.01", "--limit", "6", "--method", "crown"];
    let proved =
        smallbox(folder.path(), &[&certify[..], &["--attack-steps", "0", "--quiet", "--json"]].concat()).json();
    assert_eq!(timed["positive"], proved["certified"]["count"], "{timed} {proved}");
    assert!(bench(&["--limit", "2"]).text().contains("images/s"));
    bench(&["--limit", "99999999"]).assert_error(2, &["--limit 99999999", "test images"]);
}

#[test]
fn devices_have_the_native_one() {
    let folder = tempfile::tempdir().unwrap();
    let devices = smallbox(folder.path(), &["devices", "--json"]).json();
    let cpu =
        devices["devices"].as_array().unwrap().iter().find(|device| device["id"] == "cpu").expect("a native device");
    assert!(cpu["threads"].as_u64().is_some_and(|threads| threads > 0), "{devices}");
    assert!(smallbox(folder.path(), &["devices"]).text().contains("cpu"));
}

#[test]
fn kernels_are_timed_and_held_beside_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |more: &[&str]| {
        let common = ["bench", "kernels", "fc2.forward", "adam", "--time", "1ms", "--device", "cpu", "--quiet"];
        smallbox(folder.path(), &[&common[..], more].concat())
    };
    let mut result = bench(&["--json"]).json();
    let names: Vec<&str> = result["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cnn3.fc2.forward", "adam 512x2048"]);
    for row in result["rows"].as_array().unwrap() {
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
        assert!(number("min_ms") > 0.0 && number("min_ms") <= number("median_ms"), "{row}");
        assert!(number("gflops") > 0.0 && number("of_roof") > 0.0 && number("of_roof") < 2.0, "{row}");
        // Only what memory bounds is held beside a copy.
        assert_eq!(row["bound_by"] == "memory", row["of_copy"].as_f64().is_some_and(|part| part > 0.0), "{row}");
    }
    // A baseline a thousand times slower passes, one a thousand times faster does not.
    let mut write = |name: &str, factor: f64| {
        for row in result["rows"].as_array_mut().unwrap() {
            row["median_ms"] = (row["median_ms"].as_f64().unwrap() * factor).into();
        }
        std::fs::write(folder.path().join(name), result.to_string()).unwrap();
    };
    write("slow.json", 1e3);
    write("fast.json", 1e-6);
    let passed = bench(&["--baseline", "slow.json", "--fail-above", "50"]);
    assert!(passed.text().contains("baseline ms"), "{passed:?}");
    let failed = bench(&["--baseline", "fast.json", "--fail-above", "50", "--json"]);
    assert_eq!(failed.code, Some(7), "{failed:?}");
    assert!(failed.stderr.starts_with("error: 2 of 2 rows slower") && failed.stderr.lines().count() == 1, "{failed:?}");
    let document: serde_json::Value = serde_json::from_str(&failed.stdout).expect("the result is printed all the same");
    assert_eq!(document["baseline"]["rows"].as_array().unwrap().len(), 2);
    assert!(document["baseline"]["rows"][0]["ratio"].as_f64().unwrap() > 1.5, "{document}");

    bench(&["--baseline", "none.json"]).assert_error(1, &["none.json"]);
    bench(&["--fail-above", "5"]).assert_error(2, &["--baseline"]);
    bench(&["--baseline", "slow.json", "--fail-above", "-1"]).assert_error(2, &["--fail-above -1"]);
    std::fs::write(
        folder.path().join("other.json"),
        r#"{"device_name": "Abacus", "rows": [{"name": "a", "median_ms": 1}]}"#,
    )
    .unwrap();
    bench(&["--baseline", "other.json"]).assert_error(5, &["other.json", "Abacus"]);
    // Cold caches are another measurement of the same work.
    let cold = bench(&["--cold", "--json"]).json();
    assert_eq!((&cold["cold"], &result["cold"]), (&true.into(), &false.into()));
    for (cold, warm) in cold["rows"].as_array().unwrap().iter().zip(result["rows"].as_array().unwrap()) {
        assert_eq!(cold["name"], format!("{} cold", warm["name"].as_str().unwrap()));
        assert_eq!((&cold["bytes"], &cold["flops"]), (&warm["bytes"], &warm["flops"]));
    }
    bench(&["--cold", "--baseline", "slow.json"]).assert_error(5, &["slow.json", "cnn3.fc2.forward cold"]);
    smallbox(folder.path(), &["bench", "kernels", "fc9"]).assert_error(2, &["fc9", "--list"]);
    assert!(smallbox(folder.path(), &["bench", "kernels", "cnn7.conv2", "--list"]).text().lines().count() == 12);
}

#[test]
fn a_baseline_without_a_row_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let step = |more: &[&str]| {
        let common = ["bench", "step", "--device", "cpu", "--batch", "4", "--steps", "5", "--method", "std"];
        smallbox(folder.path(), &[&common[..], more].concat())
    };
    let text = step(&["--json"]).text().to_string();
    std::fs::write(folder.path().join("b.json"), &text).unwrap();
    assert!(step(&["--baseline", "b.json"]).text().contains("ratio"));
    std::fs::write(folder.path().join("c.json"), text.replace("step/std", "step/sabr")).unwrap();
    step(&["--baseline", "c.json"]).assert_error(5, &["c.json", "step/std/cnn3/4"]);
}

#[test]
fn a_whole_run_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let common =
        ["bench", "run", "--device", "cpu", "--limit", "64", "--batch", "16", "--runs", "1", "--method", "std"];
    let result = smallbox(folder.path(), &[&common[..], &["--json"]].concat()).json();
    let rows = result["rows"].as_array().unwrap();
    let ms: Vec<f64> = rows.iter().map(|row| row["median_ms"].as_f64().unwrap()).collect();
    assert_eq!(rows.len(), 5);
    assert!(ms.iter().all(|&ms| ms > 0.0) && (ms[..4].iter().sum::<f64>() - ms[4]).abs() < 1e-6 * ms[4], "{result}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is written");
}

#[test]
fn a_report_says_all_about_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let common = ["bench", "report", "--out", "report.json", "--small", "--time", "1ms", "--device", "cpu", "--quiet"];
    let said = smallbox(folder.path(), &common);
    assert!(said.text().contains("report.json") && said.text().contains("self-test passed"), "{said:?}");
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["device"], &report["self_test"]), (&"cpu".into(), &"passed".into()));
    assert!(report["about"]["simd"].is_string() && report["roofs"]["gflops"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["kernels"].as_array().unwrap().len() > 20 && report["steps"].as_array().unwrap().len() == 2);
    assert!(report["crown"]["images_per_second"].as_f64().unwrap() > 0.0);
    smallbox(folder.path(), &["bench", "report", "--out", "no/r.json"]).assert_error(2, &["--out", "folder no"]);
}
