//! Fused kernels give the bits of the unfused ones, and the plan really fuses.

use smallbox::graph::{Plan, Value};
use smallbox::ops;

use crate::common::cases::{CONVS, Linear, linears};
use crate::common::device;
use crate::common::random::{Data, Random};
use crate::common::run::{Case, Outcome, run, run_planned};

/// Runs `build` twice: as it is, and with the values it returns made readable, which keeps them out of fusion.
fn both(
    session: &mut dyn smallbox::device::Session,
    build: impl Fn(&mut Case) -> smallbox::error::Result<Vec<Value>>,
) -> [Outcome; 2] {
    [false, true].map(|apart| {
        run(session, |c| {
            let between = build(c)?;
            for (i, value) in between.into_iter().enumerate().filter(|_| apart) {
                c.output(&format!("between{i}"), value);
            }
            Ok(())
        })
    })
}

fn assert_fused(outcomes: &[Outcome; 2], step: &str, attribute: &str, outputs: &[&str]) {
    let [fused, apart] = outcomes;
    let with = |o: &Outcome| o.attributes(step).iter().filter(|a| a.contains(attribute)).count();
    assert_eq!((with(fused), with(apart)), (1, 0), "{step} with {attribute}: {:?}", fused.attributes(step));
    assert_eq!(fused.steps().len() + 1, apart.steps().len(), "{:?} and {:?}", fused.steps(), apart.steps());
    for name in outputs {
        assert_eq!(fused.words(name), apart.words(name), "{name}: the fused kernel and the two it replaces");
    }
}

#[test]
fn convolution_and_relu() {
    device::each(|session| {
        for case in &CONVS {
            for bias in [false, true] {
                let random = &mut Random::new(3);
                let [x, w] = [Data::Reals.signed(random, case.x_shape()), Data::Reals.signed(random, case.w_shape())];
                let b = Data::Reals.signed(random, [case.o]);
                let outcomes = both(session, |c| {
                    let [x, w] = [c.input(&x), c.input(&w)];
                    let b = bias.then(|| c.input(&b));
                    let y = ops::conv2d(&mut c.graph, x, w, b, case.spec())?;
                    let relu = ops::relu(&mut c.graph, y)?;
                    c.output("relu", relu);
                    Ok(vec![y])
                });
                assert_fused(&outcomes, "conv2d_forward", "relu: true", &["relu"]);
            }
        }
    });
}

#[test]
fn linear_and_relu() {
    device::each(|session| {
        for Linear { n, f, g } in linears() {
            let random = &mut Random::new(3);
            let [x, w] = [Data::Reals.signed(random, [n, f]), Data::Reals.signed(random, [g, f])];
            let b = Data::Reals.signed(random, [g]);
            let outcomes = both(session, |c| {
                let [x, w, b] = [c.input(&x), c.input(&w), c.input(&b)];
                let y = ops::linear(&mut c.graph, x, w, Some(b))?;
                let relu = ops::relu(&mut c.graph, y)?;
                c.output("relu", relu);
                Ok(vec![y])
            });
            assert_fused(&outcomes, "linear_forward", "relu: true", &["relu"]);
        }
    });
}

#[test]
fn input_gradient_of_a_convolution_and_mask() {
    device::each(|session| {
        for case in &CONVS {
            let random = &mut Random::new(4);
            let [grad, w] = [Data::Reals.signed(random, case.y_shape()), Data::Reals.signed(random, case.w_shape())];
            let m = Data::Integers.signed(random, case.x_shape());
            let outcomes = both(session, |c| {
                let [grad, w, m] = [c.input(&grad), c.input(&w), c.input(&m)];
                let y = ops::conv2d_backward_input(&mut c.graph, grad, w, case.spec(), case.hw)?;
                let masked = ops::mask(&mut c.graph, y, m)?;
                c.output("masked", masked);
                Ok(vec![y])
            });
            assert_fused(&outcomes, "conv2d_backward_input", "masked: true", &["masked"]);
        }
    });
}

#[test]
fn input_gradient_of_a_linear_layer_and_mask() {
    device::each(|session| {
        for Linear { n, f, g } in linears() {
            let random = &mut Random::new(4);
            let [grad, w] = [Data::Reals.signed(random, [n, g]), Data::Reals.signed(random, [g, f])];
            // As it is, and as below a layer whose outputs are images: behind a reshape.
            for shape in [vec![n, f], vec![n, 1, f, 1]] {
                let m = Data::Integers.signed(random, shape.clone());
                let outcomes = both(session, |c| {
                    let [grad, w, m] = [c.input(&grad), c.input(&w), c.input(&m)];
                    let y = ops::linear_backward_input(&mut c.graph, grad, w)?;
                    let seen = c.graph.reshape(y, shape.clone())?;
                    let masked = ops::mask(&mut c.graph, seen, m)?;
                    c.output("masked", masked);
                    Ok(vec![y])
                });
                assert_fused(&outcomes, "linear_backward_input", "masked: true", &["masked"]);
            }
        }
    });
}

