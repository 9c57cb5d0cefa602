//! Shares of active, inactive and unstable ReLUs at points and over boxes.

use serde::Serialize;

use super::{POINT, Region, SmallBoxes};
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::interval::{Bounds, Interval, small_box};
use crate::nn::Network;
use crate::ops::{self, ReduceKind};
use crate::shape::TensorType;
use crate::train::step::input;

/// Shares of ReLUs, in 0..1, that add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct States {
    /// Input ≥ 0 on all of the region, and not 0 throughout.
    pub active: f64,
    /// Input ≤ 0 on all of the region.
    pub inactive: f64,
    /// Input of either sign, by interval bounds.
    pub unstable: f64,
}

/// States of the ReLUs in one region, over all neurons and images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionStates {
    /// Where.
    pub region: Region,
    /// One for each ReLU layer.
    pub layers: Vec<States>,
    /// The mean of the layers.
    pub mean: States,
}

/// The four regions of a batch as boxes; a point is a box without radius.
pub(super) fn regions(g: &mut Graph, x: Value, point: Value, boxes: &SmallBoxes<'_>) -> Result<[Interval; 4]> {
    let radius = g.constant(&[boxes.epsilon as f32], [1])?;
    let tau = g.constant(&[boxes.tau as f32], [1])?;
    let ball = Bounds::ball(g, x, radius)?;
    let shape = g.shape(x).clone();
    let none = ops::fill(g, 0.0, shape)?;
    let small = small_box(g, point, ball, tau, false)?;
    Ok([Interval { center: x, radius: none }, Interval { center: point, radius: none }, small, ball.interval(g)?])
}

fn reaching_name(region: usize, layer: usize) -> String {
    format!("reaching/{region}/{layer}")
}

fn unstable_name(region: usize, layer: usize) -> String {
    format!("unstable/{region}/{layer}")
}

/// States of all ReLUs in all regions, in the order of [`Region::ALL`]. The parameters of `network` are states of the session.
/// `progress` hears the number of images done.
pub async fn states(
    session: &mut dyn Session,
    network: &Network,
    boxes: &SmallBoxes<'_>,
    batch: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<RegionStates>> {
    let batch = batch.min(boxes.sample.len());
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
    let point = g.input(POINT, TensorType::f32(network.batch_shape(batch)))?;
    let bound = network.bind(&mut g)?.folded(&mut g)?;
    let zero = ops::fill(&mut g, 0.0, [1])?;
    let mut elements = Vec::new();
    for (region, interval) in regions(&mut g, x, point, boxes)?.into_iter().enumerate() {
        let propagated = bound.propagate(&mut g, interval)?;
        elements = propagated.before_relu.iter().map(|layer| g.shape(layer.center).inner()).collect();
        for (layer, before) in propagated.before_relu.iter().enumerate() {
            let ends = before.bounds(&mut g)?;
            let reaching = ops::positive(&mut g, ends.upper)?;
            let below = ops::greater(&mut g, zero, ends.lower)?;
            let unstable = ops::mul(&mut g, below, reaching)?;
            let reaching = ops::reduce_samples(&mut g, ReduceKind::Sum, reaching)?;
            let unstable = ops::reduce_samples(&mut g, ReduceKind::Sum, unstable)?;
            g.output(&reaching_name(region, layer), reaching);
            g.output(&unstable_name(region, layer), unstable);
        }
    }
    let program = session.compile(&Plan::new(g)?)?;
    // Neurons whose input may be positive, and those of them whose input may be negative too.
    let mut counts = [(); 4].map(|()| vec![(0.0, 0.0); elements.len()]);
    let mut done = 0;
    for (images, points, _, counted) in boxes.batches(batch) {
        let feeds = [(input::X, bytemuck::cast_slice(&images)), (POINT, bytemuck::cast_slice(&points))];
        session.run(program, &feeds)?;
        for (region, counts) in counts.iter_mut().enumerate() {
            for (layer, (reaching, unstable)) in counts.iter_mut().enumerate() {
                for (name, count) in
                    [(reaching_name(region, layer), reaching), (unstable_name(region, layer), unstable)]
                {
                    let of_images = read_f32(session, program, &name).await?;
                    *count += of_images[..counted].iter().map(|&n| f64::from(n)).sum::<f64>();
                }
            }
        }
        done += counted;
        progress(done);
    }
    session.release(program);
    let share = |(&(reaching, unstable), &elements): (&(f64, f64), &usize)| {
        let all = (elements * done) as f64;
        let [reaching, unstable] = [reaching / all, unstable / all];
        States { active: reaching - unstable, inactive: 1.0 - reaching, unstable }
    };
    let of = |(region, counts): (Region, Vec<(f64, f64)>)| {
        let layers: Vec<States> = counts.iter().zip(&elements).map(share).collect();
        let mean = |part: fn(&States) -> f64| layers.iter().map(part).sum::<f64>() / layers.len() as f64;
        let mean =
            States { active: mean(|s| s.active), inactive: mean(|s| s.inactive), unstable: mean(|s| s.unstable) };
        RegionStates { region, layers, mean }
    };
    Ok(Region::ALL.into_iter().zip(counts).map(of).collect())
}
