//! What the training methods take for the worst case.

use crate::analyze::Sample;
use crate::certify::network::ReluNetwork;
use crate::certify::property::Property;
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::interval::{Bounds, small_box};
use crate::nn::Network;
use crate::ops;
use crate::philox::{key, purpose};
use crate::shape::TensorType;
use crate::train::attack::{AttackSpec, attack};
use crate::train::step::input;

const IBP: &str = "ibp";
const SABR: &str = "sabr";
const POINT: &str = "point";

/// max_{i≠label} (z_i − z_label) of the outputs z.
pub fn greatest_margin(outputs: &[f64], label: u32) -> f64 {
    let own = outputs[label as usize];
    let others = outputs.iter().enumerate().filter(|(k, _)| *k != label as usize);
    others.map(|(_, z)| z - own).fold(f64::NEG_INFINITY, f64::max)
}

/// What is approximated, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Approximations {
    /// Radius ε.
    pub epsilon: f64,
    /// Radius of the small box relative to ε.
    pub lambda: f64,
    /// The training attack.
    pub attack: AttackSpec,
    /// Seed of its starts.
    pub seed: u64,
    /// Images that go at once.
    pub batch: usize,
}

/// Of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Approximated {
    /// Margin at the image.
    pub natural: f64,
    /// Bound over the ball.
    pub ibp: f64,
    /// Bound over the small box.
    pub sabr: f64,
    /// Margin at the attacked point.
    pub pgd: f64,
    /// The attacked point, cut to the ball: the first iterate of the training attack need not lie in it.
    pub point: Vec<f64>,
}

impl Approximations {
    /// Images that go at once unless told otherwise.
    pub const BATCH: usize = 64;

    /// The values of every image. The tensors of `network` are states of the session; `relu_network` is the same network, which evaluates
    /// points in f64. Bounds are those of the device in f32.
    pub async fn of(
        &self,
        session: &mut dyn Session,
        (network, relu_network): (&Network, &ReluNetwork),
        sample: &Sample,
    ) -> Result<Vec<Approximated>> {
        let batch = self.batch.min(sample.len());
        let program = session.compile(&self.plan(network, batch)?)?;
        let (pixels, classes) = (sample.pixels(), sample.classes);
        let mut found = Vec::with_capacity(sample.len());
        for (run, (images, labels, counted)) in sample.batches(batch).enumerate() {
            let [low, high] = key(self.seed);
            let words = [low, high, run as u32, purpose::DEVICE_DRAW];
            let feeds = [
                (input::X, bytemuck::cast_slice(&images)),
                (input::LABELS, bytemuck::cast_slice(&labels)),
                (input::KEY, bytemuck::cast_slice(&words)),
            ];
            session.run(program, &feeds)?;
            let ibp = read_f32(session, program, IBP).await?;
            let sabr = read_f32(session, program, SABR).await?;
            let points = read_f32(session, program, POINT).await?;
            for (i, &label) in labels[..counted].iter().enumerate() {
                let (image, point) = (&images[i * pixels..][..pixels], &points[i * pixels..][..pixels]);
                let (lower, upper) = Property::ball(image, self.epsilon);
                let cut = |(&x, (&l, &u)): (&f32, (&f64, &f64))| f64::from(x).clamp(l, u);
                let point: Vec<f64> = point.iter().zip(lower.iter().zip(&upper)).map(cut).collect();
                let image: Vec<f64> = image.iter().map(|&p| f64::from(p)).collect();
                let margin = |x: &[f64]| greatest_margin(&relu_network.evaluate(x), label);
                // Upper bounds of z_k − z_label, and 0 at the label.
                let bound = |rows: &[f32]| {
                    let row: Vec<f64> = rows[i * classes..][..classes].iter().map(|&d| f64::from(d)).collect();
                    greatest_margin(&row, label)
                };
                found.push(Approximated {
                    natural: margin(&image),
                    ibp: bound(&ibp),
                    sabr: bound(&sabr),
                    pgd: margin(&point),
                    point,
                });
            }
        }
        session.release(program);
        Ok(found)
    }

    fn plan(&self, network: &Network, batch: usize) -> Result<Plan> {
        let mut g = Graph::new();
        let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
        let labels = g.input(input::LABELS, TensorType::u32([batch]))?;
        let key = g.input(input::KEY, TensorType::u32([4]))?;
        let bound = network.bind(&mut g)?.folded(&mut g)?;
        let radius = g.constant(&[self.epsilon as f32], [1])?;
        let ball = Bounds::ball(&mut g, x, radius)?;
        let attacked = attack(&mut g, &bound, x, labels, ball, &self.attack, (key, 0))?;
        let tau = ops::scale(&mut g, radius, self.lambda as f32)?;
        let small = small_box(&mut g, attacked.point, ball, tau, false)?;
        let whole = ball.interval(&mut g)?;
        for (name, region) in [(IBP, whole), (SABR, small)] {
            let propagated = bound.propagate(&mut g, region)?;
            let margins = bound.margin_logits(&mut g, propagated.before_last, labels)?;
            g.output(name, margins);
        }
        g.output(POINT, attacked.point);
        Plan::new(g)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_that_of_the_strongest_other_class() {
        assert_eq!(greatest_margin(&[1.0, 3.0, 2.5], 1), -0.5);
        assert_eq!(greatest_margin(&[1.0, 3.0, 2.5], 0), 2.0);
    }
}