/// A mask that is spread over the gradient, or that the gradient is spread over, must not be fused: the kernels read a
/// mask of the gradient's own shape.
#[test]
fn a_mask_of_another_shape_stays_apart() {
    device::each(|session| {
        let random = &mut Random::new(5);
        let [grad, w] = [Data::Integers.signed(random, [2, 3]), Data::Integers.signed(random, [3, 1])];
        for shape in [[1, 1], [2, 5], [2, 1]] {
            let m = Data::Integers.signed(random, shape).map(|m| m + 0.5);
            let outcomes = both(session, |c| {
                let [grad, w, m] = [c.input(&grad), c.input(&w), c.input(&m)];
                let y = ops::linear_backward_input(&mut c.graph, grad, w)?;
                let masked = ops::mask(&mut c.graph, y, m)?;
                c.output("masked", masked);
                Ok(vec![y])
            });
            assert_eq!(outcomes[0].tensor("masked"), outcomes[1].tensor("masked"), "a mask of shape {shape:?}");
        }
    });
}

/// A value that someone else reads too keeps its own buffer.
#[test]
fn a_value_with_two_readers_is_not_fused_away() {
    device::each(|session| {
        let random = &mut Random::new(6);
        let [x, w] = [Data::Integers.signed(random, [2, 3]), Data::Integers.signed(random, [4, 3])];
        let outcome = run(session, |c| {
            let [x, w] = [c.input(&x), c.input(&w)];
            let y = ops::linear(&mut c.graph, x, w, None)?;
            let relu = ops::relu(&mut c.graph, y)?;
            let sum = ops::add(&mut c.graph, relu, y)?;
            c.output("sum", sum);
            Ok(())
        });
        assert_eq!(outcome.steps(), ["linear_forward", "elementwise"]);
        assert!(outcome.attributes("linear_forward")[0].contains("relu: false"));
        let y = crate::common::oracle::linear::forward(&x, &w, None).value;
        assert_eq!(outcome.tensor("sum"), y.map(|y| y.max(0.0) + y));
    });
}

/// A layer over a box between two ReLUs of boxes, forward and backward: as the plan fuses it, and node by node.
fn between_relus(
    session: &mut dyn smallbox::device::Session,
    kinds: [&str; 2],
    layer: impl Fn(&mut Case, (Value, Value)) -> smallbox::error::Result<(Value, Value)>,
    [input, output]: [&[usize]; 2],
) {
    let random = &mut Random::new(6);
    let mut pair = |shape: &[usize]| [(); 2].map(|()| Data::Reals.signed(random, shape));
    let ([center, radius], upstream) = (pair(input), pair(output));
    let radius = radius.map(f64::abs);
    let [fused, apart] = [Plan::new, Plan::unfused].map(|plan| {
        run_planned(session, 1, plan, |c| {
            let before = (c.input(&center), c.input(&radius));
            let x = ops::relu_interval(&mut c.graph, before)?;
            let y = layer(c, x)?;
            let (center, radius) = ops::relu_interval(&mut c.graph, y)?;
            c.output("center", center);
            c.output("radius", radius);
            c.gradients(&[center, radius], &upstream, &[before.0, before.1])
        })
    });
    for kind in kinds {
        let with = |o: &Outcome| o.attributes(kind).iter().filter(|a| a.contains("relu: true")).count();
        assert_eq!((with(&fused), with(&apart)), (1, 0), "{kind}: {:?}", fused.attributes(kind));
    }
    for ((name, fused), (_, apart)) in fused.everything().into_iter().zip(apart.everything()) {
        assert_eq!(fused, apart, "{name} of {kinds:?}: the fused kernel and those it replaces");
    }
}

#[test]
fn layers_of_boxes_and_relu() {
    device::each(|session| {
        for case in &CONVS {
            let random = &mut Random::new(7);
            let [w, b] = [Data::Reals.signed(random, case.w_shape()), Data::Reals.signed(random, [case.o])];
            let layer = |c: &mut Case, x| {
                let (w, b) = (c.input(&w), c.input(&b));
                ops::conv2d_interval(&mut c.graph, x, w, Some(b), case.spec())
            };
            let kinds = ["conv2d_interval_forward", "conv2d_interval_backward_input"];
            between_relus(session, kinds, layer, [&case.x_shape(), &case.y_shape()]);
        }
        for Linear { n, f, g } in linears() {
            let random = &mut Random::new(7);
            let w = Data::Reals.signed(random, [g, f]);
            // Below a layer whose outputs are images, the box behind the ReLU has another shape.
            for shape in [vec![n, f], vec![n, 1, f, 1]] {
                let layer = |c: &mut Case, x: (Value, Value)| {
                    let w = c.input(&w);
                    let flat = (c.graph.reshape(x.0, [n, f])?, c.graph.reshape(x.1, [n, f])?);
                    ops::linear_interval(&mut c.graph, flat, w, None)
                };
                let kinds = ["linear_interval_forward", "linear_interval_backward_input"];
                between_relus(session, kinds, layer, [&shape, &[n, g]]);
            }
        }
    });
}

/// A box that is read before its ReLU, too, or that one of its halves is, keeps its own kernel.
#[test]
fn a_box_that_others_read_stays_apart() {
    device::each(|session| {
        let random = &mut Random::new(8);
        let [x, r, w] = [[2, 3], [2, 3], [4, 3]].map(|shape| Data::Integers.signed(random, shape));
        for read in [0, 1] {
            let outcome = run(session, |c| {
                let [x, r, w] = [c.input(&x), c.input(&r), c.input(&w)];
                let before = ops::linear_interval(&mut c.graph, (x, r), w, None)?;
                let after = ops::relu_interval(&mut c.graph, before)?;
                c.output("before", [before.0, before.1][read]);
                c.output("center", after.0);
                c.output("radius", after.1);
                Ok(())
            });
            assert_eq!(outcome.steps(), ["linear_interval_forward", "relu_interval_forward"]);
        }
    });
}
