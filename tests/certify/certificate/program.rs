//! `smallbox check`.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use smallbox::certify::certificate::{About, Certificate, Part, Tree};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region};
use smallbox::certify::property::Property;
use smallbox::data::{LoadOptions, load};
use smallbox::train::checkpoint;

use super::made::argmax;
use crate::cli::{Ran, smallbox, train};

const EPSILON: f64 = 0.002;

fn network(run: &Path) -> ReluNetwork {
    let file = run.join("model.safetensors");
    let network = checkpoint::read_model_info(&file).expect("readable").expect("described").network().expect("known");
    let tensors = checkpoint::load_tensors(&file, &network).expect("the network's");
    ReluNetwork::from_model(&network, &tensors).expect("fits")
}

/// Certificates of `count` test images of the run's dataset, in files of the run named by the images' indices.
fn certify(run: &Path, network: &ReluNetwork, count: usize) -> Vec<(usize, Certificate)> {
    let prover = Arc::new(Prover::new(network).expect("fits"));
    let options = LoadOptions { data_dir: None, validation: None, limit: None, crop: None };
    let test = load("embedded", &options).expect("embedded").test;
    let mut made = Vec::new();
    for index in 0..200 {
        let pixels: Vec<f32> = test.image(index).iter().map(|&b| f32::from(b) / 255.0).collect();
        let label = usize::from(test.labels[index]);
        let (lower, upper) = Property::ball(&pixels, EPSILON);
        let property = Property::label(lower, upper, test.classes, label);
        let wide: Vec<f64> = pixels.iter().map(|&p| f64::from(p)).collect();
        if argmax(&network.evaluate(&wide)) != label {
            continue;
        }
        let region = Region::crown(&prover, &property.lower, &property.upper).expect("fits");
        let objectives: Vec<Objective> =
            property.clauses.iter().map(|c| Objective::exact(c[0].coefficients.clone(), 0.0)).collect();
        let bounds = region.lower_bounds(&objectives, &vec![Leaf::default(); objectives.len()]).expect("fits");
        if bounds.iter().any(|&bound| bound <= 0.0) {
            continue;
        }
        let trees = property.clauses.iter().map(|_| Tree::leaf(vec![1.0], None, Vec::new())).collect();
        let certificate = Certificate {
            network: network.digest(),
            property,
            derivation: Derivation::Crown(Vec::new()),
            slopes: Vec::new(),
            trees,
            about: About { index: Some(index), label: Some(label), ..About::default() },
        };
        certificate.write(&run.join(format!("{index}.certificate"))).expect("written");
        made.push((index, certificate));
        if made.len() == count {
            break;
        }
    }
    assert_eq!(made.len(), count, "the run is too weak for certificates");
    made
}

#[track_caller]
fn fails(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(7), "{ran:?}");
    let all = format!("{}{}", ran.stdout, ran.stderr);
    parts.iter().for_each(|part| assert!(all.contains(part), "expected {part:?} in {all}"));
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

fn of_files(json: &Value, key: &str) -> Vec<Value> {
    json["files"].as_array().expect("a list").iter().map(|file| file[key].clone()).collect()
}

#[test]
fn certificates_are_checked_by_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    train(folder.path(), &["--out", "run", "--seed", "5"]).text();
    train(folder.path(), &["--out", "other", "--seed", "6"]).text();
    let run = folder.path().join("run");
    let made = certify(&run, &network(&run), 3);
    let names: Vec<String> = made.iter().map(|(index, _)| format!("run/{index}.certificate")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let check = |files: &[&str], more: &[&str]| smallbox(folder.path(), &[&["check"], files, more].concat());

    // All pass, with any number of threads, from the run or its file.
    let plain = check(&names, &["--model", "run"]);
    assert!(plain.text().lines().count() == 4 && plain.text().contains("3 of 3 proved"), "{plain:?}");
    assert_eq!(plain.stderr, "");
    let one = check(&names, &["--model", "run/model.safetensors", "--threads", "1", "--json"]).json();
    assert_eq!((&one["certificates"], &one["proved"]), (&3.into(), &3.into()), "{one}");
    assert_eq!(of_files(&one, "verdict"), ["proved"; 3]);
    assert!(of_files(&one, "margin").iter().all(|margin| margin.as_f64().expect("a number") > 0.0), "{one}");
    assert_eq!(of_files(&one, "leaves")[0], made[0].1.trees.len());
    let three = check(&names, &["--model", "run", "--threads", "3", "--json"]).json();
    assert_eq!(of_files(&one, "margin"), of_files(&three, "margin"));

    // Held against the images.
    let epsilon = EPSILON.to_string();
    let images = ["--model", "run", "--epsilon", &epsilon];
    assert!(check(&names, &images).text().contains("3 of 3 proved"));
    let bare = ["--model", "run/model.safetensors", "--dataset", "embedded", "--epsilon", &epsilon];
    assert!(check(&names, &bare).text().contains("3 of 3 proved"));
    let index = made[0].0.to_string();
    assert!(check(&names[..1], &[&images[..], &["--index", &index]].concat()).text().contains("proved"));
    let next = (made[0].0 + 1).to_string();
    fails(&check(&names[..1], &[&images[..], &["--index", &next]].concat()), &["rejected", "of the ball"]);
    fails(&check(&names[..1], &["--model", "run", "--epsilon", "0.01"]), &["rejected", "of the ball"]);

    // One that fails does not stop the others.
    fails(&check(&names, &["--model", "other"]), &["3 of 3 certificates do not prove", "a certificate of network"]);
    let mut false_claim = made[1].1.clone();
    false_claim.property.clauses[2][0].bound = 1e4;
    false_claim.write(&run.join("false.certificate")).expect("written");
    let mut bytes = made[2].1.to_bytes().expect("bytes");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(run.join("damaged.certificate"), &bytes).expect("written");
    let mut cut = made[2].1.clone();
    cut.trees[1].parts = vec![Part::Refine];
    cut.write(&run.join("cut.certificate")).expect("written");
    let mixed = ["run/false.certificate", "run/damaged.certificate", "run/cut.certificate", names[0]];
    fails(
        &check(&mixed, &["--model", "run"]),
        &["not proved: clause 2", "rejected: damaged", "missing", ": proved, margin", "1 of 4 proved", "3 of 4"],
    );
    let ran = check(&mixed, &["--model", "run", "--json"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    let json: Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!(of_files(&json, "verdict"), ["failed", "rejected", "rejected", "proved"]);
    assert_eq!(json["files"][0]["clause"], 2);

    // Mistakes of the caller.
    check(&["run/no.certificate"], &["--model", "run"]).assert_error(3, &["run/no.certificate", "no such file"]);
    check(&names, &[]).assert_error(2, &["--model"]);
    check(&names, &["--model", "nothing"]).assert_error(3, &["nothing", "no such file"]);
    check(&names[..1], &["--model", "run", "--index", "3"]).assert_error(2, &["--epsilon"]);
    check(&names, &[&images[..], &["--index", "3"]].concat()).assert_error(2, &["--index 3", "expected one"]);
    check(&names, &["--model", "run", "--epsilon", "2"]).assert_error(3, &["epsilon", "[0, 1]"]);
    fails(&check(&["run/model.safetensors"], &["--model", "run"]), &["rejected: not a certificate"]);
}
