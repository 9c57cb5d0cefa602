//! Natural, adversarial and IBP-certified accuracy of a network on a split.

use serde::{Deserialize, Serialize};

use super::attack::{AttackSpec, attack};
use super::config::{Config, MethodKind};
use super::step::input;
use crate::data::{Batches, Split};
use crate::device::{Program, Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::interval::{Bounds, small_box};
use crate::nn::Network;
use crate::ops;
use crate::philox::{key, purpose};
use crate::shape::TensorType;

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Number of samples that count.
    pub count: usize,
    /// count / samples, in 0..1.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Two-sided 95 % quantile of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

impl Rate {
    /// The share `count` of `samples` with Wilson's score interval (1927), which stays within `[0, 1]`.
    pub fn wilson(count: usize, samples: usize) -> Rate {
        let (n, p) = (samples as f64, count as f64 / samples as f64);
        let z2 = Z95 * Z95;
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        // Without rounding the share lies between the ends, and at 0 or 1 it is one of them.
        Rate { count, rate: p, low: (middle - half).clamp(0.0, p), high: (middle + half).clamp(p, 1.0) }
    }
}

/// Accuracies on a split. "Certified" here is by f32 interval bounds: an estimate, not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Samples looked at.
    pub images: usize,
    /// Classified correctly.
    pub natural: Rate,
    /// Classified correctly, and at every iterate of the attack too.
    pub adversarial: Rate,
    /// All margins positive over the ε box.
    pub ibp: Rate,
    /// All margins positive over the small box around the attacked point, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_box: Option<Rate>,
}

/// The small box of a method, as an evaluation looks at it: radius λ·ε around the attacked point, slid into the ε ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallBox {
    /// Subselection ratio λ ∈ (0, 1].
    pub lambda: f64,
    /// See [`Config::faithful_border`].
    pub faithful_border: bool,
}

impl SmallBox {
    /// The small box of the configured method; `None` for a method that has none.
    pub fn of(config: &Config) -> Option<SmallBox> {
        let has_one = matches!(config.method, MethodKind::Sabr | MethodKind::Staps);
        has_one.then_some(SmallBox { lambda: config.lambda, faithful_border: config.faithful_border })
    }
}

/// A program that evaluates batches of one size at one ε.
pub struct Evaluator {
    program: Program,
    /// Whether the program has the small box too.
    small_box: bool,
    batch: usize,
    seed: u64,
    images: Vec<f32>,
    labels: Vec<u32>,
}

/// Tells evaluation draws from those of training, which count runs upwards from 0.
const EVALUATION_RUNS: u32 = 1 << 30;

const NATURAL: &str = "natural";
const ADVERSARIAL: &str = "adversarial";
const IBP: &str = "ibp";
const SMALL_BOX: &str = "small_box";

/// The plan of an evaluation of one batch.
fn plan(network: &Network, epsilon: f64, spec: &AttackSpec, batch: usize, small: Option<SmallBox>) -> Result<Plan> {
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
    let labels = g.input(input::LABELS, TensorType::u32([batch]))?;
    let key = g.input(input::KEY, TensorType::u32([4]))?;
    let bound = network.bind(&mut g)?.folded(&mut g)?;
    let logits = bound.forward(&mut g, x)?;
    let natural = bound.correct(&mut g, logits, labels)?;

    let radius = g.constant(&[epsilon as f32], [1])?;
    let ball = Bounds::ball(&mut g, x, radius)?;
    let attacked = attack(&mut g, &bound, x, labels, ball, spec, (key, 0))?;
    let withstood = ops::affine(&mut g, attacked.found, -1.0, 1.0)?;
    let adversarial = ops::minimum(&mut g, natural, withstood)?;

    let region = ball.interval(&mut g)?;
    let propagated = bound.propagate(&mut g, region)?;
    let margins = bound.margin_logits(&mut g, propagated.before_last, labels)?;
    let certified = bound.certified(&mut g, margins)?;
    // A box contains its center: certified but misclassified can only be rounding.
    let ibp = ops::minimum(&mut g, natural, certified)?;
    if let Some(small) = small {
        // The box need not hold the clean image, so this is asked of the box alone. Its bounds are those of the network as it
        // is, whatever the training shrinks.
        let tau = ops::scale(&mut g, radius, small.lambda as f32)?;
        let region = small_box(&mut g, attacked.point, ball, tau, small.faithful_border)?;
        let propagated = bound.propagate(&mut g, region)?;
        let margins = bound.margin_logits(&mut g, propagated.before_last, labels)?;
        let certified = bound.certified(&mut g, margins)?;
        g.output(SMALL_BOX, certified);
    }
    g.output(NATURAL, natural);
    g.output(ADVERSARIAL, adversarial);
    g.output(IBP, ibp);
    Plan::new(g)
}

