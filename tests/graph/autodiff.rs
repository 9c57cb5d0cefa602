//! Gradients of whole graphs.

use smallbox::error::{Error, Result};
use smallbox::graph::{Graph, Value};
use smallbox::ops;
use smallbox::shape::TensorType;

use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::{Reference, conv2d, elementwise, gradient_error, linear, loss};
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

fn ones(shape: &[usize]) -> Tensor {
    Tensor::filled(shape, 1.0)
}

/// y = x·x + x: x is used three times.
#[test]
fn a_value_used_more_than_once_gathers_all_its_gradients() {
    let x = Tensor::new([3], vec![-2.0, 0.0, 3.0]);
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let square = ops::mul(&mut c.graph, x, x)?;
            let y = ops::add(&mut c.graph, square, x)?;
            c.gradients(&[y], &[ones(&[3])], &[x])
        });
        assert_eq!(got.tensor("grad0").data, [-3.0, 1.0, 7.0]);
    });
}

/// s = a + b is read by two ops whose results meet again: (s·a)·s = a(a + b)².
#[test]
fn shared_subexpressions_are_differentiated_once_and_fully() {
    device::each(|session| {
        let [a, b] = [Tensor::new([2], vec![1.0, -2.0]), Tensor::new([2], vec![3.0, 5.0])];
        let got = run(session, |c| {
            let [a, b] = [c.input(&a), c.input(&b)];
            let s = ops::add(&mut c.graph, a, b)?;
            let left = ops::mul(&mut c.graph, s, a)?;
            let y = ops::mul(&mut c.graph, left, s)?;
            c.gradients(&[y], &[ones(&[2])], &[a, b, s])
        });
        // d/ds with a held: 2as; d/da = s² + 2as; d/db = 2as.
        assert_eq!(got.tensor("grad0").data, [16.0 + 8.0, 9.0 - 12.0]);
        assert_eq!(got.tensor("grad1").data, [8.0, -12.0]);
        assert_eq!(got.tensor("grad2").data, [8.0, -12.0]);
    });
}

#[test]
fn what_the_loss_does_not_depend_on_has_no_gradient() -> Result<()> {
    let mut g = Graph::new();
    let [x, unused, cut, flat] = ["x", "unused", "cut", "flat"].map(|n| g.input(n, TensorType::f32([4])).unwrap());
    let detached = g.detach(cut);
    let steps = ops::sign(&mut g, flat)?;
    let product = ops::mul(&mut g, x, detached)?;
    let y = ops::mul(&mut g, product, steps)?;
    let loss = ops::sum_all(&mut g, y)?;
    let grads = ops::gradients(&mut g, loss, &[x, unused, cut, flat, loss])?;
    assert!(grads[0].is_some() && grads[4].is_some());
    assert_eq!(grads[1..4], [None; 3]);
    Ok(())
}

/// Beside a detached use, the other uses still count: y = x · detach(x).
#[test]
fn detach_cuts_one_use_only() {
    let x = Tensor::new([2], vec![3.0, -4.0]);
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let cut = c.graph.detach(x);
            let y = ops::mul(&mut c.graph, x, cut)?;
            c.output("y", y);
            c.gradients(&[y], &[ones(&[2])], &[x])
        });
        assert_eq!(got.tensor("y").data, [9.0, 16.0]);
        assert_eq!(got.tensor("grad0").data, [3.0, -4.0]);
    });
}

/// The gradient with respect to a detached use is that of this use, and goes no further: y = x² · detach(x), by both.
#[test]
fn a_detached_use_has_a_gradient_of_its_own() {
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&Tensor::new([2], vec![3.0, -4.0]));
            let cut = c.graph.detach(x);
            let square = ops::mul(&mut c.graph, x, x)?;
            let y = ops::mul(&mut c.graph, square, cut)?;
            c.gradients(&[y], &[ones(&[2])], &[x, cut])
        });
        assert_eq!(got.tensor("grad0").data, [18.0, 32.0]);
        assert_eq!(got.tensor("grad1").data, [9.0, 16.0]);
    });
}

#[test]
fn gradients_pass_through_reshapes() {
    let random = &mut Random::new(1);
    let [x, grad] = [Data::Integers.signed(random, [2, 6]), Data::Integers.signed(random, [3, 4])];
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let view = c.graph.reshape(x, [3, 4])?;
            let y = ops::scale(&mut c.graph, view, 2.0)?;
            c.gradients(&[y], std::slice::from_ref(&grad), &[x])
        });
        assert_eq!(got.tensor("grad0"), grad.map(|g| 2.0 * g).reshaped([2, 6]));
    });
}

