//! Functions of one, two or three elements, with operands spread over larger ones, and the attack step.

use smallbox::ops::{BinaryKind, UnaryKind};

use super::linear::sign;
use super::{Reference, Sums};
use crate::common::tensor::Tensor;

/// Roundings of one element are counted from WGSL's accuracy table, which the native device stays well below.
pub fn unary(kind: UnaryKind, x: &Tensor) -> Reference {
    let f = |f: fn(f64) -> f64| x.map(f);
    match kind {
        UnaryKind::Abs => Reference::exact(f(f64::abs)),
        UnaryKind::Sign => Reference::exact(f(sign)),
        UnaryKind::Positive => Reference::exact(f(|x| f64::from(x > 0.0))),
        UnaryKind::Affine { scale, shift } => {
            let (scale, shift) = (f64::from(scale), f64::from(shift));
            let term = |i: usize| scale * x.data[i];
            Reference::elements(&x.shape, 2, |i| (term(i) + shift, term(i).abs() + shift.abs()))
        }
        UnaryKind::Clamp { lower, upper } => {
            Reference::exact(x.map(|x| x.max(f64::from(lower)).min(f64::from(upper))))
        }
        UnaryKind::Square => Reference::relative(f(|x| x * x), 1),
        UnaryKind::Sqrt => Reference::relative(f(f64::sqrt), 5),
        UnaryKind::Reciprocal => Reference::relative(f(|x| 1.0 / x), 3),
        // 3 + 2·|x| units in the last place.
        UnaryKind::Exp => Reference::elements(&x.shape, 3, |i| {
            let y = x.data[i].exp();
            (y, y * (1.0 + x.data[i].abs()))
        }),
        // 2⁻²¹ absolute on [1/2, 2], 3 units in the last place elsewhere.
        UnaryKind::Log => Reference::elements(&x.shape, 4, |i| (x.data[i].ln(), x.data[i].ln().abs().max(1.0))),
    }
}

/// d⟨y, grad⟩/dx.
pub fn unary_backward(kind: UnaryKind, x: &Tensor, grad: &Tensor) -> Reference {
    let slope = |x: f64| match kind {
        UnaryKind::Abs => sign(x),
        UnaryKind::Sign | UnaryKind::Positive => 0.0,
        UnaryKind::Affine { scale, .. } => f64::from(scale),
        UnaryKind::Clamp { lower, upper } => f64::from(f64::from(lower) <= x && x <= f64::from(upper)),
        UnaryKind::Square => 2.0 * x,
        UnaryKind::Sqrt => 0.5 / x.sqrt(),
        UnaryKind::Reciprocal => -1.0 / (x * x),
        UnaryKind::Exp => x.exp(),
        UnaryKind::Log => 1.0 / x,
    };
    // A slope is a rounded function of a rounded function, times the upstream gradient.
    Reference::elements(&x.shape, 10, |i| {
        let y = slope(x.data[i]) * grad.data[i];
        (y, y.abs() * (1.0 + x.data[i].abs()))
    })
}

/// Flat index into `operand` of the element that meets element `i` of an output of shape `output`, extents 1 being repeated.
fn spread(operand: &[usize], output: &[usize], mut i: usize) -> usize {
    if operand.iter().product::<usize>() == 1 {
        return 0;
    }
    let (mut flat, mut step) = (0, 1);
    for (&extent, &full) in operand.iter().zip(output).rev() {
        flat += i % full * usize::from(extent != 1) * step;
        step *= extent;
        i /= full;
    }
    flat
}

pub fn binary(kind: BinaryKind, a: &Tensor, b: &Tensor) -> Reference {
    let shape = if b.len() > a.len() { &b.shape } else { &a.shape };
    // 2.5 units in the last place for a division, one rounding for the rest.
    let terms = if kind == BinaryKind::Div { 3 } else { 2 };
    Reference::elements(shape, terms, |i| {
        let (a, b) = (a.data[spread(&a.shape, shape, i)], b.data[spread(&b.shape, shape, i)]);
        match kind {
            BinaryKind::Add => (a + b, a.abs() + b.abs()),
            BinaryKind::Sub => (a - b, a.abs() + b.abs()),
            BinaryKind::Mul => (a * b, (a * b).abs()),
            BinaryKind::Div => (a / b, (a / b).abs()),
            BinaryKind::Min => (a.min(b), 0.0),
            BinaryKind::Max => (a.max(b), 0.0),
            BinaryKind::Greater => (f64::from(a > b), 0.0),
            BinaryKind::Mask => (if b > 0.0 { a } else { 0.0 }, 0.0),
        }
    })
}

/// Gradients with respect to a and b, summed over the elements that an operand is spread over.
pub fn binary_backward(kind: BinaryKind, a: &Tensor, b: &Tensor, grad: &Tensor) -> [Reference; 2] {
    let (mut to_a, mut to_b) = (Sums::new(&a.shape), Sums::new(&b.shape));
    for (i, &g) in grad.data.iter().enumerate() {
        let (ia, ib) = (spread(&a.shape, &grad.shape, i), spread(&b.shape, &grad.shape, i));
        let (a, b) = (a.data[ia], b.data[ib]);
        let (da, db) = match kind {
            BinaryKind::Add => (1.0, 1.0),
            BinaryKind::Sub => (1.0, -1.0),
            BinaryKind::Mul => (b, a),
            BinaryKind::Div => (1.0 / b, -a / (b * b)),
            // At ties the first operand gets the gradient.
            BinaryKind::Min => (f64::from(a <= b), f64::from(a > b)),
            BinaryKind::Max => (f64::from(a >= b), f64::from(a < b)),
            BinaryKind::Greater => (0.0, 0.0),
            BinaryKind::Mask => (f64::from(b > 0.0), 0.0),
        };
        to_a.add(ia, g * da);
        to_b.add(ib, g * db);
    }
    // Up to three divisions and two products come before the sum.
    [to_a, to_b].map(|sums| {
        let mut reference = sums.finish();
        reference.terms += 12;
        reference
    })
}

