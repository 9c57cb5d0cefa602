//! Logits of single images.

use std::ops::Range;

use super::step::input;
use crate::data::{Split, View};
use crate::device::{Session, read_f32};
use crate::error::Result;
use crate::graph::{Graph, Plan, Value};
use crate::nn::Network;
use crate::shape::TensorType;

/// Name of the program's output.
const LOGITS: &str = "logits";

/// Logits of the samples `range` of `split`, `[N,K]` row by row, `batch` images at once. The parameters of `network` are states of
/// the session; batch norms use the running statistics.
///
/// # Panics
/// If the range reaches beyond the split or `batch` is 0.
pub async fn logits(
    session: &mut dyn Session,
    network: &Network,
    split: &Split,
    range: Range<usize>,
    batch: usize,
) -> Result<Vec<f32>> {
    let forward = |graph: &mut Graph, x: Value| network.bind(graph)?.folded(graph)?.forward(graph, x);
    outputs(session, &forward, split, range, batch).await
}

/// Outputs `[N,K]` of `forward`, which maps images `[batch,C,H,W]` to `[batch,K]`, for the samples `range` of `split`.
///
/// # Panics
/// If the range reaches beyond the split or `batch` is 0.
pub async fn outputs(
    session: &mut dyn Session,
    forward: &dyn Fn(&mut Graph, Value) -> Result<Value>,
    split: &Split,
    range: Range<usize>,
    batch: usize,
) -> Result<Vec<f32>> {
    let mut graph = Graph::new();
    let [c, h, w] = split.input();
    let x = graph.input(input::X, TensorType::f32([batch, c, h, w]))?;
    let output = forward(&mut graph, x)?;
    let classes = graph.shape(output)[1];
    graph.output(LOGITS, output);
    let program = session.compile(&Plan::new(graph)?)?;
    let pixels = c * h * w;
    let mut images = vec![0.0; batch * pixels];
    let mut found = Vec::with_capacity(range.len() * classes);
    for first in range.clone().step_by(batch) {
        let count = batch.min(range.end - first);
        // A last batch that is not full ends with images of the one before, whose logits are dropped.
        for (image, index) in images.chunks_mut(pixels).zip(first..first + count) {
            split.write_view(index, View::middle(split), image);
        }
        session.run(program, &[(input::X, bytemuck::cast_slice(&images))])?;
        let logits = read_f32(session, program, LOGITS).await?;
        found.extend_from_slice(&logits[..count * classes]);
    }
    session.release(program);
    Ok(found)
}
