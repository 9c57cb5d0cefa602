//! Functions of one, two and three elements.

use smallbox::ops::{self, BinaryKind, UnaryKind};

use crate::common::cases::LENGTHS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::elementwise;
use crate::common::random::{Data, Random};
use crate::common::run::run;

/// Kinds with a slope somewhere, and whether they are defined for numbers of either sign.
const UNARY: [(UnaryKind, bool); 8] = [
    (UnaryKind::Abs, true),
    (UnaryKind::Affine { scale: -1.5, shift: 0.25 }, true),
    (UnaryKind::Clamp { lower: -0.5, upper: 0.75 }, true),
    (UnaryKind::Square, true),
    (UnaryKind::Exp, true),
    (UnaryKind::Sqrt, false),
    (UnaryKind::Reciprocal, false),
    (UnaryKind::Log, false),
];

#[test]
fn unary() {
    device::each(|session| {
        for n in LENGTHS {
            let random = &mut Random::new(n as u64);
            let [mut signed, positive] = [random.tensor([n], -4.0, 4.0), random.tensor([n], 0.1, 9.0)];
            // Kinks and signed zeros.
            for (x, special) in signed.data.iter_mut().zip([0.0, -0.5, 0.75, -0.0]) {
                *x = special;
            }
            let grad = random.tensor([n], -1.0, 1.0);
            for (kind, either_sign) in UNARY {
                let x = if either_sign { &signed } else { &positive };
                let got = run(session, |c| {
                    let x = c.input(x);
                    let y = ops::unary(&mut c.graph, kind, x)?;
                    c.output("y", y);
                    c.gradients(&[y], std::slice::from_ref(&grad), &[x])
                });
                let context = |what: &str| format!("{what} of {kind:?} over {n}");
                let (y, to_x) = (elementwise::unary(kind, x), elementwise::unary_backward(kind, x, &grad));
                assert_close(&context("y"), &got.tensor("y"), &y, Closeness::Rounded);
                assert_close(&context("gradient"), &got.tensor("grad0"), &to_x, Closeness::Rounded);
            }
            let got = run(session, |c| {
                let x = c.input(&signed);
                for (name, kind) in [("sign", UnaryKind::Sign), ("positive", UnaryKind::Positive)] {
                    let y = ops::unary(&mut c.graph, kind, x)?;
                    c.output(name, y);
                }
                let y = ops::relu(&mut c.graph, x)?;
                c.output("relu", y);
                c.gradients(&[y], std::slice::from_ref(&grad), &[x])
            });
            let check = |name: &str, want| assert_close(name, &got.tensor(name), &want, Closeness::Exact);
            check("sign", elementwise::unary(UnaryKind::Sign, &signed));
            check("positive", elementwise::unary(UnaryKind::Positive, &signed));
            check("relu", elementwise::relu(&signed));
            check("grad0", elementwise::relu_backward(&signed, &grad));
        }
    });
}

/// Shapes of a and b: equal, and either spread over the other along every run of axes.
fn spreads() -> Vec<[Vec<usize>; 2]> {
    let full = vec![2, 3, 5, 7];
    let mut shapes: Vec<[Vec<usize>; 2]> = LENGTHS.iter().map(|&n| [vec![n], vec![n]]).collect();
    let partial =
        [[2, 1, 1, 1], [1, 3, 1, 1], [1, 1, 5, 1], [1, 1, 1, 7], [2, 3, 1, 1], [1, 3, 5, 1], [1, 3, 5, 7], [1, 1, 1, 1]];
    for operand in partial {
        shapes.push([full.clone(), operand.to_vec()]);
        shapes.push([operand.to_vec(), full.clone()]);
    }
    shapes.extend([[vec![1], full.clone()], [full, vec![1]], [vec![129, 257], vec![1, 257]], [vec![257, 129], vec![257, 1]]]);
    shapes
}

#[test]
fn binary() {
    use BinaryKind::*;
    device::each(|session| {
        for [a_shape, b_shape] in spreads() {
            let random = &mut Random::new((a_shape.len() * 31 + b_shape.iter().sum::<usize>()) as u64);
            for kind in [Add, Sub, Mul, Div, Min, Max, Greater, Mask] {
                for data in Data::BOTH {
                    let a = data.signed(random, a_shape.clone());
                    let b = data.signed(random, b_shape.clone());
                    // Divisors: powers of two where the quotient must be exact.
                    let b = match (kind, data) {
                        (Div, Data::Integers) => b.map(|b| if b < 0.0 { -2.0 } else { 4.0 }),
                        (Div, Data::Reals) => b.map(|b| if b < 0.0 { b - 0.25 } else { b + 0.25 }),
                        _ => b,
                    };
                    let want = elementwise::binary(kind, &a, &b);
                    let grad = data.signed(random, want.value.shape.clone());
                    let slopes: &[usize] = match kind {
                        Greater => &[],
                        Mask => &[0],
                        _ => &[0, 1],
                    };
                    let got = run(session, |c| {
                        let operands = [c.input(&a), c.input(&b)];
                        let y = ops::binary(&mut c.graph, kind, operands[0], operands[1])?;
                        c.output("y", y);
                        match slopes.len() {
                            0 => Ok(()),
                            _ => c.gradients(&[y], std::slice::from_ref(&grad), &operands[..slopes.len()]),
                        }
                    });
                    let context = |what: &str| format!("{what} of {kind:?} over {a_shape:?} and {b_shape:?}");
                    assert_close(&context("y"), &got.tensor("y"), &want, data);
                    let grads = elementwise::binary_backward(kind, &a, &b, &grad);
                    for &i in slopes {
                        let name = format!("grad{i}");
                        assert_close(&context(&name), &got.tensor(&name), &grads[i], data);
                    }
                }
            }
        }
    });
}

#[test]
fn select() {
    let mut shapes: Vec<[Vec<usize>; 2]> = LENGTHS.iter().map(|&n| [vec![n], vec![n]]).collect();
    shapes.extend([[2, 1, 1, 1], [1, 3, 1, 1], [1, 1, 5, 7], [1, 1, 1, 1]].map(|c| [c.to_vec(), vec![2, 3, 5, 7]]));
    device::each(|session| {
        for [cond_shape, shape] in &shapes {
            let random = &mut Random::new(shape.len() as u64);
            let cond = Data::Integers.signed(random, cond_shape.clone());
            let [a, b, grad] = [(); 3].map(|()| random.tensor(shape.clone(), -1.0, 1.0));
            let got = run(session, |c| {
                let [cond, a, b] = [c.input(&cond), c.input(&a), c.input(&b)];
                let y = ops::select(&mut c.graph, cond, a, b)?;
                c.output("y", y);
                c.gradients(&[y], std::slice::from_ref(&grad), &[a, b])
            });
            let check = |name: &str, want: &_| {
                assert_close(&format!("{name} over {cond_shape:?}, {shape:?}"), &got.tensor(name), want, Closeness::Exact);
            };
            check("y", &elementwise::select(&cond, &a, &b));
            let [to_a, to_b] = elementwise::select_backward(&cond, &grad);
            check("grad0", &to_a);
            check("grad1", &to_b);
        }
    });
}
