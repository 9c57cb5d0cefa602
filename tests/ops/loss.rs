//! Cross-entropy.

use smallbox::ops;

use crate::common::cases::EXTENTS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::loss;
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn cross_entropy() {
    device::each(|session| {
        for e in EXTENTS {
            for [n, k] in [[e, 10], [3, e]] {
                let random = &mut Random::new(e as u64);
                let mut z = random.tensor([n, k], -5.0, 5.0);
                // A row of ties and a row whose exponentials overflow f32.
                z.data[..k].fill(2.0);
                z.data[(n - 1) * k] = 1000.0;
                let labels = random.labels(n, k);
                let grad = Data::Reals.signed(random, [n]);
                let got = run(session, |c| {
                    let [z, labels] = [c.input(&z), c.labels(&labels)];
                    let y = ops::cross_entropy(&mut c.graph, z, labels)?;
                    c.output("y", y);
                    c.gradients(&[y], std::slice::from_ref(&grad), &[z])
                });
                let context = |what: &str| format!("{what} for N, K = {n}, {k}");
                let check = |name: &str, want: &_| {
                    assert_close(&context(name), &got.tensor(name), want, Closeness::Rounded);
                };
                check("y", &loss::cross_entropy(&z, &labels));
                check("grad0", &loss::cross_entropy_backward(&z, &labels, &grad));
            }
        }
    });
}

/// Where the label's logit leads by far, the loss is 0 and so is the gradient: no overflow, no NaN.
#[test]
fn a_leading_label_costs_nothing() {
    let z = Tensor::new([1, 3], vec![3e4, -3e4, 0.0]);
    device::each(|session| {
        let got = run(session, |c| {
            let [z, labels] = [c.input(&z), c.labels(&[0])];
            let y = ops::cross_entropy(&mut c.graph, z, labels)?;
            c.output("y", y);
            c.gradients(&[y], &[Tensor::filled([1], 1.0)], &[z])
        });
        assert_eq!(got.tensor("y").data, [0.0]);
        assert_eq!(got.tensor("grad0").data, [0.0; 3]);
    });
}
