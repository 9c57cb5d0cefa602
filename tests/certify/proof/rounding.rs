//! Networks where plain f64 arithmetic claims what is false.

use std::sync::Arc;

use smallbox::certify::network::{Operation, ReluNetwork, Weights};
use smallbox::certify::proof::{Leaf, Objective, Prover, Region, refutes};
use smallbox::certify::property::{Constraint, Property};
use smallbox::ops::Conv2dSpec;

use crate::common::random::Random;

/// A whole number of 24 bits: exact in f32, and products of four need 96 bits.
fn odd(random: &mut Random) -> f32 {
    ((random.below(1 << 23) + (1 << 23)) | 1) as f32
}

fn push(network: &mut ReluNetwork, shape: [usize; 2], weight: &[f32]) {
    let weights = Weights::exact(shape, weight, &vec![0.0; shape[0]]);
    network.push(Operation::Linear(Arc::new(weights)), &[network.output()]).expect("fits");
}

/// x ↦ p·q·r·s·x − s·r·q·p·x, which is 0: two branches of the same factors in another order, with ReLUs that are always active.
fn cancelling(random: &mut Random) -> ReluNetwork {
    let factors: [f32; 4] = std::array::from_fn(|_| odd(random));
    let mut other = factors;
    for i in (1..4).rev() {
        other.swap(i, random.below(i + 1));
    }
    let mut network = ReluNetwork::new([1], None).expect("an input");
    push(&mut network, [2, 1], &[factors[0], other[0]]);
    for i in 1..3 {
        network.push(Operation::Relu, &[network.output()]).expect("fits");
        push(&mut network, [2, 2], &[factors[i], 0.0, 0.0, other[i]]);
    }
    network.push(Operation::Relu, &[network.output()]).expect("fits");
    push(&mut network, [1, 2], &[factors[3], -other[3]]);
    network
}

#[test]
fn no_margin_is_made_of_rounding() {
    let mut random = Random::new(11);
    let mut fooled = 0;
    for _ in 0..200 {
        let network = cancelling(&mut random);
        let prover = Arc::new(Prover::new(&network).expect("fits"));
        for region in [Region::interval(&prover, &[1.0], &[1.0]), Region::crown(&prover, &[1.0], &[1.0])] {
            let region = region.expect("fits");
            let both = [Objective::exact(vec![1.0], 0.0), Objective::exact(vec![-1.0], 0.0)];
            let leaves = [Leaf::default(); 2];
            for bound in region.lower_bounds(&both, &leaves).expect("fits") {
                assert!(bound <= 0.0, "y = 0 everywhere, but {bound} was proved");
                assert!(bound > -1e18, "the error terms are out of proportion: {bound}");
            }
            // The control: the same passes without error terms are fooled, by one sign or the other.
            fooled += usize::from(region.estimates(&both, &leaves).expect("fits").iter().any(|&bound| bound > 0.0));
        }
    }
    assert!(fooled > 50, "plain f64 was fooled {fooled} times: the test has no teeth");
}

/// Exact outputs of networks of whole numbers, by i128.
#[test]
fn whole_numbers_are_enclosed() {
    let mut random = Random::new(12);
    let mut fooled = 0;
    for _ in 0..200 {
        let (n, m) = (2 + random.below(20), 2 + random.below(20));
        let first: Vec<f32> =
            (0..n * m).map(|_| odd(&mut random) * if random.below(2) == 0 { 1.0 } else { -1.0 }).collect();
        let second: Vec<f32> =
            (0..m).map(|_| odd(&mut random) * if random.below(2) == 0 { 1.0 } else { -1.0 }).collect();
        let x: Vec<f64> = (0..n).map(|_| f64::from(odd(&mut random))).collect();
        let hidden = first.chunks(n).map(|row| row.iter().zip(&x).map(|(w, x)| *w as i128 * *x as i128).sum::<i128>());
        let y: i128 = hidden.zip(&second).map(|(h, w)| h.max(0) * *w as i128).sum();
        let mut network = ReluNetwork::new([n], None).expect("an input");
        push(&mut network, [m, n], &first);
        network.push(Operation::Relu, &[1]).expect("fits");
        push(&mut network, [1, m], &second);
        let prover = Arc::new(Prover::new(&network).expect("fits"));
        let (lower, upper) = prover.evaluate(&x).expect("fits")[0];
        assert!(lower.ceil() as i128 <= y && y <= upper.floor() as i128, "{y} is not in [{lower}, {upper}]");
        let region = Region::crown(&prover, &x, &x).expect("fits");
        let both = [Objective::exact(vec![1.0], 0.0), Objective::exact(vec![-1.0], 0.0)];
        let [below, above] = region.lower_bounds(&both, &[Leaf::default(); 2]).expect("fits")[..] else { panic!() };
        assert!(below.ceil() as i128 <= y && y <= (-above).floor() as i128, "{y} is not in [{below}, {}]", -above);
        let [below, above] = region.estimates(&both, &[Leaf::default(); 2]).expect("fits")[..] else { panic!() };
        fooled += usize::from(below.ceil() as i128 > y || y > (-above).floor() as i128);
    }
    assert!(fooled > 20, "plain f64 was fooled {fooled} times");
}

