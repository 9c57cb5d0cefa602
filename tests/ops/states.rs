//! Ops that change a state in place.

use smallbox::ops::{self, AdamSpec};

use crate::common::cases::LENGTHS;
use crate::common::close::{Closeness, assert_close};
use crate::common::device;
use crate::common::oracle::optimizer;
use crate::common::random::Random;
use crate::common::run::{run, run_times};
use crate::common::tensor::Tensor;

#[test]
fn a_projected_step_of_adam_stays_in_its_range() {
    device::each(|session| {
        for n in LENGTHS {
            let spec = AdamSpec::default();
            let random = &mut Random::new(n as u64);
            let [p, m, grad] = [(); 3].map(|()| random.tensor([n], -1.0, 1.0));
            let v = random.tensor([n], 0.0, 1.0);
            let rates = spec.rates(0.5, 1);
            let got = run(session, |c| {
                let states = [c.state("p", &p), c.state("m", &m), c.state("v", &v)];
                let grad = c.input(&grad);
                let rates = c.input(&Tensor::new([2], rates.map(f64::from).into()));
                ops::adam_within(&mut c.graph, spec, [0.0, 0.5], states, grad, rates)
            });
            let [mut want, first, second] = optimizer::adam(spec, [&p, &m, &v, &grad], rates.map(f64::from));
            want.value = want.value.map(|p| p.clamp(0.0, 0.5));
            for (name, want) in [("p", want), ("m", first), ("v", second)] {
                assert_close(&format!("{name} of {n}"), &got.state(name), &want, Closeness::Rounded);
            }
        }
    });
}

#[test]
fn adam() {
    device::each(|session| {
        for n in LENGTHS {
            for weight_decay in [0.0, 0.01] {
                let spec = AdamSpec { weight_decay, ..AdamSpec::default() };
                let random = &mut Random::new(n as u64);
                let [p, m, mut grad] = [(); 3].map(|()| random.tensor([n], -1.0, 1.0));
                let mut v = random.tensor([n], 0.0, 1.0);
                // An entry that never had a gradient.
                (v.data[0], grad.data[0]) = (0.0, 0.0);
                let m = m.zip(&v, |m, v| if v == 0.0 { 0.0 } else { m });
                let rates = spec.rates(5e-4, 3);
                let got = run(session, |c| {
                    let states = [c.state("p", &p), c.state("m", &m), c.state("v", &v)];
                    let grad = c.input(&grad);
                    let rates = c.input(&Tensor::new([2], rates.map(f64::from).into()));
                    ops::adam(&mut c.graph, spec, states, grad, rates)
                });
                let want = optimizer::adam(spec, [&p, &m, &v, &grad], rates.map(f64::from));
                for (name, want) in ["p", "m", "v"].iter().zip(&want) {
                    assert_close(&format!("{name} of {n}, {spec:?}"), &got.state(name), want, Closeness::Rounded);
                }
            }
        }
    });
}

#[test]
fn rates_are_the_bias_corrections() {
    let [first, second] = AdamSpec::default().rates(5e-4, 1);
    let relative = |got: f32, want: f64| (f64::from(got) - want).abs() / want;
    assert!(relative(first, 5e-4 / (1.0 - 0.9)) < 1e-7);
    assert!(relative(second, 1.0 / (1.0 - 0.999_f64).sqrt()) < 1e-7);
    assert!(relative(AdamSpec::default().rates(0.1, 100_000)[0], 0.1) < 1e-7);
}

#[test]
fn assign() {
    device::each(|session| {
        for n in LENGTHS {
            let random = &mut Random::new(n as u64);
            let [old, new] = [(); 2].map(|()| random.tensor([n], -1.0, 1.0));
            let got = run(session, |c| {
                let (state, value) = (c.state("s", &old), c.input(&new));
                ops::assign(&mut c.graph, state, value)
            });
            assert_eq!(got.state("s"), new, "{n} elements");
        }
    });
}

/// By sample, by channel and element by element; samples of fewer and more elements than a block of the native pass.
#[test]
fn assign_where() {
    device::each(|session| {
        for shape in [[3, 2, 1, 5], [4, 3, 20, 20], [5, 2, 64, 65]] {
            let [n, c, h, w] = shape;
            for of in [[n, 1, 1, 1], [1, c, 1, 1], shape] {
                let random = &mut Random::new((n * c * h * w + of[0]) as u64);
                let [old, new] = [(); 2].map(|()| random.tensor(shape, -1.0, 1.0));
                let cond = random.tensor(of, -1.0, 1.0);
                // Alone, and in a pass with others that read the value.
                for along in [false, true] {
                    let got = run(session, |g| {
                        let (state, value, cond) = (g.state("s", &old), g.input(&new), g.input(&cond));
                        if along {
                            let (next, other) = (ops::scale(&mut g.graph, value, 2.0)?, g.state("t", &old));
                            ops::assign_where(&mut g.graph, other, cond, next)?;
                        }
                        ops::assign_where(&mut g.graph, state, cond, value)
                    });
                    // Which element of the condition belongs to element i.
                    let at = |i: usize| match of {
                        [_, 1, ..] => i / (c * h * w),
                        [1, ..] => i / (h * w) % c,
                        _ => i,
                    };
                    let kept = |i: usize| cond.data[at(i)] <= 0.0;
                    let want = |factor: f64| -> Vec<f64> {
                        let each = old.data.iter().zip(&new.data).enumerate();
                        each.map(|(i, (&old, &new))| if kept(i) { old } else { factor * new }).collect()
                    };
                    assert_eq!(got.state("s").data, want(1.0), "{shape:?} by {of:?}");
                    if along {
                        assert_eq!(got.state("t").data, want(2.0), "{shape:?} by {of:?}");
                    }
                }
            }
        }
    });
}

/// Three runs of s := 2 s + 1.
#[test]
fn a_state_is_carried_from_run_to_run() {
    let start = Tensor::new([3], vec![0.0, 1.0, -3.0]);
    device::each(|session| {
        let got = run_times(session, 3, |c| {
            let state = c.state("s", &start);
            let next = ops::affine(&mut c.graph, state, 2.0, 1.0)?;
            c.output("next", next);
            ops::assign(&mut c.graph, state, next)
        });
        assert_eq!(got.state("s").data, [7.0, 15.0, -17.0]);
        assert_eq!(got.tensor("next").data, [7.0, 15.0, -17.0]);
    });
}

#[test]
fn record_row() {
    device::each(|session| {
        for [rows, columns] in [[1, 1], [4, 3], [7, 65], [129, 13]] {
            for index in [0, rows as u32 - 1, 2 * rows as u32 + 1] {
                let random = &mut Random::new(rows as u64);
                let [table, row] = [random.tensor([rows, columns], -1.0, 1.0), random.tensor([columns], -1.0, 1.0)];
                let got = run(session, |c| {
                    let (table, row, index) = (c.state("table", &table), c.input(&row), c.labels(&[index]));
                    ops::record_row(&mut c.graph, table, row, index)
                });
                let mut want = table.clone();
                let at = index as usize % rows * columns;
                want.data[at..at + columns].copy_from_slice(&row.data);
                assert_eq!(got.state("table"), want, "row {index} of {rows}");
            }
        }
    });
}
