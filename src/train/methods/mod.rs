//! The training methods: what the robust loss of a batch is. One small file each.

mod cc_ibp;
mod exp_ibp;
mod expressive;
mod ibp;
mod mtl_ibp;
mod pgd;
mod sabr;
mod standard;
mod staps;
mod taps;

use super::attack::{AttackSpec, Attacked, attack};
use super::config::{BnStats, MethodKind};
use super::latent::TapsSpec;
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::interval::Bounds;
use crate::nn::{Bound, Propagated};
use crate::ops;

/// Random streams that a piece may use: the first half for the attack on the images, one a restart, the rest for a latent one.
pub const STREAMS: u32 = 1 << 16;

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
    /// Number of the piece, where a step computes in several: each draws its own random numbers.
    pub piece: u32,
    /// Current radius ε, f32 `[1]`.
    pub epsilon: Value,
    /// Key of the random numbers of this step, u32 `[4]`.
    pub key: Value,
    /// Radius of the attack relative to ε.
    pub attack_radius: f32,
    /// Subselection ratio λ.
    pub lambda: f32,
    /// Weight α of the bounds against the attacked points in the expressive losses.
    pub alpha: f32,
    /// Keep the authors' box at the border of `[0,1]`.
    pub faithful_border: bool,
    /// Factor of the outputs of unstable ReLUs in the boxes of the robust loss, 1 for none.
    pub relu_shrinkage: f32,
    /// The training attack.
    pub attack: &'a AttackSpec,
    /// ε still grows: TAPS and STAPS train as IBP and SABR.
    pub annealing: bool,
    /// What TAPS and STAPS do once it is full.
    pub taps: &'a TapsSpec,
}

impl<'a> Batch<'a> {
    /// The ε ball, cut with `[0,1]`.
    fn ball(&self, g: &mut Graph) -> Result<Bounds> {
        Bounds::ball(g, self.x, self.epsilon)
    }

    /// The random stream `index` of this piece; below [`STREAMS`].
    fn stream(&self, index: u32) -> u32 {
        self.piece * STREAMS + index
    }

    /// Attacks the network as it is evaluated, in the ball of the attack's own radius.
    fn attack(&self, g: &mut Graph) -> Result<Attacked> {
        let radius =
            if self.attack_radius == 1.0 { self.epsilon } else { ops::scale(g, self.epsilon, self.attack_radius)? };
        let region = Bounds::ball(g, self.x, radius)?;
        attack(g, self.evaluated, self.x, self.labels, region, self.attack, (self.key, self.stream(0)))
    }

    /// Logits of attacked `points`, and the network with the statistics that its batch norms use there.
    fn at_points(&self, g: &mut Graph, points: Value) -> Result<(Value, Bound<'a>)> {
        match self.bn_stats {
            BnStats::Clean => Ok((self.network.forward(g, points)?, self.network.clone())),
            BnStats::Adversarial => {
                let pass = self.network.training_pass(g, points)?;
                Ok((pass.logits, self.network.with_statistics(g, &pass.statistics)?))
            }
        }
    }
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
        MethodKind::CcIbp => &cc_ibp::ConvexCombination,
        MethodKind::MtlIbp => &mtl_ibp::MultiTask,
        MethodKind::ExpIbp => &exp_ibp::GeometricMean,
        MethodKind::Taps => &taps::Estimated,
        MethodKind::Staps => &staps::EstimatedSmallBoxes,
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
    let bounds = box_margins(g, batch, region)?;
    let loss = ops::cross_entropy(g, bounds.margins, batch.labels)?;
    let loss = ops::mean_all(g, loss)?;
    Ok(RobustLoss { loss, rate: bounds.rate, propagated: Some(bounds.propagated) })
}

/// What a box says about a batch.
struct BoxMargins {
    /// Worst-case logits relative to the label, `[N,K]`.
    margins: Value,
    /// Share certified over the box, `[1]`.
    rate: Value,
    propagated: Propagated,
}

/// Worst-case logits over a box, which is a constant of differentiation.
fn box_margins(g: &mut Graph, batch: &Batch<'_>, region: crate::interval::Interval) -> Result<BoxMargins> {
    let region = region.detach(g);
    let propagated = batch.network.propagate_shrunk(g, region, batch.relu_shrinkage)?;
    let margins = batch.network.margin_logits(g, propagated.before_last, batch.labels)?;
    let certified = batch.network.certified(g, margins)?;
    Ok(BoxMargins { margins, rate: ops::mean_all(g, certified)?, propagated })
}
