//! What a step minimises, κ · natural + (1 − κ) · robust + regulariser + L1, and its gradient; the robust part in one piece or in
//! several.
//!
//! # Pieces
//! With statistics s(θ) of the whole clean batch, the robust part is R(θ, s(θ)) = mean over pieces of Rᵢ(θ, s(θ)). For each piece the
//! partial derivatives ∂Rᵢ/∂θ and ∂Rᵢ/∂s are taken with s held constant, so that nothing of a piece is needed once it is done;
//! then one pass back through the clean batch adds (∂R/∂s) · ds/dθ. The gradient is that of the whole batch.

use super::config::{Config, Regulariser};
use super::methods::{Batch, method};
use super::regulariser::{WARM_UP_RADIUS, bound_regulariser, l1_penalty};
use super::step::Phase;
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::interval::Bounds;
use crate::nn::{Bound, Statistics, TrainingPass};
use crate::ops;

/// The loss of a step, its parts (0 where the phase lacks one), each `[1]`, and its gradient.
pub(super) struct Objective {
    pub(super) loss: Value,
    pub(super) natural: Value,
    pub(super) robust: Value,
    pub(super) regulariser: Value,
    /// Share of samples that count as robust for the method.
    pub(super) rate: Value,
    /// One value for each parameter, in the order of [`Bound::values`].
    pub(super) gradient: Vec<Value>,
}

/// Which terms a step has, and their weights.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    pub(super) phase: Phase,
    /// κ, `[1]`.
    pub(super) kappa: Value,
    /// 1 − ε/ε_end, `[1]`.
    pub(super) fade: Value,
}

/// The robust part of one piece.
struct Part {
    /// Weighted loss and regulariser together; `None` where the phase has neither.
    term: Option<Value>,
    robust: Option<Value>,
    regulariser: Option<Value>,
    rate: Option<Value>,
}

/// The objective of the batch `whole`, whose robust part is computed on each of `pieces` (images and labels) in turn. `bound` has
/// the parameters, `clean` is its pass over the whole clean batch.
pub(super) fn objective(
    g: &mut Graph,
    config: &Config,
    weights: Weights,
    bound: &Bound<'_>,
    clean: &TrainingPass,
    whole: &Batch<'_>,
    pieces: &[(Value, Value)],
) -> Result<Objective> {
    let parameters = bound.values();
    let zero = ops::fill(g, 0.0, [1])?;
    let (mut natural, mut rate) = (zero, zero);
    // What depends on the parameters and the whole batch, not on a piece.
    let mut terms = Vec::new();
    if weights.phase.natural {
        let losses = ops::cross_entropy(g, clean.logits, whole.labels)?;
        natural = ops::mean_all(g, losses)?;
        let correct = bound.correct(g, clean.logits, whole.labels)?;
        rate = ops::mean_all(g, correct)?;
        terms.push(if weights.phase.robust { ops::mul(g, natural, weights.kappa)? } else { natural });
    }
    if config.l1 > 0.0 {
        terms.push(l1_penalty(g, parameters, config.l1 as f32)?);
    }

    if let &[_] = pieces {
        let part = part(g, config, weights, whole)?;
        terms.extend(part.term);
        let loss = sum(g, &terms)?;
        let gradient = gradients_or_zeros(g, loss, parameters)?;
        return Ok(Objective {
            loss,
            natural,
            robust: part.robust.unwrap_or(zero),
            regulariser: part.regulariser.unwrap_or(zero),
            rate: part.rate.unwrap_or(rate),
            gradient,
        });
    }

    let held: Vec<Statistics> = clean.statistics.iter().map(|s| s.detach(g)).collect();
    let trained = bound.with_statistics(g, &held)?;
    let of_statistics = |s: &[Statistics]| s.iter().flat_map(|s| [s.mean, s.variance]).collect::<Vec<Value>>();
    let mut wrt = parameters.to_vec();
    wrt.extend(of_statistics(&held));
    let share = 1.0 / pieces.len() as f32;
    let mut gathered: Vec<Option<Value>> = vec![None; wrt.len()];
    let (mut losses, mut robusts, mut regularisers, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, &(x, labels)) in pieces.iter().enumerate() {
        let batch = Batch { network: &trained, x, labels, piece: index as u32, ..*whole };
        let part = part(g, config, weights, &batch)?;
        robusts.extend(part.robust);
        regularisers.extend(part.regulariser);
        rates.extend(part.rate);
        let Some(term) = part.term else { continue };
        let term = ops::scale(g, term, share)?;
        losses.push(term);
        for (sum, grad) in gathered.iter_mut().zip(ops::gradients(g, term, &wrt)?) {
            *sum = match (*sum, grad) {
                (Some(sum), Some(grad)) => Some(ops::add(g, sum, grad)?),
                (sum, grad) => sum.or(grad),
            };
        }
    }
    let mut loss_terms = terms.clone();
    loss_terms.extend(losses);
    let loss = sum(g, &loss_terms)?;
    // Its gradient is (∂R/∂s) · ds/dθ; its value means nothing.
    let (direct, through) = gathered.split_at(parameters.len());
    for (statistic, grad) in of_statistics(&clean.statistics).into_iter().zip(through) {
        if let &Some(grad) = grad {
            let grad = g.detach(grad);
            let product = ops::mul(g, statistic, grad)?;
            terms.push(ops::sum_all(g, product)?);
        }
    }
    let mut gradient = Vec::with_capacity(parameters.len());
    let rest = sum(g, &terms)?;
    for (grad, &direct) in gradients_or_zeros(g, rest, parameters)?.into_iter().zip(direct) {
        gradient.push(match direct {
            Some(direct) => ops::add(g, grad, direct)?,
            None => grad,
        });
    }
    let mut mean = |parts: &[Value], otherwise: Value| match parts {
        [] => Ok(otherwise),
        _ => {
            let sum = sum(g, parts)?;
            ops::scale(g, sum, share)
        }
    };
    Ok(Objective {
        loss,
        natural,
        robust: mean(&robusts, zero)?,
        regulariser: mean(&regularisers, zero)?,
        rate: mean(&rates, rate)?,
        gradient,
    })
}

