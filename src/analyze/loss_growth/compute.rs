//! Margins over boxes, by intervals and by linear relaxation, and the loss that they make.

use super::{Bound, Point, Setting};
use crate::analyze::Sample;
use crate::certify::bounds::{Boxes, Objective, Relaxer};
use crate::certify::network::ReluNetwork;
use crate::device::{Program, Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::interval;
use crate::nn::Network;
use crate::shape::TensorType;
use crate::train::step::input;

/// Input of the program: half width of the boxes before they are cut.
const RADIUS: &str = "radius";
/// Output of the program.
const MARGINS: &str = "margins";

/// Images that intervals go through at once.
const INTERVAL_BATCH: usize = 256;
/// Images that linear relaxation bounds at once.
const RELAXED_BATCH: usize = 16;

/// Robust loss log(1 + Σ exp(−dᵢ)), in nats, of lower bounds dᵢ of the margins z_y − z_i, i ≠ y.
pub fn robust_loss(margins: &[f64]) -> f64 {
    // log Σ exp of 0 and all −d, relative to the greatest of them.
    let top = margins.iter().fold(0.0, |top: f64, d| top.max(-d));
    let rest: f64 = margins.iter().map(|d| (-d - top).exp()).sum();
    match top {
        0.0 => rest.ln_1p(),
        _ => top + ((-top).exp() + rest).ln(),
    }
}

/// Sums over images.
#[derive(Default)]
struct Sums {
    loss: f64,
    certified: usize,
}

impl Sums {
    fn add(&mut self, margins: &[f64]) {
        self.loss += robust_loss(margins);
        self.certified += usize::from(margins.iter().all(|&d| d > 0.0));
    }

    fn point(&self, lambda: f64, images: usize) -> Point {
        Point { lambda, loss: self.loss / images as f64, certified: self.certified }
    }
}

/// Loss and certified images at each λ of the setting. The tensors of `network` are states of the session; `relu_network` is the same
/// network. `progress` hears (radii done, radii in all).
pub async fn curve(
    session: &mut dyn Session,
    (network, relu_network): (&Network, &ReluNetwork),
    sample: &Sample,
    setting: &Setting,
    bound: Bound,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Point>> {
    let mut points = Vec::with_capacity(setting.lambdas.len());
    match bound {
        Bound::Ibp => {
            let batch = INTERVAL_BATCH.min(sample.len());
            let program = intervals(session, network, batch)?;
            for (done, &lambda) in setting.lambdas.iter().enumerate() {
                progress(done, setting.lambdas.len());
                let sums = by_intervals(session, program, sample, lambda * setting.epsilon, batch).await?;
                points.push(sums.point(lambda, sample.len()));
            }
            session.release(program);
        }
        Bound::Crown => {
            let mut relaxer = Relaxer::new(session, relu_network, RELAXED_BATCH.min(sample.len()))?;
            for (done, &lambda) in setting.lambdas.iter().enumerate() {
                progress(done, setting.lambdas.len());
                let sums = by_relaxation(session, &mut relaxer, sample, lambda * setting.epsilon).await?;
                points.push(sums.point(lambda, sample.len()));
            }
            relaxer.release(session);
        }
    }
    Ok(points)
}

/// The program of intervals: images, labels and a radius to upper bounds of z_k − z_y, `[N,K]`, 0 at the label.
fn intervals(session: &mut dyn Session, network: &Network, batch: usize) -> Result<Program> {
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
    let labels = g.input(input::LABELS, TensorType::u32([batch]))?;
    let radius = g.input(RADIUS, TensorType::f32([1]))?;
    let bound = network.bind(&mut g)?.folded(&mut g)?;
    let region = interval::Bounds::ball(&mut g, x, radius)?.interval(&mut g)?;
    let propagated = bound.propagate(&mut g, region)?;
    let margins = bound.margin_logits(&mut g, propagated.before_last, labels)?;
    g.output(MARGINS, margins);
    session.compile(&Plan::new(g)?)
}

async fn by_intervals(
    session: &mut dyn Session,
    program: Program,
    sample: &Sample,
    radius: f64,
    batch: usize,
) -> Result<Sums> {
    let (mut sums, radius) = (Sums::default(), [radius as f32]);
    for (images, labels, counted) in sample.batches(batch) {
        let feeds = [
            (input::X, bytemuck::cast_slice(&images)),
            (input::LABELS, bytemuck::cast_slice(&labels)),
            (RADIUS, bytemuck::cast_slice(&radius)),
        ];
        session.run(program, &feeds)?;
        let found = read_f32(session, program, MARGINS).await?;
        for (row, &label) in found.chunks(sample.classes).zip(&labels).take(counted) {
            sums.add(&others(label, sample.classes).map(|k| -f64::from(row[k])).collect::<Vec<f64>>());
        }
    }
    Ok(sums)
}

async fn by_relaxation(
    session: &mut dyn Session,
    relaxer: &mut Relaxer<'_>,
    sample: &Sample,
    radius: f64,
) -> Result<Sums> {
    let mut sums = Sums::default();
    let indices: Vec<usize> = (0..sample.len()).collect();
    for chunk in indices.chunks(relaxer.batch()) {
        let ends: Vec<(Vec<f64>, Vec<f64>)> = chunk.iter().map(|&i| ball(sample.image(i), radius)).collect();
        let ends: Vec<(&[f64], &[f64])> = ends.iter().map(|(lower, upper)| (&lower[..], &upper[..])).collect();
        let boxes = Boxes::new(relaxer.network(), &ends);
        let mut bounds = relaxer.interval(session, &boxes).await?;
        relaxer.tighten(session, &mut bounds, false).await?;
        let rows = chunk.iter().enumerate().flat_map(|(place, &i)| {
            let label = sample.labels[i];
            others(label, sample.classes).map(move |k| {
                let mut coefficients = vec![0.0; sample.classes];
                (coefficients[label as usize], coefficients[k]) = (1.0, -1.0);
                Objective { sample: place, coefficients }
            })
        });
        let rows: Vec<Objective> = rows.collect();
        let lower = relaxer.lower_bounds(session, &bounds, &rows).await?;
        for margins in lower.chunks(sample.classes - 1) {
            sums.add(&margins.iter().map(|&d| f64::from(d)).collect::<Vec<f64>>());
        }
    }
    Ok(sums)
}

/// The other classes, in order.
fn others(label: u32, classes: usize) -> impl Iterator<Item = usize> {
    (0..classes).filter(move |&k| k != label as usize)
}

/// The box around an image, cut with `[0, 1]`.
fn ball(image: &[f32], radius: f64) -> (Vec<f64>, Vec<f64>) {
    let end = |sign: f64| image.iter().map(|&p| (f64::from(p) + sign * radius).clamp(0.0, 1.0)).collect();
    (end(-1.0), end(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_cross_entropy_of_its_margins_at_any_size() {
        let plain = |d: &[f64]| (1.0 + d.iter().map(|d| (-d).exp()).sum::<f64>()).ln();
        for margins in [vec![0.0; 9], vec![1.0, -2.0, 0.5], vec![-30.0, 3.0], vec![5.0], vec![]] {
            let (got, want) = (robust_loss(&margins), plain(&margins));
            assert!((got - want).abs() <= 1e-14 * want.max(1.0), "{margins:?}: {got} instead of {want}");
        }
        // Where the plain formula has no digits left.
        assert_eq!(robust_loss(&[50.0]), (-50.0f64).exp());
        assert_eq!(robust_loss(&[-2000.0, 0.0]), 2000.0);
        assert!(robust_loss(&[800.0]) == 0.0 && robust_loss(&[700.0]) > 0.0);
    }
}
