//! Statistics and terms of the bound regulariser.

use smallbox::ops;

use crate::common::cases::LENGTHS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::regularizer;
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn bound_statistics() {
    device::each(|session| {
        let around_zero = LENGTHS.into_iter().chain([1_048_583]).map(|n| (n, [-1.0, 1.5]));
        // Far from 0, where deviations are small beside the elements.
        for (n, [least, most]) in around_zero.chain([(1, [100.0, 101.0]), (40_007, [100.0, 101.0])]) {
            let random = &mut Random::new(n as u64);
            let [mut c, r] = [random.tensor([n], least, most), random.tensor([n], 0.0, 0.5)];
            // The first third has another mean than all: where deviations are taken from must make no difference.
            c.data[..n / 3].iter_mut().for_each(|c| *c = f64::from((*c + 2.5) as f32));
            let mut grad = random.tensor([ops::BOUND_STATISTICS], -1.0, 1.0);
            grad.data[5..].fill(0.0);
            let got = run(session, |case| {
                let [c, r] = [case.input(&c), case.input(&r)];
                let y = ops::bound_statistics(&mut case.graph, (c, r))?;
                case.output("y", y);
                case.gradients(&[y], std::slice::from_ref(&grad), &[c, r])
            });
            let check = |name: &str, want: &_| {
                assert_close(&format!("{name} over {n}"), &got.tensor(name), want, Closeness::Rounded);
            };
            check("y", &regularizer::statistics(&c, &r));
            let [to_c, to_r] = regularizer::statistics_backward(&c, &r, &grad);
            check("grad0", &to_c);
            check("grad1", &to_r);
        }
    });
}

#[test]
fn bound_penalty() {
    let input_radius = 0.25;
    // Mean radius, mean center on and off, deviations on and off: ratios below 1/2, above 2, in between; no inactive neuron;
    // no radius.
    let layers = [
        [2.0, 0.1, -0.5, 1.0, 9.0],
        [2.0, 0.9, -0.2, 7.0, 1.0],
        [0.3, 0.5, -0.5, 1.0, 1.0],
        [2.0, 0.5, 0.0, 1.0, 0.0],
        [2.0, 0.0, -0.5, 0.0, 1.0],
        [0.0, 0.5, -0.25, 1.0, 4.0],
        [1e-20, 0.5, -0.25, 1.0, 4.0],
    ];
    device::each(|session| {
        for layer in layers {
            let s = Tensor::new([8], [layer.as_slice(), &[0.3, 0.1, -0.1]].concat()).map(|x| f64::from(x as f32));
            let got = run(session, |c| {
                let [s, radius] = [c.input(&s), c.input(&Tensor::filled([1], input_radius))];
                let y = ops::bound_penalty(&mut c.graph, s, radius)?;
                c.output("y", y);
                c.gradients(&[y], &[Tensor::filled([1], -1.5)], &[s])
            });
            let check = |name: &str, want: &_| {
                assert_close(&format!("{name} of {layer:?}"), &got.tensor(name), want, Closeness::Rounded);
            };
            check("y", &regularizer::penalty(&s, input_radius));
            check("grad0", &regularizer::penalty_backward(&s, input_radius, -1.5));
        }
    });
}