impl Evaluator {
    /// Compiles the evaluation of `network` (whose parameters are states of the session) on batches of `batch` images.
    pub fn new(
        session: &mut dyn Session,
        network: &Network,
        epsilon: f64,
        spec: &AttackSpec,
        batch: usize,
        seed: u64,
    ) -> Result<Evaluator> {
        Evaluator::with_small_box(session, network, epsilon, spec, batch, seed, None)
    }

    /// [`Evaluator::new`] that also counts the samples certified over the small box around the point that the attack found.
    pub fn with_small_box(
        session: &mut dyn Session,
        network: &Network,
        epsilon: f64,
        spec: &AttackSpec,
        batch: usize,
        seed: u64,
        small: Option<SmallBox>,
    ) -> Result<Evaluator> {
        let program = session.compile(&plan(network, epsilon, spec, batch, small)?)?;
        let pixels: usize = network.input.iter().product();
        let (images, labels) = (vec![0.0; batch * pixels], vec![0; batch]);
        Ok(Evaluator { program, small_box: small.is_some(), batch, seed, images, labels })
    }

    /// Evaluates the first `limit` samples of `split` (all if `None`). `progress` hears (samples done, samples in all).
    pub async fn run(
        &mut self,
        session: &mut dyn Session,
        split: &Split,
        limit: Option<usize>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Evaluation> {
        let samples = limit.map_or(split.len(), |limit| limit.min(split.len()));
        let mut batches = Batches::evaluation(split, self.batch)?;
        let (mut done, mut run) = (0, 0u32);
        let (mut natural, mut adversarial, mut ibp, mut small) = (0, 0, 0, 0);
        while done < samples {
            let Some(filled) = batches.next_into(&mut self.images, &mut self.labels)? else { break };
            let counted = filled.min(samples - done);
            let [low, high] = key(self.seed);
            let words = [low, high, EVALUATION_RUNS + run, purpose::DEVICE_DRAW];
            session.run(
                self.program,
                &[
                    (input::X, bytemuck::cast_slice(&self.images)),
                    (input::LABELS, bytemuck::cast_slice(&self.labels)),
                    (input::KEY, bytemuck::cast_slice(&words)),
                ],
            )?;
            let mut counted_flags = vec![(NATURAL, &mut natural), (ADVERSARIAL, &mut adversarial), (IBP, &mut ibp)];
            if self.small_box {
                counted_flags.push((SMALL_BOX, &mut small));
            }
            for (name, sum) in counted_flags {
                let flags = read_f32(session, self.program, name).await?;
                *sum += flags[..counted].iter().filter(|&&flag| flag > 0.5).count();
            }
            (done, run) = (done + counted, run + 1);
            progress(done, samples);
        }
        Ok(Evaluation {
            images: done,
            natural: Rate::wilson(natural, done),
            adversarial: Rate::wilson(adversarial, done),
            ibp: Rate::wilson(ibp, done),
            small_box: self.small_box.then(|| Rate::wilson(small, done)),
        })
    }

    /// Frees the program.
    pub fn release(self, session: &mut dyn Session) {
        session.release(self.program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_the_textbook_ones() {
        let rate = Rate::wilson(81, 263);
        assert!((rate.low - 0.2553).abs() < 1e-4 && (rate.high - 0.3662).abs() < 1e-4, "{rate:?}");
        assert_eq!(Rate::wilson(0, 10).low, 0.0);
        assert_eq!(Rate::wilson(10, 10).high, 1.0);
    }
}
