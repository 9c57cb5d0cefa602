//! `smallbox attack`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use smallbox::certify::attack::{Adversarial, in_ball};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::Prover;
use smallbox::certify::property::Property;
use smallbox::data::{self, LoadOptions};
use smallbox::train::checkpoint;

use super::{Ran, names, smallbox, train};

fn attack(folder: &Path, more: &[&str]) -> Ran {
    smallbox(folder, &[&["attack", "run", "--device", "cpu", "--steps", "10", "--quiet"], more].concat())
}

#[test]
fn what_is_saved_is_verified_again() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let ran = attack(folder.path(), &["--limit", "40", "--epsilon", "0.3", "--save-adversarial", "d", "--json"]).json();
    let broken = ran["broken"].as_u64().unwrap() as usize;
    assert!(broken > 0, "a network of a few steps holds no ball of 0.3: {ran}");
    let (natural, adversarial) = (&ran["natural"]["count"], &ran["adversarial"]["count"]);
    assert_eq!(natural.as_u64().unwrap() as usize, adversarial.as_u64().unwrap() as usize + broken);
    assert!(ran["adversarial"]["low"].as_f64() <= ran["adversarial"]["rate"].as_f64());
    assert_eq!(ran["attack"], "pgd margin multi-targeted 10 steps of 0.25 decaying × 1 restart, seed 0");
    // The evaluation counts the same images as correct.
    let rates = smallbox(folder.path(), &["eval", "run", "--limit", "40", "--attack-steps", "1", "--json"]).json();
    assert_eq!(rates["natural"], ran["natural"]);

    let at = |name: &str| folder.path().join("d").join(name);
    let index: Value = serde_json::from_str(&fs::read_to_string(at("index.json")).unwrap()).unwrap();
    let images = index["images"].as_array().unwrap();
    assert_eq!((images.len(), names(&folder.path().join("d")).len()), (broken, 2 * broken + 1));
    let weights = folder.path().join("run/model.safetensors");
    let model = checkpoint::read_model_info(&weights).unwrap().unwrap().network().unwrap();
    let network = ReluNetwork::from_model(&model, &checkpoint::load_tensors(&weights, &model).unwrap()).unwrap();
    assert_eq!(index["network"], network.digest());
    let prover = Arc::new(Prover::new(&network).unwrap());
    let split = data::load("embedded", &LoadOptions::default()).unwrap().test;
    for entry in images {
        let number = entry["image"].as_u64().unwrap() as usize;
        let label = usize::from(split.labels[number]);
        let mut saved = Adversarial::read(&at(entry["numbers"].as_str().unwrap())).unwrap();
        let pixels: Vec<f32> = split.image(number).iter().map(|&p| f32::from(p) / 255.0).collect();
        assert!(saved.original.iter().zip(&pixels).all(|(s, p)| (s - p).abs() < 1e-6));
        assert!(in_ball(&saved.adversarial, &saved.original, 0.3));
        assert_eq!(entry["distance"], saved.distance());
        let (lower, upper) = Property::ball(&saved.original, 0.3);
        let property = Property::label(lower, upper, split.classes, label);
        assert!(prover.refutes(&property, &saved.adversarial).unwrap(), "image {number}");
        let y = network.evaluate(&saved.adversarial);
        let predicted = entry["predicted"].as_u64().unwrap() as usize;
        assert!(predicted != label && y[predicted] >= y[label] && entry["label"] == label);
        // A changed number is seen.
        saved.adversarial[0] = 1.5;
        assert!(!prover.refutes(&property, &saved.adversarial).unwrap());

        let picture = image::open(at(entry["picture"].as_str().unwrap())).unwrap().into_rgb8();
        let [_, height, width] = saved.shape;
        let zoom = 128 / height;
        assert_eq!(picture.dimensions(), ((4 * 2 + 3 * width * zoom) as u32, (2 * 2 + height * zoom) as u32));
    }
    // The same again gives the same; a folder that is taken is not touched.
    let taken = attack(folder.path(), &["--limit", "2", "--save-adversarial", "d"]);
    taken.assert_error(2, &["d: not empty", "--save-adversarial"]);
    attack(folder.path(), &["--limit", "40", "--epsilon", "0.3", "--save-adversarial", "e", "--json"]).json();
    for name in names(&folder.path().join("d")) {
        assert!(fs::read(at(&name)).unwrap() == fs::read(folder.path().join("e").join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn methods_and_ranges() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    for (more, words) in [
        (&["--method", "apgd-ce"][..], "apgd ce 10 steps × 1 restart, seed 0"),
        (
            &["--method", "apgd-dlr", "--restarts", "2", "--seed", "7"],
            "apgd dlr multi-targeted 10 steps × 2 restarts, seed 7",
        ),
        (&["--loss", "ce", "--step-size", "0.5"], "pgd ce 10 steps of 0.5 decaying × 1 restart, seed 0"),
    ] {
        let ran = attack(folder.path(), &[more, &["--range", "3..9", "--json"]].concat()).json();
        assert_eq!((&ran["attack"], &ran["images"]), (&words.into(), &6.into()));
    }
    // Without any radius no image that is right is turned.
    let point = attack(folder.path(), &["--limit", "9", "--epsilon", "0", "--json"]).json();
    assert_eq!((&point["natural"], &point["broken"]), (&point["adversarial"], &0.into()));
    let table = attack(folder.path(), &["--limit", "5", "--epsilon", "2/255"]);
    assert!(
        table.text().contains("adversarial") && table.text().contains("seed 0") && table.stderr.is_empty(),
        "{table:?}"
    );
}

#[test]
fn wrong_options_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--out", "run"]).text();
    let refused = |more: &[&str], code: i32, parts: &[&str]| attack(folder.path(), more).assert_error(code, parts);
    refused(&["--method", "apgd-ce", "--loss", "margin"], 2, &["--loss", "pgd"]);
    refused(&["--method", "apgd-dlr", "--step-size", "0.1"], 2, &["--step-size", "pgd"]);
    refused(&["--step-size", "0"], 3, &["step size 0", "(0, 2]"]);
    refused(&["--step-size", "-1"], 3, &["step size -1"]);
    refused(&["--epsilon", "2"], 3, &["epsilon = 2"]);
    refused(&["--range", "0..1000000"], 2, &["0..1000000", "embedded"]);
    refused(&["--method", "fgsm"], 2, &["fgsm"]);
    refused(&["--range", "0..3", "--limit", "2"], 2, &["--range", "--limit"]);
    let none = smallbox(folder.path(), &["attack", "none"]);
    none.assert_error(3, &["none", "no such file"]);
}
