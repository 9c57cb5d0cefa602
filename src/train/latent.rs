//! The attack of TAPS behind a split of the network, and the way of its gradient back to the box (Mao et al. 2023, §3).
//!
//! The layers before the split propagate a box; in it, for each wrong class of each sample, an attack of its own maximises the
//! margin z_class − z_label of the layers behind. The found points are no functions of the box, so a connector says how
//! they move with its ends.
//!
//! Points of a group of S wrong classes are held class by class, `[S,N·L]`, L the elements of a sample at the split: the box of a
//! batch is then spread over them for nothing. Groups are as large as [`TapsSpec::group_elements`] lets them be.

use std::ops::Range;

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::interval::{Bounds, Interval};
use crate::nn::Bound;
use crate::ops::{self, Distribution, ReduceKind};
use crate::shape::Shape;

/// 128 MiB of f32, the least binding that every WebGPU device has. CIFAR-10's nine wrong classes behind the convolutions of `cnn7`
/// are two groups at a batch of 128; TinyImageNet's 199 are dozens.
pub const GROUP_ELEMENTS: usize = 1 << 25;
/// What the authors put in the place of widths and distances that are 0, or nearly.
const TOLERANCE: f32 = 1e-5;

/// What TAPS does behind the split.
///
/// The authors' settings for the seven-layer network, from the scripts of the TAPS code (`scripts/train_*`) and, where the method has a
/// `C`, of CTBench. Their `--block-sizes` 17/4, 13/8, 10/11 and 4/17 are 1, 2, 3 and 5 ReLUs behind the split; w is their `--alpha-box`
/// or `--taps-grad-scale`, c is ½ everywhere. In brackets the ε of training where it is not that of the test.
///
/// | dataset, ε | method | split | w | steps × restarts | L1 | besides |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | MNIST 0.1 (0.2) | TAPS | 1 | 5 | 20 × 1 | 0 | |
/// | | TAPS C | 3 | 4 | 10 × 3 | 2e-6 | loss 0.7 robust + 0.3 clean |
/// | | STAPS | 1 | 5 | 20 × 1 | 2e-5 | λ 0.4, PyTorch's initialisation |
/// | MNIST 0.3 (0.4) | TAPS | 1 | 5 | 20 × 1 | 0 | |
/// | | TAPS C | 2 | 4 | 5 × 3 | 0 | |
/// | | STAPS | 1 | 5 | 20 × 1 | 2e-6 | λ 0.6 |
/// | MNIST 0.3 | STAPS C | 1 | 4 | 10 × 3 | 1e-5 | λ 0.6 |
/// | CIFAR-10 2/255 | TAPS | 5 | 5 | 20 × 1 | 2e-6 | |
/// | | STAPS | 1 | 2 | 20 × 1 | 2e-6 | λ 0.1, shrinking 0.8 |
/// | | STAPS C | 1 | 2 | 8 × 3 | 1e-6 | λ 0.1, shrinking 0.8 |
/// | CIFAR-10 8/255 | TAPS | 1 | 5 | 20 × 1 | 2e-6 | |
/// | | STAPS | 1 | 5 | 20 × 1 | 2e-6 | λ 0.7 |
/// | | STAPS C | 1 | 2 | 10 × 3 | 0 | λ 0.9 |
/// | TinyImageNet 1/255 | TAPS | 1 | 5 | 20 × 1 | 0 | fifth convolution of stride 2 |
/// | | STAPS | 1 | 5 | 10 × 1 | 1e-6 | λ 0.6, fifth convolution of stride 2 |
///
/// What differs here: STAPS has SABR's attack and small box (the authors attack the images by 10 steps of 0.2, with a radius of
/// λ times half the region's width in each pixel), and CTBench's input attack has restarts.
#[derive(Clone, Debug, PartialEq)]
pub struct TapsSpec {
    /// ReLUs behind the split, see [`crate::nn::Network::split_layer`].
    pub split: usize,
    /// Length of each gradient step, relative to the width of the box in each place.
    pub step_lengths: Vec<f32>,
    /// Random starts.
    pub restarts: usize,
    /// Threshold c of [`connect`].
    pub threshold: f32,
    /// Weight w of the gradient through the estimated margins.
    pub grad_scale: f32,
    /// Most elements of any value behind the split, which decides how many wrong classes are attacked at once (one at least);
    /// [`GROUP_ELEMENTS`] in training.
    pub group_elements: usize,
}

