//! A small computation whose right answer is known exactly, to see whether a device computes at all.

use smallbox::device::{Session, read_f32};
use smallbox::error::{Error, Result};
use smallbox::graph::{Graph, Plan};
use smallbox::ops::{self, Conv2dSpec};
use smallbox::shape::TensorType;

/// Images.
const N: usize = 2;
/// Channels of an image.
const C: usize = 3;
/// Side of an image and of each feature: it is padded by K/2.
const S: usize = 7;
/// Features of the convolution.
const O: usize = 5;
/// Side of its kernel.
const K: usize = 3;
/// Outputs of the linear layer.
const G: usize = 11;

/// Small whole numbers that repeat late.
fn values(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * step + i * i / 7) % 7) as f32 - 3.0).collect()
}

/// Data of the computation y = V · relu(conv(x, W) + b). With halves in b nothing is at the kink of the ReLU, and every value
/// is a multiple of 1/2 far below 2²³, which f32 adds exactly in any order.
struct Problem {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    v: Vec<f32>,
}

impl Problem {
    fn new() -> Problem {
        let b = values(O, 3).iter().map(|b| b + 0.5).collect();
        Problem { x: values(N * C * S * S, 5), w: values(O * C * K * K, 3), b, v: values(G * O * S * S, 2) }
    }

    /// y and the gradient of its sum with respect to W, by plain loops.
    fn answer(&self) -> (Vec<f32>, Vec<f32>) {
        let mut y = vec![0.0; N * G];
        let mut grad = vec![0.0; O * C * K * K];
        let sum_v: Vec<f32> = (0..O * S * S).map(|f| (0..G).map(|g| self.v[g * O * S * S + f]).sum()).collect();
        for n in 0..N {
            for (o, h, w) in (0..O * S * S).map(|f| (f / (S * S), f / S % S, f % S)) {
                // (index into x, index into W) of every term of the convolution.
                let taps = || {
                    (0..C * K * K).filter_map(move |t| {
                        let (c, kh, kw) = (t / (K * K), t / K % K, t % K);
                        let (at_h, at_w) = ((h + kh).checked_sub(K / 2)?, (w + kw).checked_sub(K / 2)?);
                        (at_h < S && at_w < S).then_some((((n * C + c) * S + at_h) * S + at_w, o * C * K * K + t))
                    })
                };
                let before = self.b[o] + taps().map(|(i, j)| self.x[i] * self.w[j]).sum::<f32>();
                if before > 0.0 {
                    let feature = (o * S + h) * S + w;
                    (0..G).for_each(|g| y[n * G + g] += self.v[g * O * S * S + feature] * before);
                    taps().for_each(|(i, j)| grad[j] += self.x[i] * sum_v[feature]);
                }
            }
        }
        (y, grad)
    }
}

fn plan(problem: &Problem) -> Result<Plan> {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::f32([N, C, S, S]))?;
    let w = g.constant(&problem.w, [O, C, K, K])?;
    let b = g.constant(&problem.b, [O])?;
    let v = g.constant(&problem.v, [G, O * S * S])?;
    let hidden = ops::conv2d(&mut g, x, w, Some(b), Conv2dSpec::square(1, K / 2))?;
    let hidden = ops::relu(&mut g, hidden)?;
    let hidden = g.reshape(hidden, [N, O * S * S])?;
    let y = ops::linear(&mut g, hidden, v, None)?;
    let sum = ops::sum_all(&mut g, y)?;
    let grad = ops::gradients(&mut g, sum, &[w])?[0].expect("the sum depends on the weight");
    g.output("y", y);
    g.output("grad", grad);
    Plan::new(g)
}

/// Computes a convolution, a ReLU, a linear layer and the gradient of the convolution's weight on the device and compares
/// them with the exact answer.
///
/// # Errors
/// [`Error::Device`] with the first value that is wrong, or what kept the device from computing.
pub async fn run(session: &mut dyn Session) -> Result<()> {
    let problem = Problem::new();
    let program = session.compile(&plan(&problem)?)?;
    session.run(program, &[("x", bytemuck::cast_slice(&problem.x))])?;
    let (y, grad) = problem.answer();
    for (output, expected) in [("y", y), ("grad", grad)] {
        let found = read_f32(session, program, output).await?;
        compare(output, &found, &expected).map_err(|message| Error::device(&session.device().id, message))?;
    }
    session.release(program);
    Ok(())
}

fn compare(output: &str, found: &[f32], expected: &[f32]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("self-test: {output} has {} values, expected {}", found.len(), expected.len()));
    }
    // NaN is unequal to everything.
    match found.iter().zip(expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(i) => Err(format!("self-test: {output}[{i}] is {}, expected {}", found[i], expected[i])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_device_passes() {
        pollster::block_on(run(&mut smallbox::device::cpu::CpuSession::new())).unwrap();
    }

    #[test]
    fn wrong_values_fail() {
        let (y, grad) = Problem::new().answer();
        assert!(compare("y", &y, &y).is_ok() && y != grad);
        let mut wrong = y.clone();
        wrong[3] += 0.5;
        assert!(compare("y", &wrong, &y).unwrap_err().contains("y[3]"));
        wrong[3] = f32::NAN;
        assert!(compare("y", &wrong, &y).is_err());
        assert!(compare("y", &y[1..], &y).is_err());
        assert!(y.iter().chain(&grad).any(|v| v.fract() != 0.0) && y.iter().all(|v| v.abs() < 1e6));
    }
}
