//! The boxes of a network's layers, propagated on a device.

use rayon::prelude::*;

use super::{Center, CenterGrowth, Gaussian, Kind, LayerInfo, ModelGrowth, relu_radius};
use crate::analyze::{Attack, Sample, attacked, random};
use crate::device::{Program, Session, read_f32};
use crate::error::{Error, Result};
use crate::graph::{Graph, Plan};
use crate::interval::Interval;
use crate::nn::{Layer, Network, Role};
use crate::ops::{self, ReduceKind};
use crate::shape::TensorType;
use crate::train::step::input;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The images.
    pub sample: &'a Sample,
    /// Radii of the boxes in pixels, rising; two at least.
    pub radii: &'a [f64],
    /// The attack that finds the PGD points; its seed is that of the random images too, its batch that of all programs.
    pub attack: Attack,
}

/// Growth in `network`, called `label`. Its parameters are states of the session. `progress` hears (batches done, batches in all).
///
/// # Errors
/// [`Error::Config`] for radii that are not positive and rising, or fewer than two.
pub async fn measure(
    session: &mut dyn Session,
    network: &Network,
    label: &str,
    settings: &Settings<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ModelGrowth> {
    let Settings { sample, radii, attack } = settings;
    if radii.len() < 2 || radii[0] <= 0.0 || !radii.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Error::Config(format!("radii of boxes {radii:?}: expected two or more, positive and rising")));
    }
    let batch = attack.batch.min(sample.len());
    let batches = sample.len().div_ceil(batch);
    let (mut done, all) = (0, batches * (1 + Center::ALL.len() * (radii.len() + 1)));
    let mut layers = layers(network);
    let boxes = Boxes::new(session, network, &layers, batch)?;
    let affine = Affine::new(session, network, &layers)?;
    let mut centers = Vec::new();
    for center in Center::ALL {
        let images = match center {
            Center::Natural => sample.images.clone(),
            Center::Pgd => {
                let first = done;
                let mut heard = |images: usize| progress(first + images.div_ceil(batch), all);
                done += batches;
                attacked(session, network, sample, attack, &mut heard).await?
            }
            Center::Random => random(sample, attack.seed),
        };
        let at = Sample { images, ..(*sample).clone() };
        let mut behind = Vec::with_capacity(radii.len());
        for &radius in *radii {
            behind.push(boxes.mean_radii(session, &at, radius, &mut || advance(&mut done, all, progress)).await?);
        }
        let before: Vec<Vec<f64>> = (0..layers.len())
            .map(|layer| (0..radii.len()).map(|s| if layer == 0 { radii[s] } else { behind[s][layer - 1] }).collect())
            .collect();
        let found = boxes.uniform_relus(session, &at, &before, &mut || advance(&mut done, all, progress)).await?;
        if center == Center::Natural {
            for (layer, relu) in layers.iter_mut().zip(&found) {
                layer.info.gaussian = relu.as_ref().map(|relu| relu.gaussian);
            }
        }
        let of_affine = affine.rates(session, &before).await?;
        let uniform = found.into_iter().zip(of_affine).map(|(relu, rates)| relu.map_or(rates, |relu| relu.rates));
        let infos: Vec<LayerInfo> = layers.iter().map(|layer| layer.info.clone()).collect();
        centers.push(CenterGrowth::new(center, &infos, radii, &behind, uniform.collect()));
    }
    session.release(boxes.program);
    session.release(affine.program);
    let layers = layers.into_iter().map(|layer| layer.info).collect();
    Ok(ModelGrowth { model: label.into(), layers, centers })
}

fn advance(done: &mut usize, all: usize, progress: &mut dyn FnMut(usize, usize)) {
    *done += 1;
    progress(*done, all);
}

/// A layer that does something to a box.
struct Measured {
    /// Its place in [`Network::layers`].
    place: usize,
    info: LayerInfo,
}

