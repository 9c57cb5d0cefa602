//! Elementwise ops in one pass give the bits of the ops one by one, and the plan really joins them where it may.

use smallbox::device::cpu::CpuSession;
use smallbox::device::{Session, write_state_f32};
use smallbox::error::Result;
use smallbox::graph::{Plan, Value};
use smallbox::nn::{initial_values, scaled_architecture, state_name};
use smallbox::ops::{self, AdamSpec, BinaryKind, ReduceKind, UnaryKind};
use smallbox::train::step::{Phase, step_graph};
use smallbox::train::{Config, MethodKind};

use crate::common::cases::{LENGTHS, REDUCTIONS};
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::elementwise;
use crate::common::random::{Data, Random};
use crate::common::run::{Case, Outcome, run, run_planned};
use crate::common::tensor::Tensor;

/// What `build` gives with and without fusions, in this order.
fn both(session: &mut dyn Session, build: impl Fn(&mut Case) -> Result<()>) -> [Outcome; 2] {
    [Plan::new, Plan::unfused].map(|plan| run_planned(session, 1, plan, &build))
}

/// Which outputs and states differ in a bit.
fn differences(a: &Outcome, b: &Outcome) -> Vec<String> {
    let pairs = a.everything().into_iter().zip(b.everything());
    pairs.filter(|(a, b)| a != b).map(|((name, _), _)| name.to_string()).collect()
}

/// Both ways agree to the bit, and the fused plan has `steps`.
#[track_caller]
fn assert_joined(session: &mut dyn Session, steps: &[&str], build: impl Fn(&mut Case) -> Result<()>) {
    let [fused, apart] = both(session, build);
    assert_eq!(fused.steps(), steps, "of {:?}", apart.steps());
    assert_eq!(differences(&fused, &apart), Vec::<String>::new(), "{:?}", apart.steps());
}

/// Shapes of a pass, and of operands that are spread over it.
fn shapes() -> Vec<(Vec<usize>, Vec<Vec<usize>>)> {
    let mut shapes: Vec<_> = LENGTHS.iter().map(|&n| (vec![n], vec![vec![1]])).collect();
    let images = |[n, c, h, w]: [usize; 4]| {
        let spread =
            vec![vec![1], vec![1, c, 1, 1], vec![n, 1, 1, 1], vec![1, c, h, w], vec![1, 1, h, w], vec![n, c, 1, 1]];
        (vec![n, c, h, w], spread)
    };
    shapes.extend([[2, 3, 5, 7], [3, 5, 14, 14], [2, 3, 28, 28], [2, 2, 33, 31], [1, 7, 1, 129]].map(images));
    let rows = |[n, f]: [usize; 2]| (vec![n, f], vec![vec![1], vec![1, f], vec![n, 1]]);
    shapes.extend([[5, 10], [257, 3], [3, 512], [2, 1025], [31, 700]].map(rows));
    shapes
}

