//! Linear layers, margins of a last layer.

use smallbox::device::cpu::CpuSession;
use smallbox::device::{Feed, Session};
use smallbox::error::Result;
use smallbox::graph::{Graph, Plan};
use smallbox::ops;
use smallbox::shape::TensorType;

use crate::common::cases::{EXTENTS, Linear, linears};
use crate::common::close::assert_close;
use crate::common::device;
use crate::common::oracle::{conv2d, interval, linear};
use crate::common::random::{Data, Random};
use crate::common::run::run;

#[test]
fn forward_and_gradients() {
    device::each(|session| {
        for (i, case) in linears().into_iter().enumerate() {
            for data in Data::BOTH {
                let Linear { n, f, g } = case;
                let random = &mut Random::new(i as u64);
                let [x, w] = [data.signed(random, [n, f]), data.signed(random, [g, f])];
                let [b, grad] = [data.signed(random, [g]), data.signed(random, [n, g])];
                let got = run(session, |c| {
                    let [x, w, b] = [c.input(&x), c.input(&w), c.input(&b)];
                    let y = ops::linear(&mut c.graph, x, w, Some(b))?;
                    let plain = ops::linear(&mut c.graph, x, w, None)?;
                    c.output("y", y);
                    c.output("plain", plain);
                    c.gradients(&[y], std::slice::from_ref(&grad), &[x, w, b])
                });
                let check =
                    |name: &str, want| assert_close(&format!("{name} of {case:?}"), &got.tensor(name), &want, data);
                check("y", linear::forward(&x, &w, Some(&b)));
                check("plain", linear::forward(&x, &w, None));
                check("grad0", linear::backward_input(&grad, &w));
                check("grad1", linear::backward_weight(&x, &grad));
                check("grad2", conv2d::backward_bias(&grad));
            }
        }
    });
}

#[test]
fn boxes() {
    device::each(|session| {
        for (i, case) in linears().into_iter().enumerate() {
            for data in Data::BOTH {
                let Linear { n, f, g } = case;
                let random = &mut Random::new(i as u64 + 100);
                let [c, r] = [data.signed(random, [n, f]), data.radius(random, [n, f])];
                let [w, b] = [data.signed(random, [g, f]), data.signed(random, [g])];
                let [gc, gr] = [(); 2].map(|()| data.signed(random, [n, g]));
                let got = run(session, |case_| {
                    let [c, r, w, b] = [&c, &r, &w, &b].map(|t| case_.input(t));
                    let (yc, yr) = ops::linear_interval(&mut case_.graph, (c, r), w, Some(b))?;
                    case_.output("center", yc);
                    case_.output("radius", yr);
                    case_.gradients(&[yc, yr], &[gc.clone(), gr.clone()], &[c, r, w, b])
                });
                let check =
                    |name: &str, want| assert_close(&format!("{name} of {case:?}"), &got.tensor(name), want, data);
                let [center, radius] = interval::linear(&c, &r, &w, Some(&b));
                check("center", &center);
                check("radius", &radius);
                let grads = interval::linear_backward([&c, &r, &w], [&gc, &gr]);
                for (name, want) in ["grad0", "grad1", "grad2", "grad3"].iter().zip(&grads) {
                    check(name, want);
                }
            }
        }
    });
}

#[test]
fn margins() {
    let mut cases: Vec<[usize; 3]> = vec![[17, 512, 10], [129, 100, 43]];
    for e in EXTENTS {
        cases.extend([[e, 5, 3], [3, e, 4], [5, 7, e]]);
    }
    device::each(|session| {
        for &[n, f, k] in &cases {
            for data in Data::BOTH {
                let random = &mut Random::new((n * 1000 + f * 10 + k) as u64);
                let labels = random.labels(n, k);
                let [r, w] = [data.radius(random, [n, f]), data.signed(random, [k, f])];
                let [z, grad] = [(); 2].map(|()| data.signed(random, [n, k]));
                let got = run(session, |c| {
                    let [r, w, z, labels] = [c.input(&r), c.input(&w), c.input(&z), c.labels(&labels)];
                    let margins = ops::label_margin(&mut c.graph, z, labels)?;
                    let radius = ops::margin_radius(&mut c.graph, r, w, labels)?;
                    c.output("margins", margins);
                    c.output("radius", radius);
                    c.gradients(&[margins, radius], &[grad.clone(), grad.clone()], &[z, r, w])
                });
                let context = |name: &str| format!("{name} for N, F, K = {n}, {f}, {k}");
                let check = |name: &str, want| assert_close(&context(name), &got.tensor(name), &want, data);
                check("margins", linear::label_margin(&z, &labels));
                check("radius", linear::margin_radius(&r, &w, &labels));
                check("grad0", linear::label_margin_backward(&grad, &labels));
                check("grad1", linear::margin_radius_backward_input(&grad, &w, &labels));
                check("grad2", linear::margin_radius_backward_weight(&grad, &r, &w, &labels));
            }
        }
    });
}

/// Weights are packed before where several gradients read them, and by the gradient itself where it is the only one, to the same bits.
#[test]
fn weights_that_one_gradient_reads_are_not_packed_before() -> Result<()> {
    let random = &mut Random::new(5);
    let (n, f, k) = (9, 301, 70);
    let w = Data::Reals.signed(random, [k, f]).to_f32();
    let grads: Vec<Vec<f32>> = (0..2).map(|_| Data::Reals.signed(random, [n, k]).to_f32()).collect();
    let mut of_first = Vec::new();
    for (count, packed) in [(1, 0), (2, 1)] {
        let mut g = Graph::new();
        let [x, weights] = [("x", [n, f]), ("w", [k, f])].map(|(name, shape)| g.input(name, TensorType::f32(shape)));
        let (x, weights) = (x?, weights?);
        let y = ops::linear(&mut g, x, weights, None)?;
        let mut feeds: Vec<(String, &[f32])> = vec![("x".into(), &w[..n * f]), ("w".into(), &w)];
        for (i, grad) in grads.iter().enumerate().take(count) {
            let seed = g.input(&format!("grad{i}"), TensorType::f32([n, k]))?;
            let dx = ops::gradients_from(&mut g, y, seed, &[x])?[0].expect("y depends on x");
            g.output(&format!("dx{i}"), dx);
            feeds.push((format!("grad{i}"), grad));
        }
        let session = &mut CpuSession::new();
        let program = session.compile(&Plan::new(g)?)?;
        let launches = session.program_info(program).launches;
        let packs = launches.iter().filter(|launch| launch.kernel == "linear_pack_weight").count();
        assert_eq!(packs, packed, "for {count} gradients");
        let feeds: Vec<Feed<'_>> = feeds.iter().map(|(name, of)| (name.as_str(), bytemuck::cast_slice(of))).collect();
        session.run(program, &feeds)?;
        of_first.push(pollster::block_on(session.read(program, "dx0"))?);
    }
    assert_eq!(of_first[0], of_first[1]);
    // The comparison can tell.
    assert!(of_first[0].iter().any(|&word| word != of_first[0][0]));
    Ok(())
}
