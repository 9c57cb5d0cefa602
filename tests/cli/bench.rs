use super::smallbox;

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
fn devices_have_the_native_one() {
    let folder = tempfile::tempdir().unwrap();
    let devices = smallbox(folder.path(), &["devices", "--json"]).json();
    let cpu =
        devices["devices"].as_array().unwrap().iter().find(|device| device["id"] == "cpu").expect("a native device");
    assert!(cpu["threads"].as_u64().is_some_and(|threads| threads > 0), "{devices}");
    assert!(smallbox(folder.path(), &["devices"]).text().contains("cpu"));
}
