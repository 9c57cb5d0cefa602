//! Cross-entropy and a linear layer.

use smallbox::ops;

use super::{Golden, one};
use crate::common::device;
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn cross_entropy() {
    let Some(golden) = Golden::open("ce") else { return };
    device::each(|session| {
        let got = run(session, |c| {
            let (logits, labels) = (c.input(golden.tensor("logits")), c.labels(golden.labels("labels")));
            let losses = ops::cross_entropy(&mut c.graph, logits, labels)?;
            let mean = ops::mean_all(&mut c.graph, losses)?;
            c.output("losses", losses);
            c.output("mean", mean);
            c.gradients(&[mean], &[one()], &[logits])
        });
        golden.assert("ce", &got.tensor("losses"));
        golden.assert("ce_mean", &got.tensor("mean"));
        golden.assert("grad_mean", &got.tensor("grad0"));
        // The gradient of the sum plus the label's one-hot row is the softmax itself.
        let got = run(session, |c| {
            let (logits, labels) = (c.input(golden.tensor("logits")), c.labels(golden.labels("labels")));
            let losses = ops::cross_entropy(&mut c.graph, logits, labels)?;
            let count = golden.labels("labels").len();
            c.gradients(&[losses], &[Tensor::filled([count], 1.0)], &[logits])
        });
        let mut softmax = got.tensor("grad0");
        let classes = softmax.shape[1];
        for (row, &label) in softmax.data.chunks_mut(classes).zip(golden.labels("labels")) {
            row[label as usize] += 1.0;
        }
        golden.assert("softmax", &softmax);
    });
}

#[test]
fn linear() {
    let Some(golden) = Golden::open("ce") else { return };
    let stored = |part: &str| golden.tensor(&format!("linear.{part}"));
    device::each(|session| {
        let points = run(session, |c| {
            let [x, w, b] = ["x", "w", "b"].map(|part| c.input(stored(part)));
            let y = ops::linear(&mut c.graph, x, w, Some(b))?;
            c.output("y", y);
            c.gradients(&[y], &[stored("gy").clone()], &[x, w, b])
        });
        for (part, output) in [("y", "y"), ("gx", "grad0"), ("gw", "grad1"), ("gb", "grad2")] {
            golden.assert(&format!("linear.{part}"), &points.tensor(output));
        }
        let radii = run(session, |c| {
            let [x, r, w] = ["x", "r", "w"].map(|part| c.input(stored(part)));
            let (_, radius) = ops::linear_interval(&mut c.graph, (x, r), w, None)?;
            c.output("radius", radius);
            c.gradients(&[radius], &[stored("gyr").clone()], &[r, w])
        });
        for (part, output) in [("yr", "radius"), ("gr", "grad0"), ("gwr", "grad1")] {
            golden.assert(&format!("linear.{part}"), &radii.tensor(output));
        }
    });
}
