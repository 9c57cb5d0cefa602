//! Reductions, repetition, permutations, joins, rows.

use smallbox::ops::{self, ReduceKind};

use crate::common::cases::{EXTENTS, LENGTHS, REDUCTIONS};
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::layout;
use crate::common::random::{Data, Random};
use crate::common::run::run;
use crate::common::tensor::Tensor;

#[test]
fn reduce_and_expand() {
    device::each(|session| {
        for view in REDUCTIONS {
            for data in Data::BOTH {
                let random = &mut Random::new(view[1] as u64);
                let x = data.signed(random, view);
                let grad = data.signed(random, [view[1]]);
                let got = run(session, |c| {
                    let x = c.input(&x);
                    for (name, kind) in [("min", ReduceKind::Min), ("max", ReduceKind::Max)] {
                        let y = ops::reduce(&mut c.graph, kind, x)?;
                        c.output(name, y);
                    }
                    let sum = ops::reduce(&mut c.graph, ReduceKind::Sum, x)?;
                    c.output("sum", sum);
                    c.gradients(&[sum], std::slice::from_ref(&grad), &[x])
                });
                let context = |name: &str| format!("{name} over {view:?}");
                for (name, kind) in [("min", ReduceKind::Min), ("max", ReduceKind::Max), ("sum", ReduceKind::Sum)] {
                    assert_close(&context(name), &got.tensor(name), &layout::reduce(kind, &x), data);
                }
                let want = layout::expand(&grad, view[0], view[2]);
                assert_close(&context("gradient"), &got.tensor("grad0"), &want, Closeness::Exact);
            }
        }
    });
}

#[test]
fn reductions_of_named_axes() {
    let x = Random::new(1).tensor([5, 3, 7, 2], -1.0, 1.0);
    device::each(|session| {
        let got = run(session, |c| {
            let x = c.input(&x);
            let values = [
                ("channels", ops::reduce_channels(&mut c.graph, ReduceKind::Sum, x)?),
                ("samples", ops::reduce_samples(&mut c.graph, ReduceKind::Sum, x)?),
                ("all", ops::sum_all(&mut c.graph, x)?),
                ("mean", ops::mean_all(&mut c.graph, x)?),
            ];
            values.into_iter().for_each(|(name, value)| c.output(name, value));
            Ok(())
        });
        let view = |shape: [usize; 3]| layout::reduce(ReduceKind::Sum, &x.clone().reshaped(shape));
        let check = |name: &str, want: &_| assert_close(name, &got.tensor(name), want, Closeness::Rounded);
        check("channels", &view([5, 3, 14]));
        check("samples", &view([1, 5, 42]));
        check("all", &view([1, 1, 210]));
        let mut mean = view([1, 1, 210]).times(&Tensor::filled([1], 1.0 / 210.0));
        mean.terms += 2;
        check("mean", &mean);
    });
}

/// The gradient of a repetition is a sum.
#[test]
fn expand_gradient() {
    device::each(|session| {
        for view @ [outer, keep, inner] in REDUCTIONS {
            let random = &mut Random::new(outer as u64);
            let [x, grad] = [Data::Integers.signed(random, [keep]), Data::Integers.signed(random, view)];
            let got = run(session, |c| {
                let x = c.input(&x);
                let y = ops::expand(&mut c.graph, x, outer, inner)?;
                c.output("y", y);
                c.gradients(&[y], std::slice::from_ref(&grad), &[x])
            });
            let check = |name: &str, want: &_| assert_close(name, &got.tensor(name), want, Closeness::Exact);
            check("y", &layout::expand(&x, outer, inner));
            check("grad0", &layout::reduce(ReduceKind::Sum, &grad));
        }
    });
}

#[test]
fn transpose() {
    let cases: [(&[usize], &[usize]); 9] = [
        (&[1], &[0]),
        (&[7, 13], &[1, 0]),
        (&[257, 129], &[1, 0]),
        (&[2, 3, 5], &[2, 0, 1]),
        (&[2, 3, 5], &[0, 2, 1]),
        (&[2, 3, 5, 7], &[0, 2, 3, 1]),
        (&[2, 3, 5, 7], &[3, 2, 1, 0]),
        (&[17, 33, 4, 5], &[1, 0, 2, 3]),
        (&[3, 4], &[0, 1]),
    ];
    device::each(|session| {
        for (shape, axes) in cases {
            let random = &mut Random::new(shape.len() as u64);
            let x = random.tensor(shape, -1.0, 1.0);
            let want = layout::transpose(&x, axes);
            let grad = random.tensor(want.value.shape.clone(), -1.0, 1.0);
            let got = run(session, |c| {
                let x = c.input(&x);
                let y = ops::transpose(&mut c.graph, x, axes)?;
                c.output("y", y);
                c.gradients(&[y], std::slice::from_ref(&grad), &[x])
            });
            assert_close(&format!("{shape:?} as {axes:?}"), &got.tensor("y"), &want, Closeness::Exact);
            let inverse: Vec<usize> =
                (0..axes.len()).map(|a| axes.iter().position(|&b| b == a).expect("a permutation")).collect();
            let want = layout::transpose(&grad, &inverse);
            assert_close(&format!("gradient of {shape:?} as {axes:?}"), &got.tensor("grad0"), &want, Closeness::Exact);
        }
    });
}

#[test]
fn concat() {
    device::each(|session| {
        for count in 1..=ops::CONCAT_LIMIT {
            for offset in [0, 5, 18] {
                let random = &mut Random::new(count as u64);
                let lengths = LENGTHS[offset..].iter().cycle();
                let parts: Vec<Tensor> = lengths.take(count).map(|&n| random.tensor([n], -1.0, 1.0)).collect();
                let got = run(session, |c| {
                    let parts: Vec<_> = parts.iter().map(|p| c.input(p)).collect();
                    let y = ops::concat(&mut c.graph, &parts)?;
                    c.output("y", y);
                    Ok(())
                });
                assert_close(&format!("{count} parts"), &got.tensor("y"), &layout::concat(&parts), Closeness::Exact);
            }
        }
    });
}

#[test]
fn argmax_and_compare_labels() {
    device::each(|session| {
        for e in EXTENTS {
            for [n, k] in [[e, 5], [3, e]] {
                let random = &mut Random::new(e as u64);
                // Integers: many ties.
                let x = Data::Integers.signed(random, [n, k]);
                let labels = random.labels(n, k);
                let got = run(session, |c| {
                    let [x, labels] = [c.input(&x), c.labels(&labels)];
                    let winner = ops::argmax(&mut c.graph, x)?;
                    let correct = ops::compare_labels(&mut c.graph, winner, labels)?;
                    c.output("winner", winner);
                    c.output("correct", correct);
                    Ok(())
                });
                let want = layout::argmax(&x);
                assert_eq!(got.words("winner"), want, "{n} rows of {k}");
                let equal: Vec<f64> = want.iter().zip(&labels).map(|(a, b)| f64::from(a == b)).collect();
                assert_eq!(got.tensor("correct").data, equal, "{n} labels");
            }
        }
    });
}