/// A random choice of ops over values of one shape, among them reductions by channel, by sample or of everything. Of integers it
/// takes what is exact; of reals everything, and an update of Adam.
fn random_graph(c: &mut Case, random: &mut Random, data: Data, shape: &[usize], spread: &[Vec<usize>]) -> Result<()> {
    let mut large: Vec<Value> = (0..3).map(|_| c.input(&data.signed(random, shape))).collect();
    let small: Vec<Value> = spread.iter().map(|s| c.input(&data.signed(random, s.clone()))).collect();
    let exact = data == Data::Integers;
    let (n, elements) = (shape[0], shape.iter().product::<usize>());
    let channels = shape.get(1).copied().unwrap_or(1);
    let view = [[1, 1, elements], [1, n, elements / n], [n, channels, elements / n / channels]][random.below(3)];
    use BinaryKind::{Add, Div, Greater, Mask, Max, Min, Mul, Sub};
    for i in 0..12 {
        let pick = |random: &mut Random| large[random.below(large.len())];
        let [a, b, d] = [pick(random), pick(random), pick(random)];
        let s = small[random.below(small.len())];
        let kind = [Add, Sub, Mul, Min, Max, Greater, Mask, Div][random.below(if exact { 7 } else { 8 })];
        let function = [UnaryKind::Abs, UnaryKind::Square, UnaryKind::Sign, UnaryKind::Exp];
        let function = function[random.below(if exact { 3 } else { 4 })];
        let g = &mut c.graph;
        let made = match random.below(10) {
            0 | 1 => ops::binary(g, kind, a, b)?,
            2 => ops::binary(g, kind, a, s)?,
            3 => ops::binary(g, kind, s, b)?,
            4 => ops::relu(g, a)?,
            5 => ops::affine(g, a, -1.5, 2.0)?,
            6 => ops::unary(g, function, a)?,
            7 => ops::select(g, s, a, b)?,
            8 => {
                let (center, radius) = ops::relu_interval(g, (a, b))?;
                large.push(center);
                radius
            }
            _ => ops::select(g, d, a, b)?,
        };
        // Few bits in front of the point and few behind it: every result is exact.
        let made = if exact { ops::clamp(&mut c.graph, made, -8.0, 8.0)? } else { made };
        if random.below(4) == 0 {
            let seen = c.graph.reshape(made, view)?;
            let kind = [ReduceKind::Sum, ReduceKind::Min, ReduceKind::Max][random.below(3)];
            let reduced = ops::reduce(&mut c.graph, kind, seen)?;
            c.output(&format!("reduced{i}"), reduced);
        }
        large.push(made);
    }
    for (i, &value) in large.iter().enumerate().skip(3).filter(|(i, _)| i % 5 == 4) {
        c.output(&format!("value{i}"), value);
    }
    if exact {
        return Ok(());
    }
    let grad = *large.last().expect("there are values");
    let states = ["p", "m", "v"].map(|name| {
        let content = random.tensor(shape, 0.0, 1.0);
        c.state(name, &content)
    });
    let rates = c.input(&Tensor::new([2], vec![1e-3, 2.0]));
    ops::adam(&mut c.graph, AdamSpec { weight_decay: 0.01, ..AdamSpec::default() }, states, grad, rates)
}

#[test]
fn random_graphs_keep_their_bits() {
    device::each(|session| {
        // A GPU may round a product and a sum together in one kernel and not in another.
        let cpu = session.device().id == "cpu";
        let (seeds, data) = if cpu { (0..8, Data::Reals) } else { (0..1, Data::Integers) };
        let mut joined = 0;
        for (shape, spread) in shapes() {
            for seed in seeds.clone() {
                let [fused, apart] = both(session, |c| {
                    random_graph(c, &mut Random::new(31 * seed + shape[0] as u64), data, &shape, &spread)
                });
                let different = differences(&fused, &apart);
                assert!(different.is_empty(), "{different:?} over {shape:?}, seed {seed}: {:?}", fused.plan.steps);
                joined += usize::from(fused.steps().contains(&"elementwise"));
            }
        }
        assert!(joined > 20, "{joined} graphs had a pass");
    });
}

/// Selections by sample of other selections, as an attack keeps its best iterate: read in the end, and half-way too.
#[test]
fn chains_of_selections_keep_their_bits() {
    device::each(|session| {
        for (shape, seen) in [([5, 1, 28, 28], 9), ([3, 2, 20, 30], 1), ([4, 3, 1, 7], 0), ([2, 1, 40, 40], 2)] {
            let random = &mut Random::new(12);
            let points: Vec<Tensor> = (0..5).map(|_| Data::Integers.signed(random, shape)).collect();
            let conditions: Vec<Tensor> = (0..4).map(|_| Data::Integers.signed(random, [shape[0], 1, 1, 1])).collect();
            assert!(conditions.iter().any(|c| c.data.contains(&0.0)) || shape[0] < 4, "the edge of a condition");
            let [fused, apart] = both(session, |c| {
                let points: Vec<Value> = points.iter().map(|p| c.input(p)).collect();
                let mut best = points[0];
                for (i, (&next, condition)) in points[1..].iter().zip(&conditions).enumerate() {
                    let condition = c.input(condition);
                    best = ops::select(&mut c.graph, condition, next, best)?;
                    if i == seen {
                        c.output("half-way", best);
                    }
                }
                let moved = ops::affine(&mut c.graph, best, 2.0, -1.0)?;
                let sum = ops::reduce_samples(&mut c.graph, ReduceKind::Sum, best)?;
                c.output("best", best);
                c.output("moved", moved);
                c.output("sum", sum);
                Ok(())
            });
            assert!(fused.steps().contains(&"elementwise"), "{:?}", fused.steps());
            assert_eq!(differences(&fused, &apart), Vec::<String>::new(), "{shape:?}");
        }
    });
}