/// (1 − κ) · robust + regulariser of a batch or piece.
fn part(g: &mut Graph, config: &Config, weights: Weights, batch: &Batch<'_>) -> Result<Part> {
    let mut part = Part { term: None, robust: None, regulariser: None, rate: None };
    let mut terms = Vec::new();
    let mut propagated = None;
    if weights.phase.robust {
        let robust = method(config.method).robust_loss(g, batch)?;
        (part.robust, part.rate, propagated) = (Some(robust.loss), Some(robust.rate), robust.propagated);
        terms.push(if weights.phase.natural {
            let weight = ops::affine(g, weights.kappa, -1.0, 1.0)?;
            ops::mul(g, robust.loss, weight)?
        } else {
            robust.loss
        });
    }
    if weights.phase.annealing && config.regulariser == Some(Regulariser::Bound) {
        let boxes = match propagated {
            Some(boxes) => boxes,
            None => {
                // While ε is 0 a tiny box around the clean batch shows how boxes grow.
                let radius = g.constant(&[WARM_UP_RADIUS], [1])?;
                let region = Bounds::ball(g, batch.x, radius)?.interval(g)?.detach(g);
                batch.network.propagate(g, region)?
            }
        };
        let regulariser = bound_regulariser(g, &boxes, weights.fade, config.regulariser_weight as f32)?;
        part.regulariser = Some(regulariser);
        terms.push(regulariser);
    }
    if !terms.is_empty() {
        part.term = Some(sum(g, &terms)?);
    }
    Ok(part)
}

/// The sum of scalars; 0 of none.
fn sum(g: &mut Graph, terms: &[Value]) -> Result<Value> {
    let Some((&first, rest)) = terms.split_first() else { return ops::fill(g, 0.0, [1]) };
    rest.iter().try_fold(first, |sum, &term| ops::add(g, sum, term))
}

/// Gradients of `loss`; zeros for what it does not depend on.
fn gradients_or_zeros(g: &mut Graph, loss: Value, wrt: &[Value]) -> Result<Vec<Value>> {
    let gradients = ops::gradients(g, loss, wrt)?;
    let or_zero = |(&value, grad): (&Value, Option<Value>)| match grad {
        Some(grad) => Ok(grad),
        None => {
            let shape = g.shape(value).clone();
            ops::fill(g, 0.0, shape)
        }
    };
    wrt.iter().zip(gradients).map(or_zero).collect()
}
