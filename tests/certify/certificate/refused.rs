//! Reasons for refusals, and claims held against images.

use smallbox::certify::certificate::{Certificate, Checker, MOST_DEPTH, Part, Tree, Verdict, check};
use smallbox::certify::property::{Constraint, Property};

use super::made::several;
use crate::certify::nets::dense;

fn reason(bytes: &[u8]) -> String {
    Certificate::from_bytes(bytes).expect_err("no certificate")
}

/// The file with `from` in the place of `to` in its header, of the same length.
fn with(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap_or_else(|| panic!("no {from}"));
    let mut changed = bytes.to_vec();
    changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    changed
}

#[test]
fn reasons_are_clear() {
    let made = several(1).remove(0);
    let bytes = made.certificate.to_bytes().expect("bytes");
    assert!(reason(&with(&bytes, "\\\"version\\\":1", "\\\"version\\\":2")).contains("version 2"));
    assert!(reason(&with(&bytes, "smallbox certificate", "smallbox certifikate")).contains("not a certificate"));
    assert!(reason(&with(&bytes, "random", "Random")).contains("damaged"));
    assert!(reason(&bytes[..bytes.len() - 8]).contains("not a readable certificate"));
    assert!(reason(b"").contains("not a readable certificate"));
    let other = dense(77, &[3, 8, 6, 3]);
    let error = check(&made.certificate, &other).expect_err("another network").to_string();
    assert!(error.contains("certificate of network") && error.contains(&other.digest()[..12]), "{error}");
    let missing = Certificate::read(std::path::Path::new("no.certificate")).expect_err("no file").to_string();
    assert!(missing.contains("no.certificate") && missing.contains("no such file"), "{missing}");
}

#[test]
fn a_tree_too_deep_is_refused_without_overflow() {
    let made = several(1).remove(0);
    for refine in [true, false] {
        let mut deep = made.certificate.clone();
        let step = |i: usize| if refine { Part::Refine } else { Part::Split { layer: i, neuron: 0 } };
        deep.trees[0] = Tree { parts: (0..2_000_000).map(step).collect() };
        assert!(
            deep.to_bytes().and_then(|b| Certificate::from_bytes(&b).map_err(smallbox::error::Error::Config)).is_err()
                || refine
        );
        let error = check(&deep, &made.network).expect_err("too deep").to_string();
        assert!(error.contains(&format!("deeper than {MOST_DEPTH}")), "{error}");
    }
}

#[test]
fn a_failing_leaf_is_named() {
    let made = several(8).into_iter().find(|m| m.certificate.trees[0].leaves() > 1);
    let made = made.expect("one with splits in its first tree");
    let mut certificate = made.certificate.clone();
    let last = certificate.trees[0].parts.iter().rposition(|p| matches!(p, Part::Leaf { .. })).expect("a leaf");
    let Part::Leaf { weights, .. } = &mut certificate.trees[0].parts[last] else { unreachable!() };
    weights[0] = 0.0;
    match Checker::new(&made.network).expect("fits").check(&certificate).expect("a certificate") {
        Verdict::Failed { clause, path, bound, reason } => {
            assert!(clause == 0 && bound <= 0.0 && !path.is_empty());
            assert!(path.iter().all(|split| !split.active), "the last leaf is the negative side all the way: {path:?}");
            assert!(reason.contains(&format!("{}:{}-", path[0].layer, path[0].neuron)), "{reason}");
        }
        // The part may really be empty.
        Verdict::Proved { .. } => panic!("a leaf without an objective was proved"),
    }
}

#[test]
fn a_claim_is_about_its_image_only() {
    let mut certificate = several(1).remove(0).certificate;
    let image = [0.25f32, 0.5, 1.0];
    let (lower, upper) = Property::ball(&image, 0.1);
    certificate.property = Property::label(lower, upper, 3, 1);
    assert!(certificate.is_of(&image, 1, 3, 0.1).is_ok());
    assert!(certificate.is_of(&image, 1, 3, 0.05).is_ok(), "a smaller ball lies within the box");
    for (image, label, classes, epsilon) in [
        (&[0.25f32, 0.5, 1.0][..], 1, 3, 0.11),
        (&[0.26, 0.5, 1.0], 1, 3, 0.1),
        (&[0.25, 0.5, 1.0], 2, 3, 0.1),
        (&[0.25, 0.5, 1.0], 1, 4, 0.1),
        (&[0.25, 0.5], 1, 3, 0.1),
    ] {
        assert!(certificate.is_of(image, label, classes, epsilon).is_err(), "{image:?} {label} {classes} {epsilon}");
    }
    let mut fewer = certificate.clone();
    fewer.property.clauses.pop();
    assert!(fewer.is_of(&image, 1, 3, 0.1).is_err(), "a clause is missing");
    // "No point makes both true" is weaker than "no point makes one true".
    let mut weaker = certificate.clone();
    let second = weaker.property.clauses.pop().expect("two clauses");
    weaker.property.clauses[0].extend(second);
    assert!(weaker.is_of(&image, 1, 3, 0.1).is_err(), "clauses joined");
    certificate.property.clauses[0][0] = Constraint { coefficients: vec![0.0; 3], bound: -1.0 };
    assert!(certificate.is_of(&image, 1, 3, 0.1).is_err(), "a clause that nothing makes true");
}
