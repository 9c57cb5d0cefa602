//! Points that an analysis puts boxes around: attacked images and random ones.

use super::Sample;
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::interval::Bounds;
use crate::nn::Network;
use crate::philox::{Stream, key, purpose};
use crate::shape::TensorType;
use crate::train::attack::{AttackSpec, attack};
use crate::train::step::input;

/// How images are attacked.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    /// Radius ε of the ball, cut with `[0, 1]`.
    pub epsilon: f64,
    /// Steps and starts.
    pub spec: AttackSpec,
    /// Seed of the starts.
    pub seed: u64,
    /// Images at once.
    pub batch: usize,
}

/// Tells these draws from those of training and of evaluation.
const ANALYSIS_RUNS: u32 = 3 << 29;
const POINT: &str = "point";

/// The point that the attack finds for each image of `sample` (see [`crate::train::attack::Attacked::point`]), image by image. The
/// parameters of `network` are states of the session. `progress` hears the number of images done.
pub async fn attacked(
    session: &mut dyn Session,
    network: &Network,
    sample: &Sample,
    how: &Attack,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<f32>> {
    let batch = how.batch.min(sample.len());
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
    let labels = g.input(input::LABELS, TensorType::u32([batch]))?;
    let word = g.input(input::KEY, TensorType::u32([4]))?;
    let bound = network.bind(&mut g)?.folded(&mut g)?;
    let radius = g.constant(&[how.epsilon as f32], [1])?;
    let ball = Bounds::ball(&mut g, x, radius)?;
    let found = attack(&mut g, &bound, x, labels, ball, &how.spec, (word, 0))?;
    g.output(POINT, found.point);
    let program = session.compile(&Plan::new(g)?)?;
    let mut points = Vec::with_capacity(sample.images.len());
    for (run, (images, labels, counted)) in (0u32..).zip(sample.batches(batch)) {
        let [low, high] = key(how.seed);
        let words = [low, high, ANALYSIS_RUNS + run, purpose::DEVICE_DRAW];
        session.run(
            program,
            &[
                (input::X, bytemuck::cast_slice(&images)),
                (input::LABELS, bytemuck::cast_slice(&labels)),
                (input::KEY, bytemuck::cast_slice(&words)),
            ],
        )?;
        let found = read_f32(session, program, POINT).await?;
        points.extend_from_slice(&found[..counted * sample.pixels()]);
        progress(points.len() / sample.pixels());
    }
    session.release(program);
    Ok(points)
}

/// As many images as `sample` has, each pixel uniform on `[0, 1)`.
pub fn random(sample: &Sample, seed: u64) -> Vec<f32> {
    let image = |index: u32| {
        let mut stream = Stream::new(seed, index, 0, purpose::ANALYSIS_IMAGE);
        (0..sample.pixels()).map(move |_| stream.uniform())
    };
    (0..sample.len() as u32).flat_map(image).collect()
}