/// The layers of `network` but those that only change extents.
fn layers(network: &Network) -> Vec<Measured> {
    let (mut block, mut relus) = (0, 0);
    let mut weights = network.parameters().iter().filter(|p| matches!(p.role, Role::Weight | Role::Scale));
    let mut found = Vec::new();
    for (place, layer) in network.layers().iter().enumerate() {
        let weighted = matches!(layer, Layer::Conv2d { .. } | Layer::Linear { .. } | Layer::BatchNorm);
        let terms = weights.by_ref().take(usize::from(weighted)).map(|p| p.fan_in).sum::<usize>() + 1;
        block += usize::from(matches!(layer, Layer::Conv2d { .. } | Layer::Linear { .. }));
        relus += usize::from(matches!(layer, Layer::Relu));
        let (kind, name) = match layer {
            Layer::Normalize { .. } => (Kind::Normalisation, "normalisation".to_string()),
            Layer::Conv2d { .. } => (Kind::Convolution, format!("conv {block}")),
            Layer::Linear { .. } => (Kind::Linear, format!("linear {block}")),
            Layer::BatchNorm => (Kind::BatchNorm, format!("batch norm {block}")),
            Layer::Relu => (Kind::Relu, format!("ReLU {relus}")),
            Layer::Flatten => continue,
        };
        let rounding = if kind == Kind::Relu { 0.0 } else { rounding(terms) };
        found.push(Measured { place, info: LayerInfo { name, kind, block, rounding, gaussian: None } });
    }
    found
}

/// Bound of the relative difference of two f32 sums of as many positive terms: twice the unit roundoff for each term, and from
/// 64 on for 8·√terms of them, which independent roundings exceed with a probability below e⁻³² (Higham and Mary 2019, theorem 2.4).
fn rounding(terms: usize) -> f64 {
    let terms = terms as f64;
    2.0 * f64::from(f32::EPSILON) * terms.min(8.0 * terms.sqrt())
}

const RADIUS: &str = "radius";

fn radius_name(layer: usize) -> String {
    format!("radius/{layer}")
}

fn center_name(layer: usize) -> String {
    format!("center/{layer}")
}

/// Boxes of one radius around a batch of images, on their way through all layers.
struct Boxes {
    program: Program,
    batch: usize,
    /// Values of one image behind each layer.
    elements: Vec<usize>,
    /// Which layers are ReLUs.
    relu: Vec<bool>,
}

/// Uniform boxes through a ReLU.
struct Uniform {
    gaussian: Gaussian,
    /// κ, by size.
    rates: Vec<f64>,
}

impl Boxes {
    fn new(session: &mut dyn Session, network: &Network, layers: &[Measured], batch: usize) -> Result<Boxes> {
        let mut g = Graph::new();
        let shape = network.batch_shape(batch);
        let x = g.input(input::X, TensorType::f32(shape.clone()))?;
        let radius = g.input(RADIUS, TensorType::f32([1]))?;
        let bound = network.bind(&mut g)?;
        let zeros = ops::fill(&mut g, 0.0, shape)?;
        let mut region = Interval { center: x, radius: ops::add(&mut g, zeros, radius)? };
        // Middles of boxes are not values at the middles behind a ReLU: the points go their own way.
        let mut point = Interval { center: x, radius: zeros };
        let mut elements = Vec::new();
        let mut measured = layers.iter().enumerate().peekable();
        for place in 0..network.layers().len() {
            let Some(&(index, layer)) = measured.peek() else { break };
            if layer.place == place && layer.info.kind == Kind::Relu {
                g.output(&center_name(index), point.center);
            }
            region = bound.propagate_layer(&mut g, place, region)?;
            point = bound.propagate_layer(&mut g, place, point)?;
            if layer.place == place {
                let sum = ops::reduce_samples(&mut g, ReduceKind::Sum, region.radius)?;
                g.output(&radius_name(index), sum);
                elements.push(g.shape(region.radius).inner());
                measured.next();
            }
        }
        let program = session.compile(&Plan::new(g)?)?;
        let relu = layers.iter().map(|layer| layer.info.kind == Kind::Relu).collect();
        Ok(Boxes { program, batch, elements, relu })
    }

    fn run(&self, session: &mut dyn Session, images: &[f32], radius: f64) -> Result<()> {
        let radius = [radius as f32];
        let feeds = [(input::X, bytemuck::cast_slice(images)), (RADIUS, bytemuck::cast_slice(&radius))];
        session.run(self.program, &feeds)
    }

