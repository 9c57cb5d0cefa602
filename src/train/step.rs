//! One training step as a graph: attack, loss, gradients and Adam, queued back to back.

use super::clip::clip_gradients;
use super::config::{BnStats, Config, Regulariser};
use super::methods::{Batch, RobustLoss, method};
use super::regulariser::{WARM_UP_RADIUS, bound_regulariser, l1_penalty};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::interval::Bounds;
use crate::nn::Network;
use crate::ops::{self, AdamSpec};
use crate::shape::TensorType;

/// Which parts of the objective a step has: κ · natural + (1 − κ) · robust + regulariser + L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase {
    /// κ > 0.
    pub natural: bool,
    /// κ < 1.
    pub robust: bool,
    /// ε < ε_end, and the step differs from that of the full ε: it has the bound regulariser, or the method trains otherwise.
    pub annealing: bool,
}

impl Phase {
    /// A word for reports.
    pub fn name(&self) -> &'static str {
        match (self.natural, self.robust, self.annealing) {
            (true, false, _) => "natural",
            (true, true, _) => "mixed",
            (false, _, true) => "annealing",
            (false, _, false) => "full",
        }
    }
}

/// Names of the inputs of a step's program.
pub mod input {
    /// Images f32 `[N,C,H,W]`.
    pub const X: &str = "x";
    /// Labels u32 `[N]`.
    pub const LABELS: &str = "labels";
    /// ε, f32 `[1]`.
    pub const EPSILON: &str = "epsilon";
    /// κ, f32 `[1]`.
    pub const KAPPA: &str = "kappa";
    /// 1 − ε/ε_end, f32 `[1]`.
    pub const FADE: &str = "fade";
    /// Factors of Adam, f32 `[2]`.
    pub const RATES: &str = "rates";
    /// Key of the step's random numbers, u32 `[4]`.
    pub const KEY: &str = "key";
    /// Row of the record that the step writes, u32 `[1]`.
    pub const ROW: &str = "row";
}

/// State that holds the figures of the latest steps, [[`RECORD_ROWS`], [`RECORD_COLUMNS`]].
pub const RECORD: &str = "record";
/// Steps that the record holds before it must be read.
pub const RECORD_ROWS: usize = 32;
/// Figures of a step: whole loss, natural loss, robust loss, regulariser (the last three 0 where the phase lacks them), and
/// the share of samples that count as robust for the method.
pub const RECORD_COLUMNS: usize = 5;

/// Names of the states of Adam for a parameter.
pub fn moment_names(parameter: &str) -> [String; 2] {
    [format!("adam.m/{parameter}"), format!("adam.v/{parameter}")]
}

