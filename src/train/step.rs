//! One training step as a graph: attack, loss, gradients and Adam, queued back to back.

use super::clip::clip_gradients;
use super::config::{BnStats, Config};
use super::methods::Batch;
use super::objective::{Weights, objective};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
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

    /// Name of a piece of [`X`] or [`LABELS`], where a step computes in pieces; the whole is an input beside them.
    pub fn piece(name: &str, index: usize) -> String {
        format!("{name}/{index}")
    }
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
    Plan::new(step_graph(network, config, phase)?)
}

/// The graph of [`plan_step`].
pub fn step_graph(network: &Network, config: &Config, phase: Phase) -> Result<Graph> {
    let mut graph = Graph::new();
    graph.fast(|g| build_step(g, network, config, phase))?;
    Ok(graph)
}

fn build_step(g: &mut Graph, network: &Network, config: &Config, phase: Phase) -> Result<()> {
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
    let running = network.running_statistics(g)?;
    let bound = network.bind(g)?;
    // One pass over the clean batch gives the statistics of every batch norm, which the boxes use too, and moves the running
    // ones; the attack sees the network as it is evaluated, with the running ones. Without batch norms all three are the same.
    let clean = bound.training_pass(g, x)?;
    let moved = clean.update(g, &running)?;
    let trained = bound.with_statistics(g, &clean.statistics)?;
    let evaluated = bound.with_statistics(g, &moved)?.folded(g)?;
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
        piece: 0,
        taps: &taps,
    };
    let pieces = match piece_inputs(g, network, config)? {
        pieces if pieces.is_empty() => vec![(x, labels)],
        pieces => pieces,
    };
    let weights = Weights { phase, kappa, fade };
    let of = objective(g, config, weights, &bound, &clean, &batch, &pieces)?;
    let mut grads = of.gradient;
    if let Some(limit) = config.grad_clip {
        grads = clip_gradients(g, &grads, limit as f32)?;
    }
    for (parameter, (&value, grad)) in network.parameters().iter().zip(bound.values().iter().zip(grads)) {
        let ty = g.ty(value).clone();
        let [m, v] = moment_names(&parameter.name);
        let (m, v) = (g.state(&m, ty.clone())?, g.state(&v, ty)?);
        ops::adam(g, AdamSpec::default(), [value, m, v], grad, rates)?;
    }
    for (old, new) in running.iter().zip(&moved) {
        ops::assign(g, old.mean, new.mean)?;
        ops::assign(g, old.variance, new.variance)?;
    }
    let record = g.state(RECORD, TensorType::f32([RECORD_ROWS, RECORD_COLUMNS]))?;
    let figures = ops::concat(g, &[of.loss, of.natural, of.robust, of.regulariser, of.rate])?;
    ops::record_row(g, record, figures, row)?;
    Ok(())
}

/// Images and labels of each piece, where the robust loss is computed in several; a method without attack or boxes has none.
fn piece_inputs(g: &mut Graph, network: &Network, config: &Config) -> Result<Vec<(Value, Value)>> {
    let pieces = config.step_pieces();
    if pieces == 1 {
        return Ok(Vec::new());
    }
    let n = config.batch / pieces;
    let mut piece = |index: usize| {
        let x = g.input(&input::piece(input::X, index), TensorType::f32(network.batch_shape(n)))?;
        Ok((x, g.input(&input::piece(input::LABELS, index), TensorType::u32([n]))?))
    };
    (0..pieces).map(&mut piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Plan;
    use crate::nn::scaled_architecture;
    use crate::ops::swept;
    use crate::train::MethodKind;

    /// Batch norm is fast where its passes are done in one loop, which is found by what they compute: whoever changes one changes both.
    #[test]
    fn the_passes_of_batch_norm_are_sweeps() {
        let network = scaled_architecture("cnn7", 0.25, [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
        for method in [MethodKind::Std, MethodKind::Ibp, MethodKind::Sabr] {
            let config = Config { method, batch: 8, attack_steps: 1, ..Config::default() };
            let robust = method != MethodKind::Std;
            let phase = Phase { natural: true, robust, annealing: robust };
            let plan = Plan::new(step_graph(&network, &config, phase).unwrap()).unwrap();
            let passes: Vec<(usize, bool)> = plan
                .steps
                .iter()
                .enumerate()
                .filter_map(|(i, step)| Some((i, swept(step.op.as_ref())?)))
                .flat_map(|(i, swept)| swept.into_iter().map(move |swept| (i, swept)))
                .collect();
            assert!(passes.len() > 30, "{} of {}", passes.len(), method.name());
            let others: Vec<usize> = passes.iter().filter(|pass| !pass.1).map(|pass| pass.0).collect();
            assert!(others.is_empty(), "steps {others:?} of {}", method.name());
        }
    }
}
