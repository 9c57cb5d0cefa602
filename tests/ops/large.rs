//! Elementwise ops beyond 65 535 workgroups: the grid folds into a second axis.

use smallbox::ops::{self, Distribution};
use smallbox::philox::{philox4x32, uniform_f32};

use crate::common::cases::BEYOND_ONE_AXIS as N;
use crate::common::device;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// −3, −2, … 3, −3, …: a shift by anything but a multiple of 7 shows.
fn pattern(i: usize) -> f64 {
    (i % 7) as f64 - 3.0
}

#[track_caller]
fn assert_all(name: &str, got: &Tensor, want: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), N, "{name}");
    if let Some(i) = (0..N).find(|&i| got.data[i] != want(i)) {
        panic!("{name}: element {i} of {N} is {}, expected {}", got.data[i], want(i));
    }
}

#[test]
fn elementwise_ops_reach_the_last_element() {
    let x = Tensor::new([N], (0..N).map(pattern).collect());
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let g = &mut c.graph;
            let shifted = ops::affine(g, x, 2.0, 1.0)?;
            let sum = ops::add(g, x, shifted)?;
            let relu = ops::relu(g, sum)?;
            let chosen = ops::select(g, x, sum, relu)?;
            c.output("sum", sum);
            c.output("relu", relu);
            c.output("chosen", chosen);
            Ok(())
        });
        assert_all("sum", &got.tensor("sum"), |i| 3.0 * pattern(i) + 1.0);
        assert_all("relu", &got.tensor("relu"), |i| (3.0 * pattern(i) + 1.0).max(0.0));
        assert_all("chosen", &got.tensor("chosen"), |i| match pattern(i) {
            x if x > 0.0 => 3.0 * x + 1.0,
            x => (3.0 * x + 1.0).max(0.0),
        });
    });
}

#[test]
fn boxes_reach_the_last_element() {
    let x = Tensor::new([N], (0..N).map(pattern).collect());
    device::each(|session| {
        let got = run(session, |c| {
            let center = c.input(&x);
            let radius = ops::fill(&mut c.graph, 2.0, [N])?;
            let (center, radius) = ops::relu_interval(&mut c.graph, (center, radius))?;
            c.output("center", center);
            c.output("radius", radius);
            Ok(())
        });
        let ends = |i: usize| ((pattern(i) - 2.0).max(0.0), (pattern(i) + 2.0).max(0.0));
        assert_all("center", &got.tensor("center"), |i| (ends(i).0 + ends(i).1) / 2.0);
        assert_all("radius", &got.tensor("radius"), |i| (ends(i).1 - ends(i).0) / 2.0);
    });
}

#[test]
fn random_numbers_reach_the_last_element() {
    let key = [1, 2, 3, 4];
    device::each(|session| {
        let got = run(session, |c| {
            let key = c.labels(&key);
            let unit = Distribution::Uniform { lower: 0.0, upper: 1.0 };
            let y = ops::random(&mut c.graph, unit, key, 9, [N])?;
            c.output("y", y);
            Ok(())
        });
        assert_all("uniform", &got.tensor("y"), |i| {
            f64::from(uniform_f32(philox4x32([(i / 4) as u32, 9, 3, 4], [1, 2])[i % 4]))
        });
    });
}