/// a where cond > 0, else b; cond may be spread.
pub fn select(cond: &Tensor, a: &Tensor, b: &Tensor) -> Reference {
    Reference::exact(Reference::elements(&a.shape, 1, |i| {
        let chosen = if cond.data[spread(&cond.shape, &a.shape, i)] > 0.0 { a } else { b };
        (chosen.data[i], 0.0)
    }).value)
}

/// Gradients with respect to a and b.
pub fn select_backward(cond: &Tensor, grad: &Tensor) -> [Reference; 2] {
    let zero = Tensor::filled(grad.shape.clone(), 0.0);
    [select(cond, grad, &zero), select(cond, &zero, grad)]
}

pub fn relu(x: &Tensor) -> Reference {
    Reference::exact(x.map(|x| x.max(0.0)))
}

pub fn relu_backward(x: &Tensor, grad: &Tensor) -> Reference {
    Reference::exact(x.zip(grad, |x, g| if x > 0.0 { g } else { 0.0 }))
}

/// min(max(z + step · reach · sign(grad), lower), upper), or z if `done`.
pub fn pgd_step(z: &Tensor, grad: &Tensor, [lower, upper]: [&Tensor; 2], step: f64, reach: f64, done: bool) -> Reference {
    Reference::elements(&z.shape, 2, |i| {
        let moved = z.data[i] + step * reach * sign(grad.data[i]);
        let inside = moved.max(lower.data[i]).min(upper.data[i]);
        if done { (z.data[i], 0.0) } else { (inside, z.data[i].abs() + (step * reach).abs()) }
    })
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::random::Random;

    #[test]
    fn an_operand_is_spread_along_its_axes() {
        let channels = Tensor::new([1, 2, 1], vec![10.0, 20.0]);
        let x = Tensor::new([2, 2, 2], (0..8).map(f64::from).collect());
        let y = binary(BinaryKind::Add, &x, &channels);
        assert_eq!(y.value.data, [10.0, 11.0, 22.0, 23.0, 14.0, 15.0, 26.0, 27.0]);
        assert_eq!(binary(BinaryKind::Sub, &Tensor::new([1], vec![1.0]), &channels).value.data, [-9.0, -19.0]);
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(4);
        let kinds = [
            UnaryKind::Abs,
            UnaryKind::Affine { scale: -1.5, shift: 0.25 },
            UnaryKind::Clamp { lower: 0.75, upper: 1.25 },
            UnaryKind::Square,
            UnaryKind::Sqrt,
            UnaryKind::Reciprocal,
            UnaryKind::Exp,
            UnaryKind::Log,
        ];
        for kind in kinds {
            let x = [random.tensor([20], 0.5, 2.0)];
            assert_gradient(&x, &|x| vec![unary(kind, &x[0]).value], &|x, g| {
                vec![unary_backward(kind, &x[0], &g[0]).value]
            });
        }
        let kinds = [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Mul, BinaryKind::Div, BinaryKind::Min, BinaryKind::Max];
        for kind in kinds.into_iter().chain([BinaryKind::Mask]) {
            for shapes in [[vec![2, 3, 4], vec![2, 3, 4]], [vec![2, 3, 4], vec![1, 3, 1]], [vec![1], vec![2, 3, 4]]] {
                let inputs = shapes.map(|s| random.tensor(s, 0.5, 2.0));
                assert_gradient(&inputs, &|i| vec![binary(kind, &i[0], &i[1]).value], &|i, g| {
                    binary_backward(kind, &i[0], &i[1], &g[0]).map(|r| r.value).into()
                });
            }
        }
        let x = [random.tensor([20], -1.0, 1.0)];
        assert_gradient(&x, &|x| vec![relu(&x[0]).value], &|x, g| vec![relu_backward(&x[0], &g[0]).value]);
        let cond = random.tensor([5, 1], -1.0, 1.0);
        let inputs = [random.tensor([5, 4], -1.0, 1.0), random.tensor([5, 4], -1.0, 1.0)];
        assert_gradient(&inputs, &|i| vec![select(&cond, &i[0], &i[1]).value], &|_, g| {
            select_backward(&cond, &g[0]).map(|r| r.value).into()
        });
    }

    #[test]
    fn kinks_have_the_slopes_that_the_ops_promise() {
        let one = Tensor::filled([1], 1.0);
        let zero = Tensor::filled([1], 0.0);
        assert_eq!(relu_backward(&zero, &one).value.data, [0.0]);
        assert_eq!(unary_backward(UnaryKind::Abs, &zero, &one).value.data, [0.0]);
        assert_eq!(unary_backward(UnaryKind::Clamp { lower: 0.0, upper: 1.0 }, &zero, &one).value.data, [1.0]);
        assert_eq!(binary_backward(BinaryKind::Max, &one, &one, &one).map(|g| g.value.data[0]), [1.0, 0.0]);
        assert_eq!(binary_backward(BinaryKind::Min, &one, &one, &one).map(|g| g.value.data[0]), [1.0, 0.0]);
    }
}
