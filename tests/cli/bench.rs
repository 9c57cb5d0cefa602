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