    /// Mean radius behind each layer of boxes of `radius` around the images.
    async fn mean_radii(
        &self,
        session: &mut dyn Session,
        at: &Sample,
        radius: f64,
        advance: &mut dyn FnMut(),
    ) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.elements.len()];
        for (images, _, counted) in at.batches(self.batch) {
            self.run(session, &images, radius)?;
            for (layer, sum) in sums.iter_mut().enumerate() {
                let of_images = read_f32(session, self.program, &radius_name(layer)).await?;
                *sum += of_images[..counted].iter().map(|&r| f64::from(r)).sum::<f64>();
            }
            advance();
        }
        let mean = |(sum, &elements): (f64, &usize)| sum / (elements * at.len()) as f64;
        Ok(sums.into_iter().zip(&self.elements).map(mean).collect())
    }

    /// Uniform boxes of the radii `before` (by layer and size) around the inputs of each ReLU; `None` for other layers.
    async fn uniform_relus(
        &self,
        session: &mut dyn Session,
        at: &Sample,
        before: &[Vec<f64>],
        advance: &mut dyn FnMut(),
    ) -> Result<Vec<Option<Uniform>>> {
        let sizes = before[0].len();
        // Sums of values, of squares, and of radii behind the ReLU for each size.
        let mut sums = vec![vec![0.0; 2 + sizes]; before.len()];
        for (images, _, counted) in at.batches(self.batch) {
            self.run(session, &images, 0.0)?;
            for layer in (0..before.len()).filter(|&layer| self.relu[layer]) {
                let centers = read_f32(session, self.program, &center_name(layer)).await?;
                let centers = &centers[..counted * self.elements[layer]];
                let found = centers.par_chunks(1 << 12).map(|part| of_part(part, &before[layer])).collect::<Vec<_>>();
                // In their order: the same sum every time.
                for part in found {
                    sums[layer].iter_mut().zip(part).for_each(|(sum, term)| *sum += term);
                }
            }
            advance();
        }
        let uniform = |layer: usize| {
            let (count, sums) = (self.elements[layer] * at.len(), &sums[layer]);
            let rates = sums[2..].iter().zip(&before[layer]).map(|(sum, radius)| sum / count as f64 / radius);
            Uniform { gaussian: Gaussian::of_sums(count, sums[0], sums[1]), rates: rates.collect() }
        };
        Ok((0..before.len()).map(|layer| self.relu[layer].then(|| uniform(layer))).collect())
    }
}

/// Sum of `centers`, of their squares, and of the radii behind a ReLU of boxes of each of `radii` around them.
fn of_part(centers: &[f32], radii: &[f64]) -> Vec<f64> {
    let centers = || centers.iter().map(|&c| f64::from(c));
    let of_radius = |&radius: &f64| centers().map(|c| relu_radius(c, radius)).sum();
    [centers().sum(), centers().map(|c| c * c).sum()].into_iter().chain(radii.iter().map(of_radius)).collect()
}

/// Uniform boxes through the affine layers, each on its own. Where the boxes are changes nothing there: their middles are 0.
struct Affine {
    program: Program,
    /// Which layers are affine.
    layers: Vec<bool>,
}

impl Affine {
    fn new(session: &mut dyn Session, network: &Network, layers: &[Measured]) -> Result<Affine> {
        let mut g = Graph::new();
        let bound = network.bind(&mut g)?;
        let mut shape = network.batch_shape(1);
        let mut measured = layers.iter().enumerate().peekable();
        for place in 0..network.layers().len() {
            let zeros = ops::fill(&mut g, 0.0, shape)?;
            let mut region = Interval { center: zeros, radius: zeros };
            let this = measured.next_if(|(_, layer)| layer.place == place);
            let affine = this.filter(|(_, layer)| layer.info.kind != Kind::Relu);
            if let Some((index, _)) = affine {
                let radius = g.input(&radius_name(index), TensorType::f32([1]))?;
                region.radius = ops::add(&mut g, zeros, radius)?;
            }
            let behind = bound.propagate_layer(&mut g, place, region)?;
            if let Some((index, _)) = affine {
                g.output(&radius_name(index), behind.radius);
            }
            shape = g.shape(behind.radius).clone();
        }
        let program = session.compile(&Plan::new(g)?)?;
        let layers = layers.iter().map(|layer| layer.info.kind != Kind::Relu).collect();
        Ok(Affine { program, layers })
    }

    /// κ of uniform boxes of the radii `before`, by layer and size; for a ReLU nothing.
    async fn rates(&self, session: &mut dyn Session, before: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let affine = || (0..before.len()).filter(|&layer| self.layers[layer]);
        let radius = |layer: usize, size: usize| before[layer][size] as f32;
        let mut rates = vec![Vec::new(); before.len()];
        for size in 0..before[0].len() {
            let words: Vec<(String, [f32; 1])> =
                affine().map(|layer| (radius_name(layer), [radius(layer, size)])).collect();
            let feeds: Vec<(&str, &[u8])> =
                words.iter().map(|(name, word)| (name.as_str(), bytemuck::cast_slice(word))).collect();
            session.run(self.program, &feeds)?;
            for (layer, (name, [radius])) in affine().zip(&words) {
                let behind = read_f32(session, self.program, name).await?;
                let sum: f64 = behind.iter().map(|&r| f64::from(r)).sum();
                rates[layer].push(sum / behind.len() as f64 / f64::from(*radius));
            }
        }
        Ok(rates)
    }
}