/// The comparison itself: another order of a sum, one element and one bit are noticed.
#[test]
fn another_order_of_operations_is_noticed() {
    let session = &mut CpuSession::new();
    let random = &mut Random::new(1);
    let [a, b, d] = [(); 3].map(|()| Data::Reals.signed(random, [1000]));
    let sum = |first: bool, session: &mut dyn Session| {
        run(session, |c| {
            let [a, b, d] = [c.input(&a), c.input(&b), c.input(&d)];
            let g = &mut c.graph;
            let sum = if first {
                let ab = ops::add(g, a, b)?;
                ops::add(g, ab, d)?
            } else {
                let bd = ops::add(g, b, d)?;
                ops::add(g, a, bd)?
            };
            c.output("sum", sum);
            Ok(())
        })
    };
    let [one, same, other] = [true, true, false].map(|first| sum(first, session));
    assert_eq!(differences(&one, &same), Vec::<String>::new());
    assert_eq!(differences(&one, &other), ["sum"]);
}

/// Reductions of what a pass makes, over the table of views.
#[test]
fn reductions_of_a_pass() {
    device::each(|session| {
        for view in REDUCTIONS.into_iter().filter(|&[outer, _, inner]| outer * inner > 1) {
            for kind in [ReduceKind::Sum, ReduceKind::Min, ReduceKind::Max] {
                let random = &mut Random::new(view[1] as u64);
                let [x, y] = [(); 2].map(|()| Data::Reals.signed(random, view));
                assert_joined(session, &["elementwise"], |c| {
                    let [x, y] = [c.input(&x), c.input(&y)];
                    let g = &mut c.graph;
                    let product = ops::mul(g, x, y)?;
                    let square = ops::unary(g, UnaryKind::Square, product)?;
                    for (name, value) in [("product", product), ("square", square)] {
                        let reduced = ops::reduce(&mut c.graph, kind, value)?;
                        c.output(name, reduced);
                    }
                    Ok(())
                });
            }
        }
    });
}

/// What a sum adds need not be written down, but is rounded as if it were: products, squares of differences, magnitudes.
#[test]
fn sums_of_products_squares_and_magnitudes() {
    device::each(|session| {
        let data = if session.device().id == "cpu" { Data::Reals } else { Data::Integers };
        for view in REDUCTIONS.into_iter().filter(|&[outer, _, inner]| outer * inner > 1) {
            let random = &mut Random::new(view[2] as u64);
            let [x, y] = [(); 2].map(|()| data.signed(random, view));
            let [mean, one] = [vec![1, view[1], 1], vec![1]].map(|shape| data.signed(random, shape));
            let [fused, apart] = both(session, |c| {
                let [x, y, mean, one] = [&x, &y, &mean, &one].map(|t| c.input(t));
                let g = &mut c.graph;
                let mut terms = vec![ops::mul(g, x, y)?, ops::mul(g, y, mean)?, ops::abs(g, y)?];
                for other in [mean, one, y] {
                    let difference = ops::sub(g, x, other)?;
                    terms.push(ops::unary(g, UnaryKind::Square, difference)?);
                }
                for (i, term) in terms.into_iter().enumerate() {
                    let sum = ops::reduce(&mut c.graph, ReduceKind::Sum, term)?;
                    c.output(&format!("sum{i}"), sum);
                }
                Ok(())
            });
            assert!(fused.steps().iter().all(|step| *step == "elementwise"), "{:?}", fused.steps());
            assert_eq!(differences(&fused, &apart), Vec::<String>::new(), "{view:?}");
        }
    });
}

