//! Random numbers.

use smallbox::ops::{self, Distribution};
use smallbox::philox::{philox4x32, uniform_f32};

use crate::common::cases::LENGTHS;
use crate::common::device;
use crate::common::run::run;
use crate::common::tensor::Tensor;

const KEY: [u32; 4] = [0x89ab_cdef, 0x0123_4567, 17, 3];
const STREAM: u32 = 5;

/// Word `i` of the stream.
fn word(i: usize) -> u32 {
    philox4x32([(i / 4) as u32, STREAM, KEY[2], KEY[3]], [KEY[0], KEY[1]])[i % 4]
}

fn draw(session: &mut dyn smallbox::device::Session, distribution: Distribution, shape: &[usize]) -> Tensor {
    let outcome = run(session, |c| {
        let key = c.labels(&KEY);
        let y = ops::random(&mut c.graph, distribution, key, STREAM, shape)?;
        c.output("y", y);
        Ok(())
    });
    outcome.tensor("y")
}

#[test]
fn uniform_numbers_are_the_same_bits_everywhere() {
    device::each(|session| {
        for n in LENGTHS {
            for (lower, upper) in [(0.0, 1.0), (-0.5, 0.5)] {
                let got = draw(session, Distribution::Uniform { lower, upper }, &[n]);
                for (i, &x) in got.data.iter().enumerate() {
                    assert_eq!(x as f32, lower + uniform_f32(word(i)), "element {i} of {n} in [{lower}, {upper})");
                }
            }
        }
    });
}

/// Box–Muller in f64 on the same words. WGSL allows cos and sin an absolute error of 2⁻¹¹ and ln one of 2⁻²¹, which is
/// √(2·2⁻²¹) in the length where ln is 0; lengths go up to √(48·ln 2) < 5.8.
#[test]
fn normal_numbers_are_box_muller_of_the_same_words() {
    let (mean, deviation) = (0.25, 2.0);
    device::each(|session| {
        let allowed = match session.device().backend.as_str() {
            "native" => 5.8 * 16.0 * f64::from(f32::EPSILON),
            _ => 5.8 / 2048.0 + (2.0f64 / 2_097_152.0).sqrt(),
        };
        for n in [1, 2, 3, 4, 5, 1025, 50_021] {
            let got = draw(session, Distribution::Normal { mean: 0.25, deviation: 2.0 }, &[n]);
            for (i, &x) in got.data.iter().enumerate() {
                let (u, v) = (f64::from(uniform_f32(word(i & !1))), f64::from(uniform_f32(word(i | 1))));
                let length = (-2.0 * (1.0 - u).ln()).sqrt();
                let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
                let want = mean + deviation * length * if i % 2 == 0 { cos } else { sin };
                assert!((x - want).abs() <= deviation * allowed, "element {i} of {n}: {x}, expected {want}");
            }
        }
    });
}

#[test]
fn normal_numbers_have_the_moments_of_the_distribution() {
    const N: usize = 100_000;
    device::each(|session| {
        let draws = draw(session, Distribution::Normal { mean: 0.0, deviation: 1.0 }, &[N]).data;
        let moment = |p: i32| draws.iter().map(|x| x.powi(p)).sum::<f64>() / N as f64;
        // Standard deviations of the sample moments: 1/√N, √2/√N, √15/√N, √96/√N; four of each.
        let unit = 4.0 / (N as f64).sqrt();
        assert!(moment(1).abs() < unit, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < unit * 2f64.sqrt(), "variance {}", moment(2));
        assert!(moment(3).abs() < unit * 15f64.sqrt(), "third moment {}", moment(3));
        assert!((moment(4) - 3.0).abs() < unit * 96f64.sqrt(), "fourth moment {}", moment(4));
    });
}

#[test]
fn streams_and_keys_differ() {
    device::each(|session| {
        let outcome = run(session, |c| {
            let keys = [c.labels(&KEY), c.labels(&[KEY[0], KEY[1], KEY[2] + 1, KEY[3]])];
            let unit = Distribution::Uniform { lower: 0.0, upper: 1.0 };
            for (name, key, stream) in [("a", keys[0], 1), ("b", keys[0], 2), ("c", keys[1], 1)] {
                let y = ops::random(&mut c.graph, unit, key, stream, [64])?;
                c.output(name, y);
            }
            Ok(())
        });
        let [a, b, c] = ["a", "b", "c"].map(|name| outcome.tensor(name).data);
        let equal = |x: &[f64], y: &[f64]| x.iter().zip(y).filter(|(x, y)| x == y).count();
        assert_eq!((equal(&a, &b), equal(&a, &c), equal(&b, &c)), (0, 0, 0));
    });
}
