//! `smallbox verify`, and ONNX files where models are expected.

use std::fs;
use std::path::Path;

use super::{Ran, smallbox, train};
use crate::certify::files::instances;

fn verify(folder: &Path, network: &Path, property: &Path, more: &[&str]) -> Ran {
    let files = [network.to_str().expect("a path"), property.to_str().expect("a path")];
    smallbox(folder, &[&["verify", "--device", "cpu"], &files[..], more].concat())
}

#[test]
fn exported_instances_have_the_verdicts_of_certify() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    train(folder.path(), &["--out", "run"]).text();
    let export = ["export", "run", "--device", "cpu", "--onnx", "f.onnx", "--vnnlib", "d", "--limit", "8"];
    smallbox(folder.path(), &[&export[..], &["--epsilon", "0.05", "--misclassified"]].concat()).text();
    let certify = |model: &str, out: &str| {
        let common = ["--device", "cpu", "--limit", "8", "--epsilon", "0.05", "--quiet", "--json", "--timeout", "20s"];
        smallbox(folder.path(), &[&["certify", model, "--dataset", "embedded", "--out", out], &common[..]].concat())
            .json()
    };
    // The network of the file is that of the run: the same numbers, the same digest, the same counts.
    let (run, file) = (certify("run", "run.jsonl"), certify("f.onnx", "file.jsonl"));
    for key in ["digest", "natural", "adversarial", "certified", "falsified"] {
        assert_eq!(run[key], file[key], "{key}");
    }
    let attack = |model: &str| {
        let common = ["--device", "cpu", "--limit", "64", "--epsilon", "0.3", "--steps", "5", "--quiet", "--json"];
        smallbox(folder.path(), &[&["attack", model, "--dataset", "embedded"], &common[..]].concat()).json()
    };
    let (of_run, of_file) = (attack("run"), attack("f.onnx"));
    for key in ["images", "natural", "adversarial", "broken"] {
        assert_eq!(of_run[key], of_file[key], "{key}");
    }
    assert!(of_run["broken"].as_u64().unwrap() > 0, "{of_run}");
    // As many are correct as another program counts.
    let eval = ["eval", "run", "--device", "cpu", "--limit", "64", "--attack-steps", "1", "--json"];
    assert_eq!(of_run["natural"], smallbox(folder.path(), &eval).json()["natural"]);
    let records: Vec<serde_json::Value> =
        fs::read_to_string(at("run.jsonl")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let list = fs::read_to_string(at("d/instances.csv")).unwrap();
    let mut words = Vec::new();
    for (index, line) in list.lines().enumerate() {
        let paths: Vec<&str> = line.split(',').collect();
        let certificates = format!("c{index}");
        let ran = verify(
            folder.path(),
            &at("d").join(paths[0]),
            &at("d").join(paths[1]),
            &["--json", "--certificates", &certificates, "--out", "v.txt", "--timeout", "30s"],
        );
        let answer = ran.json();
        let record = records.iter().find(|r| r["index"] == index).expect("an image");
        let word = match record["verdict"].as_str().unwrap() {
            "certified" => "unsat",
            "falsified" => "sat",
            other => panic!("{other}: {record}"),
        };
        assert_eq!(answer["verdict"], word, "{line}");
        assert!(fs::read_to_string(at("v.txt")).unwrap().starts_with(&format!("{word}\n")), "{line}");
        if word == "unsat" {
            let file = format!("{certificates}/00000.certificate");
            smallbox(folder.path(), &["check", &file, "--model", "f.onnx"]).text();
        }
        words.push(word);
    }
    assert!(words.contains(&"unsat") && words.contains(&"sat"), "{words:?}");
    smallbox(folder.path(), &["eval", "f.onnx", "--dataset", "embedded", "--epsilon", "0.1"])
        .assert_error(3, &["f.onnx", "an ONNX file", "certify"]);
    for command in ["certify", "attack"] {
        let with_arch = [command, "f.onnx", "--dataset", "embedded", "--epsilon", "0.1", "--arch", "cnn3"];
        smallbox(folder.path(), &with_arch).assert_error(2, &["f.onnx", "--arch cnn3"]);
    }
    smallbox(folder.path(), &["certify", "f.onnx", "--epsilon", "0.1"]).assert_error(2, &["--dataset"]);
}