/// A batch norm with its ReLU, as an oracle in f64 has it.
#[test]
fn scale_shift_and_relu_against_the_oracle() {
    device::each(|session| {
        for (shape, spread) in shapes() {
            for of in &spread {
                for data in Data::BOTH {
                    let random = &mut Random::new(shape[0] as u64);
                    let x = data.signed(random, shape.clone());
                    let [scale, shift] = [(); 2].map(|()| data.signed(random, of.clone()));
                    let got = run(session, |c| {
                        let [x, scale, shift] = [c.input(&x), c.input(&scale), c.input(&shift)];
                        let scaled = ops::mul(&mut c.graph, x, scale)?;
                        let moved = ops::add(&mut c.graph, scaled, shift)?;
                        let relu = ops::relu(&mut c.graph, moved)?;
                        c.output("relu", relu);
                        Ok(())
                    });
                    assert_eq!(got.steps(), ["elementwise"]);
                    let product = elementwise::binary(BinaryKind::Mul, &x, &scale);
                    let mut want = elementwise::binary(BinaryKind::Add, &product.value, &shift);
                    want.value = want.value.map(|y| y.max(0.0));
                    want.terms = 2;
                    want.scale =
                        elementwise::binary(BinaryKind::Add, &product.value.map(f64::abs), &shift.map(f64::abs))
                            .value
                            .data;
                    assert_close(&format!("{shape:?} with {of:?}"), &got.tensor("relu"), &want, Closeness::from(data));
                }
            }
        }
    });
}

/// A light value that two passes read is computed in both, so that it never reaches memory.
#[test]
fn a_light_value_is_computed_again() {
    device::each(|session| {
        let random = &mut Random::new(2);
        let x = Data::Reals.signed(random, [2, 3, 9, 7]);
        let [mean, w] = [Data::Reals.signed(random, [1, 3, 1, 1]), Data::Reals.signed(random, [2, 3, 9, 7])];
        assert_joined(session, &["elementwise", "elementwise"], |c| {
            let [x, mean, w] = [c.input(&x), c.input(&mean), c.input(&w)];
            let g = &mut c.graph;
            let centered = ops::sub(g, x, mean)?;
            let square = ops::unary(g, UnaryKind::Square, centered)?;
            let sum = ops::reduce_channels(g, ReduceKind::Sum, square)?;
            let sum = g.reshape(sum, [1, 3, 1, 1])?;
            let product = ops::mul(g, centered, sum)?;
            let weighted = ops::mul(g, product, w)?;
            c.output("weighted", weighted);
            Ok(())
        });
    });
}

/// Two that read the same elements share a pass, unless one needs the other.
#[test]
fn what_reads_the_same_elements_shares_a_pass() {
    device::each(|session| {
        let random = &mut Random::new(4);
        let x = Data::Reals.signed(random, [5, 3, 20, 20]);
        let [grad, scale] = [Data::Reals.signed(random, [5, 3, 20, 20]), Data::Reals.signed(random, [1, 3, 1, 1])];
        assert_joined(session, &["elementwise"], |c| {
            let [x, grad, scale] = [&x, &grad, &scale].map(|t| c.input(t));
            let scaled = ops::mul(&mut c.graph, x, scale)?;
            let grads = ops::gradients_from(&mut c.graph, scaled, grad, &[x, scale])?;
            for (name, grad) in ["x", "scale"].iter().zip(grads) {
                c.output(name, grad.expect("depends on both"));
            }
            Ok(())
        });
        assert_joined(session, &["reduce", "binary"], |c| {
            let x = c.input(&x);
            let most = ops::reduce_all(&mut c.graph, ReduceKind::Max, x)?;
            let rest = ops::sub(&mut c.graph, x, most)?;
            c.output("rest", rest);
            Ok(())
        });
    });
}

