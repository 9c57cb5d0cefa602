use super::{names, read, smallbox, train};

/// A run of two epochs on the plane.
fn plane(folder: &std::path::Path, out: &str, more: &[&str]) {
    let settings = ["train", "--dataset", "plane", "--epochs", "2", "--limit", "2000", "--device", "cpu", "--quiet"];
    let schedule = ["--set", "epsilon_end_epoch=2", "--set", "eval_attack_steps=3", "--out", out];
    smallbox(folder, &[&settings[..], &schedule, more].concat()).text();
}

#[test]
fn pictures_and_numbers_of_two_networks() {
    let folder = tempfile::tempdir().unwrap();
    plane(folder.path(), "std", &["--method", "std"]);
    plane(folder.path(), "sabr", &["--lambda", "0.3"]);
    let exact = ["analyze", "exact", "std", "sabr", "--limit", "100", "--device", "cpu"];
    let run = |more: &[&str]| smallbox(folder.path(), &[&exact[..], more].concat());
    let ran = run(&["--index", "150", "--out", "pictures"]);
    for part in ["Exact images", "Point 150", "linear regions", "std", "sabr", "first 100 points", "exact-layers.png"] {
        assert!(ran.text().contains(part), "{part}: {ran:?}");
    }
    let files =
        ["exact-layers.png", "exact-layers.svg", "exact-square.png", "exact-square.svg", "exact.csv", "exact.json"];
    assert_eq!(names(&folder.path().join("pictures")), files);
    assert_eq!(read(folder.path().join("pictures/exact-square.png"))[..4], *b"\x89PNG");

    // λ is that of the run that has one; --at takes the class of the nearest point.
    let json = run(&["--at", "0.5,0.95", "--json"]).json();
    assert_eq!(
        (json["lambda"].as_f64(), json["epsilon"].as_f64(), json["index"].is_null()),
        (Some(0.3), Some(0.1), true)
    );
    assert_eq!((json["label"].as_u64(), json["chosen"].as_str()), (Some(1), Some("given")));
    let ball = &json["models"][0]["study"]["ball"];
    assert!((ball["upper"][1].as_f64().unwrap() - 1.0).abs() < 1e-12, "cut with the square: {ball}");
    assert!((ball["lower"][0].as_f64().unwrap() - 0.4).abs() < 1e-7, "{ball}");
    for key in ["regions", "adversarial", "exact_margin", "worst", "interval_margin", "layers", "area"] {
        assert!(!ball[key].is_null(), "{key}: {ball}");
    }
    let json = run(&["--at", "0.5,0.95", "--label", "0", "--lambda", "0.5", "--json"]).json();
    assert_eq!((json["label"].as_u64(), json["lambda"].as_f64()), (Some(0), Some(0.5)));
    // A class that is wrong everywhere: said, and drawn all the same.
    let wrong = run(&["--at", "0.5,0.95", "--label", "0"]);
    assert!(wrong.text().contains("misclassifies the point as 1"), "{wrong:?}");

    run(&["--index", "2000"]).assert_error(2, &["--index 2000", "0 to 1999"]);
    run(&["--at", "0.5,1.5"]).assert_error(2, &["--at", "[0, 1]"]);
    run(&["--at", "0.5"]).assert_error(2, &["--at", "X,Y"]);
    run(&["--at", "0.5,0.5", "--label", "2"]).assert_error(2, &["--label 2", "0 to 1"]);
    run(&["--at", "0.5,0.5", "--index", "3"]).assert_error(2, &["--index", "--at"]);
    run(&["--label", "1"]).assert_error(2, &["--at"]);
    run(&["--lambda", "0"]).assert_error(3, &["lambda = 0", "(0, 1]"]);
    run(&["--epsilon", "0"]).assert_error(3, &["epsilon = 0"]);
    smallbox(folder.path(), &["analyze", "exact", "std", "--limit", "0"]).assert_error(2, &["--limit 0"]);
}

const LINEAR: &str = "arch = \"flat\"\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"linear\"\noutputs = 2\n";

#[test]
fn networks_that_can_not_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "digits"]).text();
    plane(folder.path(), "plane", &["--method", "std"]);
    std::fs::write(folder.path().join("flat.toml"), LINEAR).unwrap();
    plane(folder.path(), "flat", &["--method", "std", "--config", "flat.toml"]);
    plane(folder.path(), "narrow", &["--method", "std", "--epsilon", "0.05"]);
    let run = |models: &[&str]| smallbox(folder.path(), &[&["analyze", "exact"], models].concat());
    run(&["digits"]).assert_error(3, &["digits", "784 inputs", "--dataset plane"]);
    run(&["flat"]).assert_error(3, &["flat", "without ReLU"]);
    run(&["plane", "digits"]).assert_error(2, &["plane", "embedded"]);
    run(&["plane", "narrow"]).assert_error(2, &["epsilon", "0.05"]);
    run(&["plane", "plane"]).assert_error(2, &["twice"]);
    run(&["nothing"]).assert_error(3, &["nothing"]);
    run(&[]).assert_error(2, &["MODEL"]);
}
