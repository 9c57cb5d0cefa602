//! Negative controls: what a wrong kernel would compute must not pass the comparisons that the ops are held to.

use smallbox::ops;

use crate::common::cases::{CONVS, Conv};
use crate::common::close::{Closeness, compare};
use crate::common::device;
use crate::common::oracle::{Reference, conv2d, interval, layout, linear};
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[track_caller]
fn assert_rejected(what: &str, wrong: &Tensor, right: &Reference) {
    for closeness in [Closeness::Exact, Closeness::Rounded] {
        assert!(compare(wrong, right, closeness).is_err(), "{what} passes as {closeness:?}");
    }
}

/// The largest reductions of the table, where the bound is widest.
fn widest() -> Conv {
    CONVS[CONVS.len() - 1]
}

#[test]
fn a_dropped_tap_is_noticed() {
    let case = widest();
    let random = &mut Random::new(1);
    let [x, w] = [Data::Reals.signed(random, case.x_shape()), Data::Reals.signed(random, case.w_shape())];
    let mut without = w.clone();
    let taps: usize = case.w_shape()[1..].iter().product();
    without.data.iter_mut().skip(taps - 1).step_by(taps).for_each(|w| *w = 0.0);
    let right = conv2d::forward(&case, &x, &w, None);
    assert_rejected("a convolution without its last tap", &conv2d::forward(&case, &x, &without, None).value, &right);
}

#[test]
fn a_radius_without_absolute_weights_is_noticed() {
    let case = widest();
    let random = &mut Random::new(2);
    let [r, w] = [Data::Reals.radius(random, case.x_shape()), Data::Reals.signed(random, case.w_shape())];
    let [_, right] = interval::conv2d(&case, &r, &r, &w, None);
    assert_rejected("a radius by w instead of |w|", &conv2d::forward(&case, &r, &w, None).value, &right);
}

#[test]
fn a_missing_sign_in_the_weight_gradient_is_noticed() {
    let random = &mut Random::new(3);
    let [c, r] = [Data::Reals.signed(random, [64, 40]), Data::Reals.radius(random, [64, 40])];
    let w = Data::Reals.signed(random, [30, 40]);
    let [gc, gr] = [(); 2].map(|()| Data::Reals.signed(random, [64, 30]));
    let [_, _, right, _] = interval::linear_backward([&c, &r, &w], [&gc, &gr]);
    let wrong = linear::backward_weight(&c, &gc).plus(&linear::backward_weight(&r, &gr));
    assert_rejected("d/dw without sign(w)", &wrong.value, &right);
}

#[test]
fn a_reduction_that_misses_its_last_element_is_noticed() {
    let x = Random::new(4).tensor([1, 1, 10_007], 0.0, 1.0);
    let right = layout::reduce(ops::ReduceKind::Sum, &x);
    let mut short = x;
    short.data[10_006] = 0.0;
    let wrong = layout::reduce(ops::ReduceKind::Sum, &short).value;
    let integers = |t: &Tensor| layout::reduce(ops::ReduceKind::Sum, &t.map(|x| (7.0 * x).ceil()));
    assert!(compare(&wrong, &right, Closeness::Exact).is_err());
    let full = Random::new(4).tensor([1, 1, 10_007], 0.0, 1.0);
    assert!(compare(&integers(&short).value, &integers(&full), Closeness::Exact).is_err());
}

/// The device's own kernel on a geometry that is off by one: same shapes, other pixels.
#[test]
fn a_kernel_that_reads_one_pixel_too_far_is_noticed() {
    let right = Conv { n: 1, c: 2, hw: [6, 6], o: 3, k: [3, 3], stride: [2; 2], padding: [1; 2], dilation: [1; 2] };
    let off = Conv { padding: [0; 2], hw: [7, 7], ..right };
    assert_eq!(right.y_shape(), off.y_shape());
    device::each(|session| {
        for data in Data::BOTH {
            let random = &mut Random::new(5);
            let [x, w] = [data.signed(random, right.x_shape()), data.signed(random, right.w_shape())];
            // The image moved by one pixel: what a kernel that forgets the padding reads.
            let mut moved = Tensor::filled(off.x_shape(), 0.0);
            for plane in 0..2 {
                for row in 0..6 {
                    for col in 0..6 {
                        moved.data[(plane * 7 + row) * 7 + col] = x.data[(plane * 6 + row) * 6 + col];
                    }
                }
            }
            let got = run(session, |c| {
                let [x, w] = [c.input(&moved), c.input(&w)];
                let y = ops::conv2d(&mut c.graph, x, w, None, off.spec())?;
                c.output("y", y);
                Ok(())
            });
            let want = conv2d::forward(&right, &x, &w, None);
            assert!(compare(&got.tensor("y"), &want, data.into()).is_err(), "{data:?}");
        }
    });
}
