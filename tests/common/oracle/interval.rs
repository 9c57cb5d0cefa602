//! Boxes (center, radius): y_center = f(center), y_radius = |f|(radius) for linear maps; ReLU of the ends.

use super::linear::sign;
use super::{Reference, conv2d, linear};
use crate::common::cases::Conv;
use crate::common::tensor::Tensor;

fn absolute(w: &Tensor) -> Tensor {
    w.map(f64::abs)
}

fn signs(w: &Tensor) -> Tensor {
    w.map(sign)
}

pub fn conv2d(case: &Conv, c: &Tensor, r: &Tensor, w: &Tensor, b: Option<&Tensor>) -> [Reference; 2] {
    [conv2d::forward(case, c, w, b), conv2d::forward(case, r, &absolute(w), None)]
}

/// Gradients with respect to c, r, w, b.
pub fn conv2d_backward(case: &Conv, [c, r, w]: [&Tensor; 3], [gc, gr]: [&Tensor; 2]) -> [Reference; 4] {
    let of_radius = conv2d::backward_weight(case, r, gr).times(&signs(w));
    [
        conv2d::backward_input(case, gc, w),
        conv2d::backward_input(case, gr, &absolute(w)),
        conv2d::backward_weight(case, c, gc).plus(&of_radius),
        conv2d::backward_bias(gc),
    ]
}

pub fn linear(c: &Tensor, r: &Tensor, w: &Tensor, b: Option<&Tensor>) -> [Reference; 2] {
    [linear::forward(c, w, b), linear::forward(r, &absolute(w), None)]
}

/// Gradients with respect to c, r, w, b.
pub fn linear_backward([c, r, w]: [&Tensor; 3], [gc, gr]: [&Tensor; 2]) -> [Reference; 4] {
    let of_radius = linear::backward_weight(r, gr).times(&signs(w));
    [
        linear::backward_input(gc, w),
        linear::backward_input(gr, &absolute(w)),
        linear::backward_weight(c, gc).plus(&of_radius),
        conv2d::backward_bias(gc),
    ]
}

/// l' = max(c − r, 0), u' = max(c + r, 0) → (u' + l')/2, (u' − l')/2.
pub fn relu(c: &Tensor, r: &Tensor) -> [Reference; 2] {
    let ends = |i: usize| {
        let (l, u) = ((c.data[i] - r.data[i]).max(0.0), (c.data[i] + r.data[i]).max(0.0));
        (l, u, c.data[i].abs() + r.data[i].abs())
    };
    [
        Reference::elements(&c.shape, 3, |i| ((ends(i).1 + ends(i).0) / 2.0, ends(i).2)),
        Reference::elements(&c.shape, 3, |i| ((ends(i).1 - ends(i).0) / 2.0, ends(i).2)),
    ]
}

/// G_u = (g_c + g_r)/2 where u > 0, G_l = (g_c − g_r)/2 where l > 0 → G_u + G_l, G_u − G_l.
pub fn relu_backward([c, r]: [&Tensor; 2], [gc, gr]: [&Tensor; 2]) -> [Reference; 2] {
    let parts = |i: usize| {
        let upper = if c.data[i] + r.data[i] > 0.0 { (gc.data[i] + gr.data[i]) / 2.0 } else { 0.0 };
        let lower = if c.data[i] - r.data[i] > 0.0 { (gc.data[i] - gr.data[i]) / 2.0 } else { 0.0 };
        (upper, lower, gc.data[i].abs() + gr.data[i].abs())
    };
    [
        Reference::elements(&c.shape, 3, |i| (parts(i).0 + parts(i).1, parts(i).2)),
        Reference::elements(&c.shape, 3, |i| (parts(i).0 - parts(i).1, parts(i).2)),
    ]
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::cases::CONVS;
    use crate::common::random::Random;

    fn values<const N: usize>(references: [Reference; N]) -> Vec<Tensor> {
        references.map(|r| r.value).into()
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(3);
        for case in CONVS.iter().filter(|c| c.x_shape().iter().product::<usize>() < 100) {
            let inputs = [
                random.tensor(case.x_shape(), -1.0, 1.0),
                random.tensor(case.x_shape(), 0.0, 1.0),
                random.tensor(case.w_shape(), -1.0, 1.0),
                random.tensor([case.o], -1.0, 1.0),
            ];
            assert_gradient(&inputs, &|i| values(conv2d(case, &i[0], &i[1], &i[2], Some(&i[3]))), &|i, g| {
                values(conv2d_backward(case, [&i[0], &i[1], &i[2]], [&g[0], &g[1]]))
            });
        }
        let inputs = [
            random.tensor([3, 5], -1.0, 1.0),
            random.tensor([3, 5], 0.0, 1.0),
            random.tensor([4, 5], -1.0, 1.0),
            random.tensor([4], -1.0, 1.0),
        ];
        assert_gradient(&inputs, &|i| values(linear(&i[0], &i[1], &i[2], Some(&i[3]))), &|i, g| {
            values(linear_backward([&i[0], &i[1], &i[2]], [&g[0], &g[1]]))
        });
        let inputs = [random.tensor([50], -1.0, 1.0), random.tensor([50], 0.0, 1.0)];
        assert_gradient(&inputs, &|i| values(relu(&i[0], &i[1])), &|i, g| {
            values(relu_backward([&i[0], &i[1]], [&g[0], &g[1]]))
        });
    }

    #[test]
    fn the_ends_of_a_box_at_zero_have_no_slope() {
        let one = Tensor::filled([1], 1.0);
        // u = 0: dead. l = 0: only the upper end moves.
        let [c, r] = relu_backward([&one.map(|x| -x), &one], [&one, &Tensor::filled([1], 0.5)]);
        assert_eq!((c.value.data[0], r.value.data[0]), (0.0, 0.0));
        let [c, r] = relu_backward([&one, &one], [&one, &Tensor::filled([1], 0.5)]);
        assert_eq!((c.value.data[0], r.value.data[0]), (0.75, 0.75));
    }
}
