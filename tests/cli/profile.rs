use super::smallbox;
use crate::common::timeline;

const TINY: [&str; 9] = ["profile", "--device", "cpu", "--batch", "4", "--steps", "2", "--warmup", "1"];

#[test]
fn a_step_is_profiled() {
    let folder = tempfile::tempdir().unwrap();
    let profile = |more: &[&str]| smallbox(folder.path(), &[&TINY[..], more].concat());
    let result = profile(&["--trace", "trace.json", "--json"]).json();
    assert_eq!((&result["device"], &result["name"]), (&"cpu".into(), &"step/sabr/cnn3/4".into()));
    assert_eq!((&result["clock"], &result["steps"]), (&"host".into(), &2.into()));
    let rows = result["rows"].as_array().unwrap();
    let sum =
        |key: &str| rows.iter().map(|row| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"))).sum::<f64>();
    let step = |key: &str| result["step"][key].as_f64().unwrap_or_else(|| panic!("{key}: {result}"));
    assert_eq!(sum("calls"), step("launches"));
    assert!((sum("total_ms") - step("rows_ms")).abs() <= 1e-9 * step("rows_ms"), "{result}");
    assert!(step("rows_ms") + step("gaps_ms") + step("upload_ms") <= step("traced_mean_ms") * (1.0 + 1e-9), "{result}");
    assert!((sum("share") - 1.0).abs() < 1e-9, "{result}");
    assert!(step("plain_min_ms") > 0.0 && step("plain_min_ms") <= step("plain_median_ms"), "{result}");
    for row in rows {
        for key in ["mean_ms", "median_ms", "min_ms", "p95_ms"] {
            assert!(row[key].as_f64().is_some_and(|ms| ms >= 0.0), "{key}: {row}");
        }
        assert!(["compute", "memory", "launch"].contains(&row["bound_by"].as_str().unwrap()), "{row}");
        // A row above the roof would show a wrong cost or a wrong roof; a busy machine makes roofs rough.
        assert!(row["of_roof"].is_null() || row["of_roof"].as_f64().is_some_and(|of| of > 0.0 && of < 2.0), "{row}");
    }
    assert!(
        result["roofs"]["gflops"].as_f64().unwrap() > 0.0 && result["roofs"]["gbytes_per_s"].as_f64().unwrap() > 0.0
    );
    // Null where the system does not tell.
    if let Some(cores) = result["busy_cores"].as_f64() {
        let threads = result["threads"].as_f64().unwrap();
        assert!(cores > 0.0 && result["busy_share"].as_f64() == Some(cores / threads), "{result}");
    } else {
        assert!(result["busy_share"].is_null(), "{result}");
    }
    assert!(result["compile_ms"].as_f64().unwrap() > 0.0 && result["peak_bytes"].as_u64().unwrap() > 0);

    let text = std::fs::read_to_string(folder.path().join("trace.json")).unwrap();
    let tracks = timeline::check(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(tracks["kernels"].len() as f64, 2.0 * step("launches"));
}

#[test]
fn a_profile_is_a_table_by_kernel_or_by_shape() {
    let folder = tempfile::tempdir().unwrap();
    let profile = |more: &[&str]| smallbox(folder.path(), &[&TINY[..], &["--method", "std"], more].concat());
    let by_kernel = profile(&[]);
    for part in [
        "of roof",
        "bound by",
        "elementwise",
        "sum of rows",
        "gaps",
        "upload",
        "roofs",
        "compile",
        "processor",
        "peak device memory",
    ] {
        assert!(by_kernel.text().contains(part), "{part}: {by_kernel:?}");
    }
    assert!(profile(&["--by", "shape"]).text().contains("elementwise [10, 100]"));
    smallbox(folder.path(), &["profile", "--steps", "0"]).assert_error(2, &["--steps", "at least 1"]);
    profile(&["--by", "colour"]).assert_error(2, &["colour", "shape"]);
    profile(&["--arch", "cnn8"]).assert_error(2, &["cnn8", "cnn3"]);
    profile(&["--trace", "none/trace.json"]).assert_error(2, &["--trace", "none"]);
}