/// What is computed from a pass's own reduction, or from its result on a way around, is not in the pass.
#[test]
fn a_pass_does_not_wait_for_itself() {
    device::each(|session| {
        let random = &mut Random::new(3);
        let x = Data::Reals.signed(random, [4, 6]);
        // The greatest element of a sum, taken from the sum.
        assert_joined(session, &["elementwise", "binary"], |c| {
            let x = c.input(&x);
            let g = &mut c.graph;
            let root = ops::unary(g, UnaryKind::Exp, x)?;
            let most = ops::reduce_all(g, ReduceKind::Max, root)?;
            let rest = ops::sub(g, root, most)?;
            c.output("rest", rest);
            Ok(())
        });
        // One way leads through a transposition and back.
        assert_joined(session, &["unary", "transpose", "unary", "transpose", "elementwise"], |c| {
            let x = c.input(&x);
            let g = &mut c.graph;
            let root = ops::unary(g, UnaryKind::Exp, x)?;
            let turned = ops::transpose(g, root, &[1, 0])?;
            let moved = ops::affine(g, turned, 1.0, 1.0)?;
            let back = ops::transpose(g, moved, &[1, 0])?;
            let sum = ops::add(g, root, back)?;
            let relu = ops::relu(g, sum)?;
            c.output("relu", relu);
            Ok(())
        });
    });
}

/// A state that a pass updates is read by it, and by others, as it was before.
#[test]
fn an_update_comes_after_all_who_read_the_old_state() {
    device::each(|session| {
        for n in [7, 1025, 40_000] {
            let random = &mut Random::new(n as u64);
            let content = [(); 3].map(|()| random.tensor([n], 0.1, 1.0));
            let grad = Data::Reals.signed(random, [n]);
            assert_joined(session, &["elementwise", "elementwise"], |c| {
                let mut names = ["p", "m", "v"].iter().zip(&content).map(|(name, content)| c.state(name, content));
                let states = [(); 3].map(|()| names.next().expect("three"));
                let grad = c.input(&grad);
                let rates = c.input(&Tensor::new([2], vec![1e-3, 2.0]));
                let g = &mut c.graph;
                let magnitude = ops::abs(g, states[0])?;
                let norm = ops::sum_all(g, magnitude)?;
                let sign = ops::sign(g, states[0])?;
                let factor = ops::mul(g, sign, norm)?;
                let sum = ops::add(g, grad, factor)?;
                ops::adam(g, AdamSpec::default(), states, sum, rates)?;
                c.output("norm", norm);
                Ok(())
            });
        }
    });
}