#[test]
fn tiny_public_instances_are_decided() {
    let Some(shared) = instances() else { return };
    let folder = tempfile::tempdir().unwrap();
    let test = |name: &str| shared.join("test").join(name);
    for (network, property, word) in [
        ("test_nano.onnx", "test_nano.vnnlib", "unsat"),
        ("test_tiny.onnx", "test_tiny.vnnlib", "unsat"),
        ("test_small.onnx", "test_small.vnnlib", "unsat"),
        ("test_sat.onnx", "test_prop.vnnlib", "sat"),
        ("test_unsat.onnx", "test_prop.vnnlib", "unsat"),
    ] {
        let ran = verify(folder.path(), &test(network), &test(property), &["--timeout", "60s"]);
        assert_eq!(ran.text().lines().next(), Some(word), "{network}");
        if word == "sat" {
            assert!(ran.text().contains("((X_0 ") && ran.text().contains("(Y_4 "), "{ran:?}");
        }
    }
    // The other way round: what holds of test_nano everywhere (Y_0 > −1) breaks its negation.
    let negated = folder.path().join("negated.vnnlib");
    let text = fs::read_to_string(test("test_nano.vnnlib")).unwrap();
    fs::write(&negated, text.replace("(<= Y_0 -1)", "(>= Y_0 -1)")).unwrap();
    assert_eq!(verify(folder.path(), &test("test_nano.onnx"), &negated, &[]).text().lines().next(), Some("sat"));
    // A box alone is a counter-example, an empty one has none.
    let open = text.replace("(assert (<= Y_0 -1))", "");
    fs::write(&negated, &open).unwrap();
    assert_eq!(verify(folder.path(), &test("test_nano.onnx"), &negated, &[]).text().lines().next(), Some("sat"));
    fs::write(&negated, open.replace("X_0 1)", "X_0 -2)")).unwrap();
    assert_eq!(verify(folder.path(), &test("test_nano.onnx"), &negated, &[]).text().lines().next(), Some("unsat"));
}

#[test]
fn public_instances_that_are_quick_have_their_verdicts() {
    let Some(shared) = instances() else { return };
    let folder = tempfile::tempdir().unwrap();
    let resnet = "cifar10_resnet/vnnlib_properties_pgd_filtered/resnet2b_pgd_filtered/prop_2_eps_0.008.vnnlib.gz";
    for (network, property, word) in [
        ("cifar10_resnet/onnx/resnet_2b.onnx", resnet, "unsat"),
        (
            "oval21/nets/cifar_base_kw.onnx",
            "oval21/vnnlib/cifar_base_kw-img4549-eps0.00392156862745098.vnnlib.gz",
            "unsat",
        ),
        (
            "oval21/nets/cifar_base_kw.onnx",
            "oval21/vnnlib/cifar_base_kw-img1697-eps0.0014379084967320263.vnnlib.gz",
            "sat",
        ),
        ("mnistfc/mnist-net_256x2.onnx", "mnistfc/prop_7_0.05.vnnlib.gz", "sat"),
        ("mnistfc/mnist-net_256x4.onnx", "mnistfc/prop_0_0.03.vnnlib.gz", "unsat"),
    ] {
        let ran = verify(folder.path(), &shared.join(network), &shared.join(property), &["--timeout", "60s"]);
        assert_eq!(ran.text().lines().next(), Some(word), "{property}");
    }
    // The last one needs bounds that are derived again.
    let (network, property) =
        (shared.join("mnistfc/mnist-net_256x4.onnx"), shared.join("mnistfc/prop_0_0.03.vnnlib.gz"));
    let more = ["--timeout", "2s", "--search", "fixed", "--branching", "fsb", "--json"];
    let answer = verify(folder.path(), &network, &property, &more).json();
    assert_eq!(answer["verdict"], "timeout");
    assert!(answer["proved"].as_f64().is_some_and(|share| (0.0..1.0).contains(&share)), "{answer}");
    // A network of other inputs is no match.
    let (network, property) = (shared.join("mnistfc/mnist-net_256x2.onnx"), shared.join(resnet));
    verify(folder.path(), &network, &property, &[]).assert_error(5, &["3072 inputs", "784"]);
}

#[test]
fn mistakes_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    verify(folder.path(), &at("none.onnx"), &at("none.vnnlib"), &[]).assert_error(5, &["none.onnx", "no such file"]);
    fs::write(at("f.onnx"), b"no network").unwrap();
    fs::write(at("p.vnnlib"), b"(declare-const X_0 Real)").unwrap();
    let ran = verify(folder.path(), &at("f.onnx"), &at("p.vnnlib"), &[]);
    assert!(
        matches!(ran.code, Some(3 | 5)) && ran.stderr.contains("f.onnx") && ran.stderr.lines().count() == 1,
        "{ran:?}"
    );
}
