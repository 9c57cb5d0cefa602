//! auto_LiRPA's bounds of cnn3 on 20 images.

use std::sync::Arc;

use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Slopes};

use crate::certify::golden::{Golden, IMAGES};

/// The boxes as they were bounded there: x ± ε in f32, cut with [0, 1].
fn boxes(golden: &Golden) -> Vec<(Vec<f64>, Vec<f64>)> {
    let end = |x: &[f32], epsilon: f32| x.iter().map(|p| f64::from((p + epsilon).clamp(0.0, 1.0))).collect();
    (0..IMAGES).map(|i| golden.image(i)).map(|x| (end(&x, -0.1), end(&x, 0.1))).collect()
}

fn margins(golden: &Golden, image: usize) -> Vec<Objective> {
    let clauses = golden.property(image).clauses;
    clauses.into_iter().map(|mut c| Objective::exact(c.remove(0).coefficients, 0.0)).collect()
}

fn bound(region: &Region, objectives: &[Objective]) -> Vec<f64> {
    region.lower_bounds(objectives, &vec![Leaf::default(); objectives.len()]).expect("fits")
}

fn logits(sign: f64) -> Vec<Objective> {
    (0..10).map(|k| Objective::exact((0..10).map(|i| if i == k { sign } else { 0.0 }).collect(), 0.0)).collect()
}

/// Margins, logits and negated logits of an image, by a method of the golden file.
fn stored(golden: &Golden, method: &str, image: usize) -> Vec<f64> {
    let part = |name: &str, n: usize, sign: f64| {
        let values = golden.values(&format!("{method}.{name}"));
        values[n * image..n * (image + 1)].iter().map(|&v| sign * f64::from(v)).collect::<Vec<f64>>()
    };
    [part("margins_lb", 9, 1.0), part("logits_lb", 10, 1.0), part("logits_ub", 10, -1.0)].concat()
}

fn derived(golden: &Golden, region: &Region, image: usize) -> Vec<f64> {
    bound(region, &[margins(golden, image), logits(1.0), logits(-1.0)].concat())
}

/// What the issue allows between two computations of the same bound, one of them in f32.
const TOLERANCE: f64 = 1e-4;

#[test]
fn crown_ibp_equals_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    for (image, (l, u)) in boxes(&golden).iter().enumerate() {
        let region = Region::interval(&prover, l, u).expect("fits");
        for (got, want) in derived(&golden, &region, image).iter().zip(stored(&golden, "crown_ibp", image)) {
            assert!((got - want).abs() < TOLERANCE, "image {image}: {got} is not {want}");
        }
    }
}

/// Interval bounds of every ReLU's input, and margins by the last map alone.
#[test]
fn intervals_equal_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    for (image, (l, u)) in boxes(&golden).iter().enumerate() {
        let region = Region::interval(&prover, l, u).expect("fits");
        if image < 2 {
            hold_inputs(&golden, "ibp", &region, image, |got, want| (got - want).abs() < TOLERANCE);
        }
        let (lower, upper) = region.outputs();
        let want = stored(&golden, "ibp", image);
        for k in 0..10 {
            assert!((lower[k] - want[9 + k]).abs() < TOLERANCE && (upper[k] + want[19 + k]).abs() < TOLERANCE);
        }
        // A backward pass is never worse than the last map over intervals.
        for (got, want) in derived(&golden, &region, image).iter().zip(want) {
            assert!(*got > want - TOLERANCE, "image {image}: {got} is below {want}");
        }
    }
}

/// Holds the bounds of each ReLU's input; for upper ends both signs are turned.
fn hold_inputs(golden: &Golden, method: &str, region: &Region, image: usize, hold: impl Fn(f64, f64) -> bool) {
    for (layer, index) in [1, 3, 6].into_iter().enumerate() {
        let (lower, upper) = region.bounds(layer);
        for (end, got, sign) in [("lb", lower, 1.0), ("ub", upper, -1.0)] {
            let name = format!("{method}.pre_{end}.{index}");
            let n = got.len();
            for (i, (got, want)) in got.iter().zip(&golden.values(&name)[image * n..]).enumerate() {
                assert!(hold(sign * got, sign * f64::from(*want)), "image {image} {name} {i}: {got} against {want}");
            }
        }
    }
}

/// As published: every neuron of every layer backward, not cut with intervals.
#[test]
fn crown_equals_auto_lirpa() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    let slopes = Arc::new(Slopes::none(&prover));
    for (image, (l, u)) in boxes(&golden).iter().enumerate() {
        let region = Region::new(&prover, l, u, &slopes, Derivation::Backward).expect("fits");
        if image < 2 {
            hold_inputs(&golden, "crown", &region, image, |got, want| (got - want).abs() < TOLERANCE);
        }
        for (got, want) in derived(&golden, &region, image).iter().zip(stored(&golden, "crown", image)) {
            assert!((got - want).abs() < TOLERANCE, "image {image}: {got} is not {want}");
        }
    }
}

/// Cut with intervals, and backward for unstable neurons alone: no neuron's interval is wider than that of either method where it
/// matters, and certified is what CROWN certifies.
#[test]
fn cut_with_intervals_crown_is_not_worse() {
    let Some(golden) = Golden::open() else { return };
    let prover = Arc::new(Prover::new(&golden.network()).expect("fits"));
    let (mut ours, mut theirs, mut mean) = (0, 0, 0.0);
    let pgd = golden.values("pgd_margin_upper");
    for (image, (l, u)) in boxes(&golden).iter().enumerate() {
        let region = Region::crown(&prover, l, u).expect("fits");
        let interval = Region::interval(&prover, l, u).expect("fits");
        for layer in 0..3 {
            let ((lower, upper), (wide_lower, wide_upper)) = (region.bounds(layer), interval.bounds(layer));
            assert!(lower.iter().zip(&wide_lower).all(|(l, w)| l >= w));
            assert!(upper.iter().zip(&wide_upper).all(|(u, w)| u <= w));
        }
        let (got, want) = (bound(&region, &margins(&golden, image)), &stored(&golden, "crown", image)[..9]);
        ours += usize::from(got.iter().all(|&m| m > 0.0));
        theirs += usize::from(want.iter().all(|&m| m > 0.0));
        mean += got.iter().zip(want).map(|(g, w)| g - w).sum::<f64>() / 180.0;
        // An attack's margins lie above every sound bound.
        for (got, attack) in got.iter().zip(&pgd[9 * image..]) {
            assert!(*got <= f64::from(*attack) + TOLERANCE, "image {image}: {got} is above {attack}");
        }
    }
    assert!(ours >= theirs && mean > 0.0, "{ours} and {theirs} certified, mean difference {mean}");
}
