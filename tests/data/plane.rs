//! The plane: its bytes, and what makes it a task on which accuracy and robustness differ.

use std::collections::HashMap;

use smallbox::data::{LoadOptions, Split, load, plane, split_sha256};

fn whole() -> (Split, Split) {
    let options = LoadOptions { validation: Some(0), ..Default::default() };
    let dataset = load(plane::NAME, &options).expect("it needs no files");
    assert_eq!(dataset.normalisation_constants(), (&[0.5][..], &[0.25][..]));
    (dataset.train, dataset.test)
}

#[test]
fn bytes_are_the_recorded_ones() {
    let (train, test) = whole();
    assert_eq!([split_sha256(&train), split_sha256(&test)], [plane::TRAIN_SHA256, plane::TEST_SHA256]);
    assert_eq!((train.len(), test.len(), train.input(), train.classes), (20_000, 2_000, [1, 1, 2], 2));
}

/// Largest difference of coordinates, in 255ths.
fn distance(a: &[u8], b: &[u8]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().expect("two coordinates")
}

#[test]
fn a_place_has_one_class_and_most_points_can_be_robust() {
    let (train, test) = whole();
    let mut seen: HashMap<&[u8], u8> = HashMap::new();
    for split in [&train, &test] {
        for (i, &label) in split.labels.iter().enumerate() {
            assert_eq!(*seen.entry(split.image(i)).or_insert(label), label, "{:?}", split.image(i));
        }
    }
    let ones = train.labels.iter().filter(|&&label| label == 1).count();
    assert!((9_000..11_000).contains(&ones), "{ones} of class 1");
    // An attack of ε turns no classifier at a point whose other class is 2ε away; the strips alone come nearer than half of that.
    let near = |least: u8| {
        let near = |i: &usize| {
            let other = |j: &usize| train.labels[*j] != test.labels[*i];
            (0..train.len()).filter(other).any(|j| distance(test.image(*i), train.image(j)) < least)
        };
        (0..500).filter(near).count() as f64 / 500.0
    };
    let (half, full) = (near(26), near(2 * 26));
    assert!((0.2..0.5).contains(&half) && full > half + 0.1, "{half} within ε, {full} within 2ε");
    assert!(full < 0.8, "{full} within 2ε");
}
