//! The points that the training attack finds, and the small boxes around them, by the engine.

use super::polygon::Point;
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::interval::{Bounds, small_box};
use crate::nn::Network;
use crate::ops;
use crate::philox::{key, purpose};
use crate::shape::TensorType;
use crate::train::SmallBox;
use crate::train::attack::{AttackSpec, attack};

/// What SABR does with one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attacked {
    /// Where the attack came to.
    pub point: Point,
    /// Lower corner of the small box.
    pub lower: Point,
    /// Upper corner.
    pub upper: Point,
}

const X: &str = "x";
const LABELS: &str = "labels";
const KEY: &str = "key";
const POINT: &str = "point";
const LOWER: &str = "lower";
const UPPER: &str = "upper";

/// Attacks `points` (two coordinates in `[0, 1]` each) in their ε balls, all in one batch as training does, and puts the small boxes of
/// the method around what is found. The parameters of `network` are states of the session.
///
/// # Errors
/// Those of the device.
pub async fn attacked(
    session: &mut dyn Session,
    network: &Network,
    (points, labels): (&[f32], &[u32]),
    epsilon: f64,
    small: SmallBox,
    (spec, seed): (&AttackSpec, u64),
) -> Result<Vec<Attacked>> {
    let mut g = Graph::new();
    let batch = labels.len();
    let x = g.input(X, TensorType::f32(network.batch_shape(batch)))?;
    let of = g.input(LABELS, TensorType::u32([batch]))?;
    let draws = g.input(KEY, TensorType::u32([4]))?;
    let bound = network.bind(&mut g)?.folded(&mut g)?;
    let radius = g.constant(&[epsilon as f32], [1])?;
    let ball = Bounds::ball(&mut g, x, radius)?;
    let found = attack(&mut g, &bound, x, of, ball, spec, (draws, 0))?;
    let tau = ops::scale(&mut g, radius, small.lambda as f32)?;
    let region = small_box(&mut g, found.point, ball, tau, small.faithful_border)?.bounds(&mut g)?;
    for (name, value) in [(POINT, found.point), (LOWER, region.lower), (UPPER, region.upper)] {
        g.output(name, value);
    }
    let program = session.compile(&Plan::new(g)?)?;
    let [low, high] = key(seed);
    let words = [low, high, 0, purpose::DEVICE_DRAW];
    let fed: [(&str, &[u8]); 3] = [
        (X, bytemuck::cast_slice(points)),
        (LABELS, bytemuck::cast_slice(labels)),
        (KEY, bytemuck::cast_slice(&words)),
    ];
    session.run(program, &fed)?;
    let mut read = Vec::new();
    for name in [POINT, LOWER, UPPER] {
        let values = read_f32(session, program, name).await?;
        read.push(values.chunks(2).map(|p| (f64::from(p[0]), f64::from(p[1]))).collect::<Vec<Point>>());
    }
    session.release(program);
    let each = |i: usize| Attacked { point: read[0][i], lower: read[1][i], upper: read[2][i] };
    Ok((0..batch).map(each).collect())
}