impl TapsSpec {
    /// The authors' lengths of `steps` steps: `size` (if `None` the greater of 0.2 and 2/steps, which always reaches the faces), times
    /// `decay` from 70 % of the steps on; above 50 steps from 40 and 70 %, above 80 from 30, 60 and 80 %. Without a `decay` of its own
    /// it is 0.1 from 20 steps on and none below, as in the TAPS code; CTBench has 0.2 from 10 steps on.
    pub fn step_lengths(steps: usize, size: Option<f64>, decay: Option<f64>) -> Vec<f32> {
        let size = size.unwrap_or_else(|| (2.0 / steps as f64).max(0.2));
        let decay = decay.unwrap_or(if steps >= 20 { 0.1 } else { 1.0 });
        let tenths: &[usize] = match steps {
            0..=50 => &[7],
            51..=80 => &[4, 7],
            _ => &[3, 6, 8],
        };
        let drops = |i: usize| tenths.iter().filter(|&&t| i >= steps * t / 10).count() as i32;
        (0..steps).map(|i| (size * decay.powi(drops(i))) as f32).collect()
    }
}

/// Some wrong classes of each sample, in ascending order, and the layers behind the split.
struct Group<'a, 'n> {
    network: &'a Bound<'n>,
    layer: usize,
    /// S.
    classes: usize,
    /// Shape of what enters the layers, a sample for each class of each sample, `[S·N,…]`.
    points: Shape,
    /// `[S·N,K]`: 1 at the wrong class, −1 at the label.
    weights: Value,
}

impl Group<'_, '_> {
    /// Logits `[S·N,K]` and margins z_class − z_label `[S·N]` at points `[S,N·L]`.
    fn margins(&self, g: &mut Graph, points: Value) -> Result<(Value, Value)> {
        let points = g.reshape(points, self.points.clone())?;
        let logits = self.network.forward_from(g, self.layer, points)?;
        let chosen = ops::mul(g, logits, self.weights)?;
        Ok((logits, ops::reduce_samples(g, ReduceKind::Sum, chosen)?))
    }
}

/// Margins at attacked points in the box `latent` `[N,…]` before the split layer of `network` → `[N,K]`: 0 for the label in column
/// 0, then z_class − z_label of the wrong classes in ascending order. No bounds, but never above them.
///
/// `key` (u32 `[4]`) and the streams from `stream` on choose the random starts.
pub fn estimated_margins(
    g: &mut Graph,
    network: &Bound<'_>,
    latent: Interval,
    labels: Value,
    spec: &TapsSpec,
    (key, mut stream): (Value, u32),
) -> Result<Value> {
    estimated_margins_from(g, network, latent, labels, spec, &mut |g, shape| {
        let noise = ops::random(g, Distribution::Uniform { lower: 0.0, upper: 1.0 }, key, stream, shape)?;
        stream += 1;
        Ok(noise)
    })
}

/// [`estimated_margins`] with the starts given: `start` is asked once for each group and restart for numbers in `[0, 1]` of shape
/// `[S,N·L]`, the place between the ends of the box.
pub fn estimated_margins_from(
    g: &mut Graph,
    network: &Bound<'_>,
    latent: Interval,
    labels: Value,
    spec: &TapsSpec,
    start: &mut dyn FnMut(&mut Graph, Shape) -> Result<Value>,
) -> Result<Value> {
    let layer = network.network().split_layer(spec.split)?;
    let shape = g.shape(latent.center).clone();
    let (samples, classes) = (shape[0], network.network().classes);
    let ends = latent.bounds(g)?;
    let flat = [1, shape.elements()];
    let ends = Bounds { lower: g.reshape(ends.lower, flat)?, upper: g.reshape(ends.upper, flat)? };
    // The attack makes many passes over one set of weights, none of which is differentiated with respect to them.
    let folded = network.folded(g)?;
    let one_hot = one_hot(g, labels, classes)?;
    let wrong = classes - 1;
    let most = (spec.group_elements / (samples * network.network().widest_from(layer))).clamp(1, wrong.max(1));
    let size = wrong.div_ceil(wrong.div_ceil(most).max(1)).max(1);

    let mut margins = ops::fill(g, 0.0, [samples, classes])?;
    for first in (0..wrong).step_by(size) {
        let range = first..(first + size).min(wrong);
        let mut points = shape.dims().to_vec();
        points[0] *= range.len();
        let weights = margin_weights(g, one_hot, range.clone())?;
        let attacked = Group { network: &folded, layer, classes: range.len(), points: points.into(), weights };
        let found = attack(g, &attacked, ends, spec, start)?;
        let connected = connect(g, found, ends, spec.threshold)?;
        let (_, found) = Group { network, ..attacked }.margins(g, connected)?;
        let placed = place(g, found, range, [samples, classes])?;
        margins = ops::add(g, margins, placed)?;
    }
    Ok(margins)
}

