//! Convolutions.

use smallbox::ops;

use crate::common::cases::{CONVS, Conv, convs};
use crate::common::close::assert_close;
use crate::common::device;
use crate::common::oracle::{conv2d, interval};
use crate::common::random::{Data, Random};
use crate::common::run::run;

#[test]
fn forward_and_gradients() {
    device::each(|session| {
        for (i, case) in convs(session).iter().enumerate() {
            for data in Data::BOTH {
                let random = &mut Random::new(i as u64);
                let [x, w] = [data.signed(random, case.x_shape()), data.signed(random, case.w_shape())];
                let [b, grad] = [data.signed(random, [case.o]), data.signed(random, case.y_shape())];
                let got = run(session, |c| {
                    let [x, w, b] = [c.input(&x), c.input(&w), c.input(&b)];
                    let y = ops::conv2d(&mut c.graph, x, w, Some(b), case.spec())?;
                    c.output("y", y);
                    c.gradients(&[y], std::slice::from_ref(&grad), &[x, w, b])
                });
                let check = |name: &str, want| assert_close(&context(name, case, data), &got.tensor(name), &want, data);
                check("y", conv2d::forward(case, &x, &w, Some(&b)));
                check("grad0", conv2d::backward_input(case, &grad, &w));
                check("grad1", conv2d::backward_weight(case, &x, &grad));
                check("grad2", conv2d::backward_bias(&grad));
            }
        }
    });
}

/// The gradients for w and b are linear in the gradient for y: the transposed map is the convolution itself, by what flows back to w and b.
#[test]
fn gradients_of_weight_and_bias_can_be_differentiated() {
    device::each(|session| {
        for case in &CONVS {
            let random = &mut Random::new(11);
            let mut signed = |shape: &[usize]| Data::Integers.signed(random, shape);
            let [x, grad] = [signed(&case.x_shape()), signed(&case.y_shape())];
            let ([w, to_w], [b, to_b]) =
                ([(); 2].map(|()| signed(&case.w_shape())), [(); 2].map(|()| signed(&[case.o])));
            for (weight, bias) in [(true, true), (true, false), (false, true)] {
                let got = run(session, |c| {
                    let [x, w, b, grad] = [&x, &w, &b, &grad].map(|t| c.input(t));
                    let y = ops::conv2d(&mut c.graph, x, w, Some(b), case.spec())?;
                    let made = ops::gradients_from(&mut c.graph, y, grad, &[w, b])?;
                    let [dw, db] = [0, 1].map(|i| made[i].expect("y depends on both"));
                    let pairs = [(weight, dw, &to_w), (bias, db, &to_b)].into_iter().filter(|pair| pair.0);
                    let (values, upstream): (Vec<_>, Vec<_>) = pairs.map(|(_, v, t)| (v, t.clone())).unzip();
                    c.gradients(&values, &upstream, &[grad])
                });
                let none = to_w.map(|_| 0.0);
                let want = conv2d::forward(case, &x, if weight { &to_w } else { &none }, bias.then_some(&to_b));
                assert_close(&context("grad0", case, Data::Integers), &got.tensor("grad0"), &want, Data::Integers);
            }
        }
    });
}

#[test]
fn forward_without_bias() {
    device::each(|session| {
        for case in &convs(session) {
            let random = &mut Random::new(7);
            let [x, w] = [Data::Integers.signed(random, case.x_shape()), Data::Integers.signed(random, case.w_shape())];
            let got = run(session, |c| {
                let [x, w] = [c.input(&x), c.input(&w)];
                let y = ops::conv2d(&mut c.graph, x, w, None, case.spec())?;
                c.output("y", y);
                Ok(())
            });
            let want = conv2d::forward(case, &x, &w, None);
            assert_close(&context("y", case, Data::Integers), &got.tensor("y"), &want, Data::Integers);
        }
    });
}

#[test]
fn boxes() {
    device::each(|session| {
        for (i, case) in convs(session).iter().enumerate() {
            for data in Data::BOTH {
                let random = &mut Random::new(i as u64 + 100);
                let [c, r] = [data.signed(random, case.x_shape()), data.radius(random, case.x_shape())];
                let [w, b] = [data.signed(random, case.w_shape()), data.signed(random, [case.o])];
                let [gc, gr] = [(); 2].map(|()| data.signed(random, case.y_shape()));
                let got = run(session, |case_| {
                    let [c, r, w, b] = [&c, &r, &w, &b].map(|t| case_.input(t));
                    let (yc, yr) = ops::conv2d_interval(&mut case_.graph, (c, r), w, Some(b), case.spec())?;
                    case_.output("center", yc);
                    case_.output("radius", yr);
                    case_.gradients(&[yc, yr], &[gc.clone(), gr.clone()], &[c, r, w, b])
                });
                let check = |name: &str, want| assert_close(&context(name, case, data), &got.tensor(name), want, data);
                let [center, radius] = interval::conv2d(case, &c, &r, &w, Some(&b));
                check("center", &center);
                check("radius", &radius);
                let grads = interval::conv2d_backward(case, [&c, &r, &w], [&gc, &gr]);
                for (name, want) in ["grad0", "grad1", "grad2", "grad3"].iter().zip(&grads) {
                    check(name, want);
                }
            }
        }
    });
}

/// A loss of one end of the box only: the other's gradient is zero.
#[test]
fn boxes_with_one_upstream_gradient() {
    let case = CONVS[4];
    device::each(|session| {
        let random = &mut Random::new(5);
        let data = Data::Integers;
        let [c, r] = [data.signed(random, case.x_shape()), data.radius(random, case.x_shape())];
        let [w, grad] = [data.signed(random, case.w_shape()), data.signed(random, case.y_shape())];
        let zero = grad.map(|_| 0.0);
        for of_radius in [false, true] {
            let got = run(session, |case_| {
                let [c, r, w] = [&c, &r, &w].map(|t| case_.input(t));
                let (yc, yr) = ops::conv2d_interval(&mut case_.graph, (c, r), w, None, case.spec())?;
                let y = if of_radius { yr } else { yc };
                case_.gradients(&[y], std::slice::from_ref(&grad), &[c, r, w])
            });
            let upstream = if of_radius { [&zero, &grad] } else { [&grad, &zero] };
            let grads = interval::conv2d_backward(&case, [&c, &r, &w], upstream);
            for (name, want) in ["grad0", "grad1", "grad2"].iter().zip(&grads) {
                assert_close(&context(name, &case, data), &got.tensor(name), want, data);
            }
        }
    });
}

fn context(what: &str, case: &Conv, data: Data) -> String {
    format!("{what} of {case:?} on {data:?}")
}
