//! The training methods: what the robust loss of a batch is. One small file each.

mod ibp;
mod pgd;
mod sabr;
mod standard;

use super::attack::AttackSpec;
use super::config::{BnStats, MethodKind};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::nn::{Bound, Propagated};
use crate::ops;

/// What a method sees of a batch.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The network with its parameters; its batch norms use the statistics of the clean batch.
    pub network: &'a Bound<'a>,
    /// The network as it is evaluated, with running statistics: what an attack sees.
    pub evaluated: &'a Bound<'a>,
    /// Logits of the clean batch, `[N,K]`.
    pub clean: Value,
    /// Which statistics the batch norms use on attacked points.
    pub bn_stats: BnStats,
    /// Images `[N,C,H,W]`.
    pub x: Value,
    /// Labels u32 `[N]`.
    pub labels: Value,
    /// Current radius ε, f32 `[1]`.
    pub epsilon: Value,
    /// Key of the random numbers of this step, u32 `[4]`.
    pub key: Value,
    /// Subselection ratio λ.
    pub lambda: f32,
    /// Keep the authors' box at the border of `[0,1]`.
    pub faithful_border: bool,
    /// Factor of the outputs of unstable ReLUs in the boxes of the robust loss, 1 for none.
    pub relu_shrinkage: f32,
    /// The training attack.
    pub attack: &'a AttackSpec,
}

/// What a method makes of a batch.
pub struct RobustLoss {
    /// Mean loss, `[1]`.
    pub loss: Value,
    /// Share of samples that the method's own criterion counts as robust: not attacked successfully (std: classified
    /// correctly), or certified over the box of the method; `[1]`.
    pub rate: Value,
    /// The boxes, where the method propagates any; the regulariser reads them.
    pub propagated: Option<Propagated>,
}

/// A training method.
pub trait Method {
    /// Adds the robust loss of a batch to the graph.
    fn robust_loss(&self, g: &mut Graph, batch: &Batch<'_>) -> Result<RobustLoss>;
}

/// The method called `kind`.
pub fn method(kind: MethodKind) -> &'static dyn Method {
    match kind {
        MethodKind::Std => &standard::Standard,
        MethodKind::Pgd => &pgd::Adversarial,
        MethodKind::Ibp => &ibp::IntervalBounds,
        MethodKind::Sabr => &sabr::SmallBoxes,
    }
}

/// Mean cross-entropy and share of correct predictions of logits.
fn logit_loss(g: &mut Graph, batch: &Batch<'_>, logits: Value) -> Result<(Value, Value)> {
    let loss = ops::cross_entropy(g, logits, batch.labels)?;
    let correct = batch.network.correct(g, logits, batch.labels)?;
    Ok((ops::mean_all(g, loss)?, ops::mean_all(g, correct)?))
}

/// Mean worst-case cross-entropy over a box, which is a constant of differentiation, and the share certified over it.
fn box_loss(g: &mut Graph, batch: &Batch<'_>, region: crate::interval::Interval) -> Result<RobustLoss> {
    let region = region.detach(g);
    let propagated = batch.network.propagate_shrunk(g, region, batch.relu_shrinkage)?;
    let margins = batch.network.margin_logits(g, propagated.before_last, batch.labels)?;
    let loss = ops::cross_entropy(g, margins, batch.labels)?;
    let certified = batch.network.certified(g, margins)?;
    Ok(RobustLoss { loss: ops::mean_all(g, loss)?, rate: ops::mean_all(g, certified)?, propagated: Some(propagated) })
}