/// The best points of a group, by margin, of all iterates from all starts. Steps are along the sign of the gradient, relative to
/// the width of the box in each place, and are cut to the box.
fn attack(
    g: &mut Graph,
    group: &Group<'_, '_>,
    ends: Bounds,
    spec: &TapsSpec,
    start: &mut dyn FnMut(&mut Graph, Shape) -> Result<Value>,
) -> Result<Value> {
    let (lower, upper) = (g.detach(ends.lower), g.detach(ends.upper));
    let width = ops::sub(g, upper, lower)?;
    let places = g.shape(width)[1];
    let rows = group.points[0];
    let mut best: Option<(Value, Value)> = None; // points, margins
    for _ in 0..spec.restarts {
        let noise = start(g, [group.classes, places].into())?;
        let offset = ops::mul(g, noise, width)?;
        let mut z = ops::add(g, offset, lower)?;
        for i in 0..=spec.step_lengths.len() {
            z = g.detach(z);
            let (logits, margins) = group.margins(g, z)?;
            best = Some(match best {
                None => (z, margins),
                Some((points, greatest)) => {
                    let better = ops::greater(g, margins, greatest)?;
                    let better = g.reshape(better, [rows, 1])?;
                    let [new, old] = [z, points].map(|v| g.reshape(v, [rows, places * group.classes / rows]));
                    let points = ops::select(g, better, new?, old?)?;
                    (g.reshape(points, [group.classes, places])?, ops::maximum(g, greatest, margins)?)
                }
            });
            let Some(&length) = spec.step_lengths.get(i) else { break };
            // The gradient of the sum of all margins; rows do not see each other.
            let Some(grad) = ops::gradients_from(g, logits, group.weights, &[z])?[0] else { break };
            let sign = ops::sign(g, grad)?;
            let reach = ops::scale(g, width, length)?;
            let step = ops::mul(g, sign, reach)?;
            let moved = ops::add(g, z, step)?;
            let raised = ops::maximum(g, moved, lower)?;
            z = ops::minimum(g, raised, upper)?;
        }
    }
    let (points, _) = best.expect("a start and an iterate at least");
    Ok(g.detach(points))
}

/// The rectified linear gradient connector (Mao et al. 2023, §3.3): `points` `[S,M]` in the box with `ends` `[1,M]`, unchanged, with
/// gradients to the ends. With s = c·(upper − lower) the slope to the upper end is (x − (upper − s))/s where x is within s of it, else 0,
/// and likewise to the lower end: 1 on the face, 0 from the `threshold` c on.
///
/// As in the authors' code distances count as 5e-6 and s as 1e-5 at least, so where the box has no width both slopes are ½.
pub fn connect(g: &mut Graph, points: Value, ends: Bounds, threshold: f32) -> Result<Value> {
    let points = g.detach(points);
    let (lower, upper) = (g.detach(ends.lower), g.detach(ends.upper));
    let width = ops::sub(g, upper, lower)?;
    let reach = ops::scale(g, width, threshold)?;
    let divisor = ops::clamp(g, reach, TOLERANCE, f32::MAX)?;
    let upper_limit = ops::sub(g, upper, reach)?;
    let lower_limit = ops::add(g, lower, reach)?;
    let mut connected = points;
    for (end, constant, far, near) in
        [(ends.upper, upper, upper_limit, points), (ends.lower, lower, points, lower_limit)]
    {
        let beyond = ops::greater(g, far, near)?;
        let within = ops::affine(g, beyond, -1.0, 1.0)?;
        let distance = ops::sub(g, near, far)?;
        let distance = ops::clamp(g, distance, 0.5 * TOLERANCE, f32::MAX)?;
        let slope = ops::div(g, distance, divisor)?;
        let slope = ops::mul(g, slope, within)?;
        // 0, with the gradient of the end.
        let moved = ops::sub(g, end, constant)?;
        let link = ops::mul(g, slope, moved)?;
        connected = ops::add(g, connected, link)?;
    }
    Ok(connected)
}

