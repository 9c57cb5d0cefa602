//! Cosines between the gradients of losses with respect to the parameters, image by image.

use rayon::prelude::*;
use serde::Serialize;

use super::states::regions;
use super::{POINT, Region, SmallBoxes};
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::nn::Network;
use crate::ops;
use crate::shape::TensorType;
use crate::train::step::input;

/// How far the gradient of a robust loss points where that of the cross-entropy at a point does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alignment {
    /// The box whose worst-case cross-entropy, by IBP, is the robust loss.
    pub robust: Region,
    /// The point of the cross-entropy.
    pub point: Region,
    /// The cosine of each image; `None` where a gradient is 0.
    pub cosines: Vec<Option<f64>>,
    /// Mean of the cosines; not a number (`null`) if there are none.
    pub mean: f64,
    /// Half width of the mean's 95 % interval, by the normal distribution.
    pub half_width: f64,
}

/// The losses: cross-entropy at points, worst-case cross-entropy over boxes; in the order of [`Region::ALL`].
pub const LOSSES: [Region; 4] = Region::ALL;

/// Pairs of a robust loss and a point, as places in [`LOSSES`].
const PAIRS: [(usize, usize); 4] = [(2, 0), (2, 1), (3, 0), (3, 1)];

fn name(loss: usize, parameter: usize) -> String {
    format!("gradient/{loss}/{parameter}")
}

/// Cosines of the first `count` images. Batch norms use their running statistics, and boxes and points are constants of
/// differentiation. The parameters of `network` are states of the session. `progress` hears the number of images done.
pub async fn cosines(
    session: &mut dyn Session,
    network: &Network,
    boxes: &SmallBoxes<'_>,
    count: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Alignment>> {
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(1)))?;
    let point = g.input(POINT, TensorType::f32(network.batch_shape(1)))?;
    let labels = g.input(input::LABELS, TensorType::u32([1]))?;
    let bound = network.bind(&mut g)?;
    let mut outputs: Vec<Vec<String>> = Vec::new();
    for (loss, region) in regions(&mut g, x, point, boxes)?.into_iter().enumerate() {
        let logits = match LOSSES[loss] {
            Region::Natural | Region::Pgd => bound.forward(&mut g, region.center)?,
            Region::SmallBox | Region::EpsilonBox => {
                let propagated = bound.propagate(&mut g, region)?;
                bound.margin_logits(&mut g, propagated.before_last, labels)?
            }
        };
        let value = ops::cross_entropy(&mut g, logits, labels)?;
        let gradients = ops::gradients(&mut g, value, bound.values())?;
        let mut named = Vec::new();
        for (parameter, gradient) in gradients.into_iter().enumerate() {
            if let Some(gradient) = gradient {
                g.output(&name(loss, parameter), gradient);
                named.push(name(loss, parameter));
            } else {
                named.push(String::new());
            }
        }
        outputs.push(named);
    }
    let program = session.compile(&Plan::new(g)?)?;
    let mut cosines = [(); 4].map(|()| Vec::with_capacity(count));
    for (done, (image, point, label, _)) in boxes.batches(1).take(count).enumerate() {
        let feeds = [
            (input::X, bytemuck::cast_slice(&image)),
            (POINT, bytemuck::cast_slice(&point)),
            (input::LABELS, bytemuck::cast_slice(&label)),
        ];
        session.run(program, &feeds)?;
        // ⟨g_a, g_b⟩ of all pairs, parameter by parameter: the gradients of one are held at a time.
        let mut products = [[0.0; 4]; 4];
        for parameter in 0..bound.values().len() {
            let mut gradients = Vec::with_capacity(4);
            for named in &outputs {
                gradients.push(match named[parameter].as_str() {
                    "" => Vec::new(),
                    name => read_f32(session, program, name).await?,
                });
            }
            for (a, b) in PAIRS.into_iter().chain((0..4).map(|loss| (loss, loss))) {
                products[a][b] += dot(&gradients[a], &gradients[b]);
            }
        }
        for (cosines, (a, b)) in cosines.iter_mut().zip(PAIRS) {
            let length = (products[a][a] * products[b][b]).sqrt();
            cosines.push((length > 0.0).then(|| (products[a][b] / length).clamp(-1.0, 1.0)));
        }
        progress(done + 1);
    }
    session.release(program);
    let pairs = PAIRS.into_iter().map(|(robust, point)| (LOSSES[robust], LOSSES[point]));
    Ok(pairs.zip(cosines).map(|((robust, point), cosines)| Alignment::new(robust, point, cosines)).collect())
}

/// Two-sided 95 % quantile of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

impl Alignment {
    /// The mean of `cosines` and its interval.
    pub fn new(robust: Region, point: Region, cosines: Vec<Option<f64>>) -> Alignment {
        let known: Vec<f64> = cosines.iter().copied().flatten().collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let squares = known.iter().map(|c| (c - mean).powi(2)).sum::<f64>();
        // One image has no spread.
        let half_width = if known.len() > 1 { Z95 * (squares / (n - 1.0) / n).sqrt() } else { f64::NAN };
        Alignment { robust, point, cosines, mean, half_width }
    }
}

/// Σ aᵢbᵢ in f64; 0 where one is missing.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let part = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let parts: Vec<f64> = a.par_chunks(1 << 14).zip(b.par_chunks(1 << 14)).map(part).collect();
    // In their order: the same sum every time.
    parts.into_iter().sum()
}