/// Stated errors of weights and biases are part of the claim.
#[test]
fn errors_of_weights_widen_the_bounds() {
    let weights = |weight_error: f64, bias_error: f64| Weights {
        shape: [1, 1].into(),
        weight: vec![3.0],
        weight_error,
        bias: vec![0.5],
        bias_error: vec![bias_error],
    };
    let of = |weights: Weights| {
        let mut network = ReluNetwork::new([1], None).expect("an input");
        network.push(Operation::Linear(Arc::new(weights)), &[0]).expect("fits");
        let prover = Arc::new(Prover::new(&network)?);
        let region = Region::crown(&prover, &[2.0], &[2.0])?;
        let both = [Objective::exact(vec![1.0], 0.0), Objective::exact(vec![-1.0], 0.0)];
        Ok::<_, smallbox::error::Error>(region.lower_bounds(&both, &[Leaf::default(); 2]).expect("fits"))
    };
    // 3·2 + 0.5, off by 6/64 and 1/4: all exact in f64.
    let [lower, negated] = of(weights(1.0 / 64.0, 0.25)).expect("fits")[..] else { panic!() };
    assert!(lower <= 6.5 - 0.34375 && lower > 6.5 - 0.34375 - 1e-6, "{lower}");
    assert!(-negated >= 6.5 + 0.34375 && -negated < 6.5 + 0.34375 + 1e-6, "{negated}");
    assert!(of(weights(-0.01, 0.0)).is_err() && of(weights(0.0, -0.01)).is_err(), "a negative error was accepted");
}

/// Numbers too large for f64 prove nothing.
#[test]
fn overflow_proves_nothing() {
    let mut network = ReluNetwork::new([1, 2, 2], None).expect("an input");
    let huge = Arc::new(Weights {
        shape: [1, 1, 1, 1].into(),
        weight: vec![1e200],
        weight_error: 0.0,
        bias: vec![1.0],
        bias_error: vec![0.0],
    });
    for _ in 0..3 {
        let conv = Operation::Conv2d(Arc::clone(&huge), Conv2dSpec::square(1, 0));
        network.push(conv, &[network.output()]).expect("fits");
        network.push(Operation::Relu, &[network.output()]).expect("fits");
    }
    push(&mut network, [1, 4], &[1.0, 1.0, 1.0, 1.0]);
    let prover = Arc::new(Prover::new(&network).expect("fits"));
    for (lower, upper) in [(1.0, 1.0), (-1.0, 1.0), (0.0, 0.0)] {
        let region = Region::crown(&prover, &[lower; 4], &[upper; 4]).expect("fits");
        let both = [Objective::exact(vec![1.0], 1e300), Objective::exact(vec![-1.0], 0.0)];
        for bound in region.lower_bounds(&both, &[Leaf::default(); 2]).expect("fits") {
            assert!(bound <= 0.0, "{bound}");
        }
    }
}

#[test]
fn counter_examples_hold_beyond_doubt() {
    let mut network = ReluNetwork::new([2], None).expect("an input");
    push(&mut network, [2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let property = |bound: f64| Property {
        lower: vec![0.0; 2],
        upper: vec![1.0; 2],
        clauses: vec![vec![
            Constraint { coefficients: vec![1.0, -1.0], bound },
            Constraint { coefficients: vec![0.0, 1.0], bound: 0.875 },
        ]],
    };
    assert!(refutes(&network, &property(0.0), &[0.25, 0.75]).unwrap());
    assert!(!refutes(&network, &property(0.0), &[0.25, 0.9]).unwrap(), "the second constraint is false");
    assert!(!refutes(&network, &property(0.0), &[0.75, 0.25]).unwrap(), "the first constraint is false");
    assert!(!refutes(&network, &property(2.0), &[0.25, -0.001]).unwrap(), "outside the box");
    assert!(!refutes(&network, &property(2.0), &[0.25]).unwrap(), "too short");
    // Equality in exact arithmetic is not beyond doubt in a network that rounds.
    let network = cancelling(&mut Random::new(3));
    let tie = Property {
        lower: vec![1.0],
        upper: vec![1.0],
        clauses: vec![vec![Constraint { coefficients: vec![1.0], bound: 0.0 }]],
    };
    assert!(!refutes(&network, &tie, &[1.0]).unwrap());
}