/// The plan of one training step on batches of `config.batch` images.
pub fn plan_step(network: &Network, config: &Config, phase: Phase) -> Result<Plan> {
    let mut g = Graph::new();
    let n = config.batch;
    let x = g.input(input::X, TensorType::f32(network.batch_shape(n)))?;
    let labels = g.input(input::LABELS, TensorType::u32([n]))?;
    let scalar = TensorType::f32([1]);
    let epsilon = g.input(input::EPSILON, scalar.clone())?;
    let kappa = g.input(input::KAPPA, scalar.clone())?;
    let fade = g.input(input::FADE, scalar)?;
    let rates = g.input(input::RATES, TensorType::f32([2]))?;
    let key = g.input(input::KEY, TensorType::u32([4]))?;
    let row = g.input(input::ROW, TensorType::u32([1]))?;
    let running = network.running_statistics(&mut g)?;
    let bound = network.bind(&mut g)?;
    // One pass over the clean batch gives the statistics of every batch norm, which the boxes use too, and moves the running
    // ones; the attack sees the network as it is evaluated, with the running ones. Without batch norms all three are the same.
    let clean = bound.training_pass(&mut g, x)?;
    let moved = clean.update(&mut g, &running)?;
    let trained = bound.with_statistics(&mut g, &clean.statistics)?;
    let evaluated = bound.with_statistics(&mut g, &moved)?.folded(&mut g)?;
    let (attack, taps) = (config.attack(), config.taps());
    let batch = Batch {
        network: &trained,
        evaluated: &evaluated,
        clean: clean.logits,
        bn_stats: config.bn_stats.unwrap_or(BnStats::Clean),
        relu_shrinkage: config.relu_shrinkage as f32,
        x,
        labels,
        epsilon,
        key,
        attack_radius: config.attack_radius as f32,
        lambda: config.lambda as f32,
        alpha: config.alpha as f32,
        faithful_border: config.faithful_border,
        attack: &attack,
        annealing: phase.annealing,
        taps: &taps,
    };

    let zero = ops::fill(&mut g, 0.0, [1])?;
    let (mut natural_loss, mut robust_loss, mut regulariser, mut rate) = (zero, zero, zero, zero);
    let mut terms: Vec<Value> = Vec::new();
    if phase.natural {
        let losses = ops::cross_entropy(&mut g, clean.logits, labels)?;
        natural_loss = ops::mean_all(&mut g, losses)?;
        let correct = bound.correct(&mut g, clean.logits, labels)?;
        rate = ops::mean_all(&mut g, correct)?;
        terms.push(if phase.robust { ops::mul(&mut g, natural_loss, kappa)? } else { natural_loss });
    }
    let mut propagated = None;
    if phase.robust {
        let robust: RobustLoss = method(config.method).robust_loss(&mut g, &batch)?;
        (robust_loss, rate, propagated) = (robust.loss, robust.rate, robust.propagated);
        terms.push(if phase.natural {
            let weight = ops::affine(&mut g, kappa, -1.0, 1.0)?;
            ops::mul(&mut g, robust_loss, weight)?
        } else {
            robust_loss
        });
    }
    if phase.annealing && config.regulariser == Some(Regulariser::Bound) {
        let boxes = match propagated {
            Some(boxes) => boxes,
            None => {
                // While ε is 0 a tiny box around the clean batch shows how boxes grow.
                let radius = g.constant(&[WARM_UP_RADIUS], [1])?;
                let region = Bounds::ball(&mut g, x, radius)?.interval(&mut g)?.detach(&mut g);
                trained.propagate(&mut g, region)?
            }
        };
        regulariser = bound_regulariser(&mut g, &boxes, fade, config.regulariser_weight as f32)?;
        terms.push(regulariser);
    }
    if config.l1 > 0.0 {
        terms.push(l1_penalty(&mut g, bound.values(), config.l1 as f32)?);
    }
    let mut loss = terms[0];
    for &term in &terms[1..] {
        loss = ops::add(&mut g, loss, term)?;
    }
    let mut grads = Vec::with_capacity(bound.values().len());
    for (&value, grad) in bound.values().iter().zip(ops::gradients(&mut g, loss, bound.values())?) {
        let shape = g.shape(value).clone();
        grads.push(match grad {
            Some(grad) => grad,
            None => ops::fill(&mut g, 0.0, shape)?,
        });
    }
    if let Some(limit) = config.grad_clip {
        grads = clip_gradients(&mut g, &grads, limit as f32)?;
    }
    for (parameter, (&value, grad)) in network.parameters().iter().zip(bound.values().iter().zip(grads)) {
        let ty = g.ty(value).clone();
        let [m, v] = moment_names(&parameter.name);
        let (m, v) = (g.state(&m, ty.clone())?, g.state(&v, ty)?);
        ops::adam(&mut g, AdamSpec::default(), [value, m, v], grad, rates)?;
    }
    for (old, new) in running.iter().zip(&moved) {
        ops::assign(&mut g, old.mean, new.mean)?;
        ops::assign(&mut g, old.variance, new.variance)?;
    }
    let record = g.state(RECORD, TensorType::f32([RECORD_ROWS, RECORD_COLUMNS]))?;
    let figures = ops::concat(&mut g, &[loss, natural_loss, robust_loss, regulariser, rate])?;
    ops::record_row(&mut g, record, figures, row)?;
    Plan::new(g)
}
