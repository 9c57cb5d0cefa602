//! How long bounds take: `cargo test --release --test main -- --ignored --nocapture proof::speed`.

use std::sync::Arc;
use std::time::Instant;

use smallbox::certify::proof::{Leaf, Objective, Prover, Region};
use smallbox::ops::Conv2dSpec;

use crate::certify::nets::Builder;
use crate::common::random::Random;

#[test]
#[ignore = "a measurement"]
fn cnn7_of_random_weights_on_images_of_cifar_size() {
    let mut builder = Builder::new(7, &[3, 32, 32]);
    for (features, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (128, 1)] {
        builder.conv(features, [3, 3], Conv2dSpec::square(stride, 1));
        builder.relu();
    }
    builder.linear(512);
    builder.relu();
    builder.linear(10);
    let start = Instant::now();
    let prover = Arc::new(Prover::new(&builder.network).expect("fits"));
    println!("layout {:?}", start.elapsed());
    let mut random = Random::new(1);
    let image: Vec<f64> = (0..3072).map(|_| random.uniform(0.0, 1.0)).collect();
    let objectives: Vec<Objective> = (1..10)
        .map(|k| Objective::exact((0..10).map(|i| f64::from(i == 0) - f64::from(i == k)).collect(), 0.0))
        .collect();
    for epsilon in [0.00003, 0.0001, 0.0003] {
        let (lower, upper): (Vec<f64>, Vec<f64>) = image.iter().map(|x| (x - epsilon, x + epsilon)).unzip();
        let start = Instant::now();
        let region = Region::interval(&prover, &lower, &upper).expect("fits");
        let interval = start.elapsed();
        let by_interval: Vec<usize> = (0..6).map(|layer| region.unstable(layer).len()).collect();
        let start = Instant::now();
        region.lower_bounds(&objectives, &[Leaf::default(); 9]).expect("fits");
        let backward = start.elapsed();
        let start = Instant::now();
        let region = Region::crown(&prover, &lower, &upper).expect("fits");
        let crown = start.elapsed();
        let unstable: Vec<usize> = (0..6).map(|layer| region.unstable(layer).len()).collect();
        println!("ε {epsilon}: interval {interval:.3?}, 9 objectives {backward:.3?}, crown {crown:.3?}");
        println!("  unstable by intervals {by_interval:?}, by crown {unstable:?}");
    }
}
