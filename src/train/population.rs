//! Running statistics of the batch norms over a whole split, with the weights as they are.

use super::step::input;
use crate::data::{Batches, Split};
use crate::device::{Program, Session};
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::nn::Network;
use crate::ops;
use crate::shape::TensorType;

/// Name of the weight of a batch, f32 `[1]`.
const SHARE: &str = "share";

/// The plan that takes a batch of `batch` images into the running statistics.
fn plan(network: &Network, batch: usize) -> Result<Plan> {
    let mut g = Graph::new();
    let x = g.input(input::X, TensorType::f32(network.batch_shape(batch)))?;
    let share = g.input(SHARE, TensorType::f32([1]))?;
    let running = network.running_statistics(&mut g)?;
    let pass = network.bind(&mut g)?.training_pass(&mut g, x)?;
    for (old, new) in running.iter().zip(pass.average(&mut g, &running, share)?) {
        ops::assign(&mut g, old.mean, new.mean)?;
        ops::assign(&mut g, old.variance, new.variance)?;
    }
    Plan::new(g)
}

/// A program that recomputes running statistics.
pub(super) struct Population {
    program: Program,
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Population {
    /// Compiles the pass of `network`, whose tensors are states of the session, over batches of `batch` images.
    pub(super) fn new(session: &mut dyn Session, network: &Network, batch: usize) -> Result<Population> {
        let program = session.compile(&plan(network, batch)?)?;
        let pixels: usize = network.input.iter().product();
        Ok(Population { program, images: vec![0.0; batch * pixels], labels: vec![0; batch] })
    }

    /// Puts the averages of the batches' means and unbiased variances into the running statistics: over the images of `split` as they are,
    /// in their order, without a rest that does not fill a batch. What the statistics were before does not matter.
    pub(super) fn run(&mut self, session: &mut dyn Session, split: &Split) -> Result<()> {
        let batch = self.labels.len();
        let mut batches = Batches::evaluation(split, batch)?;
        let mut seen = 0u32;
        while batches.next_into(&mut self.images, &mut self.labels)? == Some(batch) {
            seen += 1;
            let share = 1.0 / seen as f32;
            let feeds = [(input::X, bytemuck::cast_slice(&self.images)), (SHARE, bytemuck::bytes_of(&share))];
            session.run(self.program, &feeds)?;
        }
        Ok(())
    }

    /// Frees the program.
    pub(super) fn release(self, session: &mut dyn Session) {
        session.release(self.program);
    }
}