/// Two steps of training, with batch norms and without, leave the same states to the bit.
#[test]
fn training_steps_keep_their_bits() {
    for (arch, method) in [("cnn3", MethodKind::Sabr), ("cnn7", MethodKind::Sabr), ("cnn7", MethodKind::Std)] {
        let config = Config { method, batch: 3, attack_steps: 2, grad_clip: Some(0.5), ..Config::default() };
        let network = scaled_architecture(arch, 0.125, [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
        let robust = method != MethodKind::Std;
        let phase = Phase { natural: true, robust, annealing: robust };
        let [fused, apart] = [Plan::new, Plan::unfused].map(|plan| {
            let plan = plan(step_graph(&network, &config, phase).unwrap()).unwrap();
            let session = &mut CpuSession::new();
            let program = session.compile(&plan).unwrap();
            for (name, values) in initial_values(&network, false, 1) {
                write_state_f32(session, &state_name(&name), &values).unwrap();
            }
            let random = &mut Random::new(9);
            let feeds: Vec<(String, Vec<u32>)> = plan
                .inputs
                .iter()
                .map(|named| {
                    let n = named.ty.elements();
                    let reals = |t: Tensor| t.to_f32().into_iter().map(f32::to_bits).collect();
                    let words = match named.name.as_str() {
                        "labels" => random.labels(n, 10),
                        "key" => vec![1, 2, 3, 4],
                        "row" => vec![0],
                        _ => reals(random.tensor([n], 0.01, 0.5)),
                    };
                    (named.name.clone(), words)
                })
                .collect();
            let feeds: Vec<(&str, &[u8])> =
                feeds.iter().map(|(name, words)| (name.as_str(), bytemuck::cast_slice(words))).collect();
            for _ in 0..2 {
                session.run(program, &feeds).unwrap();
            }
            let names: Vec<String> = plan.states.iter().map(|s| s.name.clone()).collect();
            let words = |name: &String| pollster::block_on(session.read_state(name)).unwrap();
            let states: Vec<Vec<u32>> = names.iter().map(words).collect();
            (plan.steps.len(), names, states)
        });
        assert!(2 * fused.0 < apart.0, "{} steps of {}", fused.0, apart.0);
        let moved = fused.2.iter().flatten().filter(|w| f32::from_bits(**w) != 0.0).count();
        assert!(moved > 1000, "{moved} words are not zero");
        for (name, (fused, apart)) in fused.1.iter().zip(fused.2.iter().zip(&apart.2)) {
            assert_eq!(fused, apart, "{name} of {arch}, {}", method.name());
        }
    }
}

/// A penalty on a state is summed in the pass that updates it, however far apart they are in the graph, and of what it held before.
#[test]
fn a_sum_over_a_state_joins_its_update() {
    device::each(|session| {
        for n in [7, 1025, 40_000] {
            let random = &mut Random::new(n as u64);
            let states = ["p", "m", "v"].map(|name| (name, random.tensor([n], -1.0, 1.0).map(|x| x.abs().max(0.1))));
            let (grad, rates) = (Data::Reals.signed(random, [n]), Tensor::new([2], vec![0.1, 2.0]));
            let [fused, apart] = both(session, |c| {
                let states = states.each_ref().map(|(name, content)| c.state(name, content));
                let (grad, rates) = (c.input(&grad), c.input(&rates));
                let g = &mut c.graph;
                let least = ops::reduce_all(g, ReduceKind::Min, states[0])?;
                let magnitude = ops::abs(g, states[0])?;
                let sum = ops::sum_all(g, magnitude)?;
                // A long way that has nothing to do with it.
                let mut other = rates;
                for _ in 0..100 {
                    other = ops::transpose(g, other, &[0])?;
                }
                ops::adam(g, AdamSpec::default(), states, grad, rates)?;
                for (name, value) in [("least", least), ("sum", sum), ("other", other)] {
                    c.output(name, value);
                }
                Ok(())
            });
            let passes = fused.steps().into_iter().filter(|step| *step != "transpose").collect::<Vec<_>>();
            assert_eq!(passes, ["elementwise"], "of {n}");
            let mut different = differences(&fused, &apart);
            if session.device().id != "cpu" {
                // A GPU may round a product and a sum together in one kernel and not in another.
                different.retain(|name| !states.iter().any(|(state, _)| state == name));
            }
            assert_eq!(different, Vec::<String>::new(), "of {n}");
            // It can tell: the new content has another sum.
            let now: f64 = fused.state("p").data.iter().map(|p| p.abs()).sum();
            assert!((now - fused.tensor("sum").data[0]).abs() > 1e-3 * n as f64, "of {n}");
        }
    });
}

/// Graphs update their states at the end; the pass that makes the new content does it, long before what follows in the graph.
#[test]
fn an_update_runs_as_soon_as_what_it_needs_is_there() {
    const REST: usize = 100;
    device::each(|session| {
        for n in [7, 1025, 40_000] {
            let random = &mut Random::new(n as u64);
            let [old, x, y] = [(); 3].map(|()| Data::Reals.signed(random, [n]));
            let mut expected = vec!["transpose", "transpose", "elementwise"];
            expected.resize(3 + REST, "transpose");
            assert_joined(session, &expected, |c| {
                let state = c.state("sum", &old);
                let [x, y] = [&x, &y].map(|values| c.input(values));
                let g = &mut c.graph;
                // Values that work buffers hold until their sum is there.
                let (a, b) = (ops::transpose(g, x, &[0])?, ops::transpose(g, y, &[0])?);
                let sum = ops::add(g, a, b)?;
                let mut rest = x;
                for _ in 0..REST {
                    rest = ops::transpose(g, rest, &[0])?;
                }
                ops::assign(g, state, sum)?;
                c.output("rest", rest);
                Ok(())
            });
        }
    });
}