/// CE(estimated margins) · CE(bounds of the margins) → `[1]`, each a mean over the batch, the gradient through the first weighted
/// by `grad_scale` (Mao et al. 2023, §3.4; a product of means in the authors' code). `estimated` `[N,K]` is that of
/// [`estimated_margins`], `bounds` `[N,K]` that of [`Interval::margin_logits`].
pub fn product_loss(g: &mut Graph, estimated: Value, bounds: Value, labels: Value, grad_scale: f32) -> Result<Value> {
    let samples = g.shape(labels)[0];
    let first = g.constant_u32(&vec![0; samples], [samples])?;
    let losses = ops::cross_entropy(g, estimated, first)?;
    let mean = ops::mean_all(g, losses)?;
    // The same value with `grad_scale` times its gradient.
    let constant = g.detach(mean);
    let zero = ops::sub(g, mean, constant)?;
    let scaled = ops::scale(g, zero, grad_scale)?;
    let of_estimates = ops::add(g, constant, scaled)?;
    let losses = ops::cross_entropy(g, bounds, labels)?;
    let of_bounds = ops::mean_all(g, losses)?;
    ops::mul(g, of_estimates, of_bounds)
}

/// 1 at the label, else 0 → `[N,K]`, exact.
fn one_hot(g: &mut Graph, labels: Value, classes: usize) -> Result<Value> {
    let samples = g.shape(labels)[0];
    let numbers: Vec<f32> = (0..samples).flat_map(|_| (0..classes).map(|k| k as f32)).collect();
    let numbers = g.constant(&numbers, [samples, classes])?;
    let distance = ops::label_margin(g, numbers, labels)?;
    let distance = ops::abs(g, distance)?;
    let other = ops::clamp(g, distance, 0.0, 1.0)?;
    ops::affine(g, other, -1.0, 1.0)
}

/// 1 at the wrong classes number `range` (in ascending order) and −1 at the label → `[S·N,K]`, class by class.
fn margin_weights(g: &mut Graph, one_hot: Value, range: Range<usize>) -> Result<Value> {
    let (samples, classes) = (g.shape(one_hot)[0], g.shape(one_hot)[1]);
    let count = range.len();
    // Row (number, k) has the weight of class k for each label: a matrix product with the one-hot labels looks it up.
    let mut table = Vec::with_capacity(count * classes * classes);
    for number in range {
        for k in 0..classes {
            table.extend((0..classes).map(|label| {
                let wrong = number + usize::from(number >= label);
                f32::from(u8::from(k == wrong)) - f32::from(u8::from(k == label))
            }));
        }
    }
    let table = g.constant(&table, [count * classes, classes])?;
    let rows = ops::linear(g, one_hot, table, None)?;
    let rows = g.reshape(rows, [samples, count, classes])?;
    let rows = ops::transpose(g, rows, &[1, 0, 2])?;
    g.reshape(rows, [count * samples, classes])
}

/// Margins `[S·N]` of the wrong classes number `range` in their columns of `[N,K]`, behind the label's; 0 elsewhere.
fn place(g: &mut Graph, margins: Value, range: Range<usize>, [samples, classes]: [usize; 2]) -> Result<Value> {
    let count = range.len();
    let columns: Vec<f32> = (0..classes)
        .flat_map(|column| range.clone().map(move |number| f32::from(u8::from(column == number + 1))))
        .collect();
    let columns = g.constant(&columns, [classes, count])?;
    let margins = g.reshape(margins, [count, samples])?;
    let margins = ops::transpose(g, margins, &[1, 0])?;
    ops::linear(g, margins, columns, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_lengths_are_the_authors() {
        let close = |got: &[f32], want: &[f64]| {
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(want) {
                assert!((f64::from(*g) - w).abs() < 1e-7, "{got:?}");
            }
        };
        close(&TapsSpec::step_lengths(5, None, None), &[0.4; 5]);
        close(&TapsSpec::step_lengths(10, None, None), &[0.2; 10]);
        close(&TapsSpec::step_lengths(20, None, None), &[[0.2; 14].as_slice(), &[0.02; 6]].concat());
        close(&TapsSpec::step_lengths(10, Some(0.3), Some(0.5)), &[[0.3; 7].as_slice(), &[0.15; 3]].concat());
        let long = TapsSpec::step_lengths(100, Some(1.0), None);
        close(&[long[29], long[30], long[60], long[80]], &[1.0, 0.1, 0.01, 0.001]);
        let middle = TapsSpec::step_lengths(60, Some(1.0), None);
        close(&[middle[23], middle[24], middle[42]], &[1.0, 0.1, 0.01]);
    }
}