/// The gradient of a gradient: d²/dx² Σ x³ = 6x.
#[test]
fn gradients_can_be_differentiated_again() {
    let x = Tensor::new([3], vec![-1.0, 0.5, 2.0]);
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let square = ops::mul(&mut c.graph, x, x)?;
            let cube = ops::mul(&mut c.graph, square, x)?;
            let loss = ops::sum_all(&mut c.graph, cube)?;
            let first = ops::gradients(&mut c.graph, loss, &[x])?[0].expect("depends on x");
            c.gradients(&[first], &[ones(&[3])], &[x])
        });
        assert_eq!(got.tensor("grad0").data, [-6.0, 3.0, 12.0]);
    });
}

#[test]
fn an_op_without_a_gradient_is_an_error_and_not_a_zero() -> Result<()> {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32([4]))?;
    let most = ops::reduce_all(&mut g, ops::ReduceKind::Max, x)?;
    assert!(matches!(ops::gradients(&mut g, most, &[x]), Err(Error::NoGradient { op: "reduce", input: 0 })));
    Ok(())
}

#[test]
fn a_seed_of_another_shape_is_refused() -> Result<()> {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32([4]))?;
    let y = ops::scale(&mut g, x, 2.0)?;
    let seed = ops::fill(&mut g, 1.0, [2, 2])?;
    assert!(matches!(ops::gradients_from(&mut g, y, seed, &[x]), Err(Error::Shape { .. })));
    Ok(())
}

/// Convolution, ReLU, linear layer, cross-entropy: the chain as a function of x, w₁, w₂ in f64, composed of the oracles.
struct Chain {
    case: crate::common::cases::Conv,
    labels: Vec<u32>,
}

impl Chain {
    fn layers(&self, i: &[Tensor]) -> [Tensor; 4] {
        let y = conv2d::forward(&self.case, &i[0], &i[1], None).value;
        let n = y.shape[0];
        let h = elementwise::relu(&y).value.clone();
        let features = h.len() / n;
        let flat = h.reshaped([n, features]);
        let z = linear::forward(&flat, &i[2], None).value;
        let losses = loss::cross_entropy(&z, &self.labels).value;
        [y, flat, z, losses]
    }

    fn gradient(&self, i: &[Tensor], upstream: &Tensor) -> Vec<Tensor> {
        let [y, flat, z, _] = self.layers(i);
        let to_z = loss::cross_entropy_backward(&z, &self.labels, upstream).value;
        let to_flat = linear::backward_input(&to_z, &i[2]).value.reshaped(y.shape.clone());
        let to_y = elementwise::relu_backward(&y, &to_flat).value;
        vec![
            conv2d::backward_input(&self.case, &to_y, &i[1]).value,
            conv2d::backward_weight(&self.case, &i[0], &to_y).value,
            linear::backward_weight(&flat, &to_z).value,
        ]
    }
}

/// The device's gradients of the whole program against central differences of the whole program in f64.
#[test]
fn a_chain_of_ops_has_the_slope_of_the_whole() {
    let case = crate::common::cases::CONVS[2];
    let random = &mut Random::new(9);
    let features: usize = case.y_shape()[1..].iter().product();
    let chain = Chain { case, labels: random.labels(case.n, 6) };
    let inputs = [
        random.tensor(case.x_shape(), -1.0, 1.0),
        random.tensor(case.w_shape(), -1.0, 1.0),
        random.tensor([6, features], -0.3, 0.3),
    ];
    // The composed oracle is itself the slope of the composed function.
    let error = gradient_error(&inputs, &|i| vec![chain.layers(i)[3].clone()], &|i, g| chain.gradient(i, &g[0]));
    assert!(error < 1e-7, "{error:e}");
    let upstream = random.tensor([case.n], -1.0, 1.0);
    let wants = chain.gradient(&inputs, &upstream);
    device::each(|session| {
        let got = run(session, |c| {
            let values: Vec<Value> = inputs.iter().map(|t| c.input(t)).collect();
            let labels = c.labels(&chain.labels);
            let y = ops::conv2d(&mut c.graph, values[0], values[1], None, case.spec())?;
            let h = ops::relu(&mut c.graph, y)?;
            let flat = c.graph.reshape(h, [case.n, features])?;
            let z = ops::linear(&mut c.graph, flat, values[2], None)?;
            let losses = ops::cross_entropy(&mut c.graph, z, labels)?;
            c.gradients(&[losses], std::slice::from_ref(&upstream), &values)
        });
        for (i, want) in wants.iter().enumerate() {
            // Relative errors of the layers add up: 27 + 140 + 6 terms forward, about as many back, on numbers of size 1.
            let allowed = 400.0 * f64::from(f32::EPSILON) * want.max_abs().max(1.0);
            let want = Reference::exact(want.clone());
            assert_close(&format!("input {i}"), &got.tensor(&format!("grad{i}")), &want, Closeness::Within(allowed));
        }
    });
}
