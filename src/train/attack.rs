//! The PGD attack as graph nodes: all iterates of one batch, unrolled, without a word to the host.

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::interval::Bounds;
use crate::nn::Bound;
use crate::ops::{self, AttackProgress, Distribution, PgdRegion, ReduceKind};

/// What an attack does.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackSpec {
    /// Length of each gradient step, relative to the radius.
    pub step_lengths: Vec<f32>,
    /// Cut the random start to the region. The authors do so only from the first step on; an iterate that counts as an
    /// adversarial example must lie inside.
    pub project_start: bool,
    /// Attacks from as many random starts, at least 1; the best of them counts.
    pub restarts: usize,
}

impl AttackSpec {
    /// The authors' training attack: `size`, a tenth of it from 50 % of the steps on, and again at 80 and 90 %.
    pub fn training(steps: usize, size: f64) -> AttackSpec {
        let drop_at = [5, 8, 9].map(|tenths| (steps * tenths).div_ceil(10));
        let length = |i: usize| size * 0.1f64.powi(drop_at.iter().filter(|&&at| i >= at).count() as i32);
        AttackSpec { step_lengths: (0..steps).map(|i| length(i) as f32).collect(), project_start: false, restarts: 1 }
    }

    /// An attack of constant step length whose every iterate lies in the region.
    pub fn evaluation(steps: usize, size: f64) -> AttackSpec {
        AttackSpec { step_lengths: vec![size as f32; steps], project_start: true, restarts: 1 }
    }

    /// The same from `restarts` random starts.
    pub fn restarted(self, restarts: usize) -> AttackSpec {
        AttackSpec { restarts, ..self }
    }
}

/// What an attack found.
#[derive(Clone, Copy, Debug)]
pub struct Attacked {
    /// Per sample: the latest iterate if any iterate was misclassified, else the one of the highest cross-entropy among all
    /// but the last (the authors' rule); `[N,C,H,W]`. Of several restarts, that of the first which found one, else that of the
    /// highest cross-entropy.
    pub point: Value,
    /// The highest cross-entropy of any iterate but the last, `[N]`.
    pub loss: Value,
    /// 1 where any iterate was misclassified, else 0; `[N]`.
    pub found: Value,
    /// The last iterate of the last restart; `[N,C,H,W]`.
    pub last: Value,
}

/// Attacks the network at x (only the shape of `region` matters for the start: x + U(−1/2, 1/2) · (upper − lower)).
///
/// `key` (u32 `[4]`) and the streams from `stream` on, one a restart, choose the random starts. Steps are along the sign of the gradient of the cross-entropy, relative
/// to R = the greatest half width of the region in the batch, and are cut to the region. When every sample of the batch has
/// been misclassified the iterates stay where they are. Nothing here is differentiated by what comes after.
pub fn attack(
    g: &mut Graph,
    network: &Bound<'_>,
    x: Value,
    labels: Value,
    region: Bounds,
    spec: &AttackSpec,
    (key, stream): (Value, u32),
) -> Result<Attacked> {
    // An iterate is where it is, however the gradient that led there was rounded.
    g.fast(|g| {
        let shape = g.shape(x).clone();
        let mut chosen: Option<Attacked> = None;
        for restart in 0..spec.restarts as u32 {
            let uniform = Distribution::Uniform { lower: -0.5, upper: 0.5 };
            let noise = ops::random(g, uniform, key, stream + restart, shape.clone())?;
            let next = attack_from(g, network, x, labels, region, spec, noise)?;
            chosen = Some(match chosen {
                None => next,
                Some(before) => better(g, before, next)?,
            });
        }
        Ok(chosen.expect("at least one start"))
    })
}

/// Per sample the result of the first attack that succeeded, else the one of the higher loss.
fn better(g: &mut Graph, before: Attacked, next: Attacked) -> Result<Attacked> {
    let open = ops::affine(g, before.found, -1.0, 1.0)?;
    let higher = ops::greater(g, next.loss, before.loss)?;
    let gains = ops::maximum(g, next.found, higher)?;
    let take = ops::mul(g, open, gains)?;
    let batch = g.shape(take)[0];
    let per_sample = g.reshape(take, [batch, 1, 1, 1])?;
    Ok(Attacked {
        point: ops::select(g, per_sample, next.point, before.point)?,
        loss: ops::maximum(g, before.loss, next.loss)?,
        found: ops::maximum(g, before.found, next.found)?,
        last: next.last,
    })
}

/// [`attack`] with the noise of the start given, in `[−1/2, 1/2]`, of the shape of x.
pub fn attack_from(
    g: &mut Graph,
    network: &Bound<'_>,
    x: Value,
    labels: Value,
    region: Bounds,
    spec: &AttackSpec,
    noise: Value,
) -> Result<Attacked> {
    let batch = g.shape(x)[0];
    let width = ops::sub(g, region.upper, region.lower)?;
    let widest = ops::reduce_all(g, ReduceKind::Max, width)?;
    let offset = ops::mul(g, noise, width)?;
    let mut z = ops::add(g, x, offset)?;
    if spec.project_start {
        let raised = ops::maximum(g, z, region.lower)?;
        z = ops::minimum(g, raised, region.upper)?;
    }
    let per_sample = |g: &mut Graph, v: Value| g.reshape(v, [batch, 1, 1, 1]);

    // The best iterate so far, and what is known of the attack.
    let mut best: Option<(Value, Value)> = None;
    for &length in &spec.step_lengths {
        z = g.detach(z);
        let logits = network.forward(g, z)?;
        let AttackProgress { gradient, state, chosen, done } =
            ops::attack_progress(g, logits, labels, best.map(|(_, state)| state))?;
        let point = match best {
            Some((point, _)) => {
                let cond = per_sample(g, chosen)?;
                ops::select(g, cond, z, point)?
            }
            None => z,
        };
        best = Some((point, state));
        let gradient = ops::gradients_from(g, logits, gradient, &[z])?[0].expect("the logits depend on the iterate");
        let bounds = PgdRegion { lower: region.lower, upper: region.upper, reach: widest };
        // Relative to half of it.
        z = ops::pgd_step(g, z, gradient, bounds, done, 0.5 * length)?;
    }
    // The iterate after the last step is looked at for misclassification only.
    z = g.detach(z);
    let logits = network.forward(g, z)?;
    let (point, found, loss) = match best {
        Some((point, state)) => {
            let (found, loss) = ops::attack_outcome(g, logits, labels, state)?;
            let cond = per_sample(g, found)?;
            (ops::select(g, cond, z, point)?, found, loss)
        }
        None => {
            let correct = network.correct(g, logits, labels)?;
            (z, ops::affine(g, correct, -1.0, 1.0)?, ops::cross_entropy(g, logits, labels)?)
        }
    };
    let [point, loss, found, last] = [point, loss, found, z].map(|v| g.detach(v));
    Ok(Attacked { point, loss, found, last })
}
