//! Bounds by linear relaxation on a device: CROWN (Zhang et al. 2018), α-CROWN (Xu et al. 2021), β-CROWN (Wang et al. 2021).
//!
//! ```text
//! boxes ─→ interval pass ─→ bounds of each ReLU input ─→ tightened layer by layer ─→ objectives ─→ slopes and multipliers by ascent
//! ```
//! All of it are graphs of the engine. Coefficients go backward through a network relative to its values at one point of the box
//! (the middle), so biases never appear. Everything is f32 and proposes only: what is proved is proved natively.
//!
//! A batch has N samples (boxes), a pass has R rows (linear functions to be bounded from below), each of one sample.

mod ascent;
mod backward;
mod extent;
mod forward;
mod programs;
mod region;
mod rows;
mod starts;
mod weights;

pub use ascent::{Ascended, Ascent, Parameters, Schedule};
pub use programs::MOST_ELEMENTS;
pub use region::Boxes;
pub use rows::{Objective, Relaxer};

/// Bounds of the input of one ReLU node, and its value at the middle of the box.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Least values, `[N,F]` row by row.
    pub lower: Vec<f32>,
    /// Greatest values.
    pub upper: Vec<f32>,
    /// Values at the middle of the box.
    pub center: Vec<f32>,
}

/// Bounds of every ReLU input for a batch of boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// N.
    pub batch: usize,
    /// One for each ReLU node, in order.
    pub layers: Vec<Layer>,
    /// Outputs at the middle of the boxes, `[N,K]`.
    pub center: Vec<f32>,
}

impl Layer {
    /// Whether the neuron with index `i` of `[N,F]` may be on either side of 0.
    pub fn is_unstable(&self, i: usize) -> bool {
        self.lower[i] < 0.0 && self.upper[i] > 0.0
    }

    /// CROWN's slope of the line below neuron `i` of `[N,F]`.
    fn default_slope(&self, i: usize) -> f32 {
        f32::from(u8::from(self.upper[i] > -self.lower[i]))
    }

    /// Least, greatest and middle values of each sample, one after the other, as the ops take them: `[N,3,F]`.
    fn packed(&self, batch: usize) -> Vec<f32> {
        let features = self.lower.len() / batch;
        let mut words = Vec::with_capacity(3 * self.lower.len());
        for sample in 0..batch {
            for values in [&self.lower, &self.upper, &self.center] {
                words.extend_from_slice(&values[sample * features..][..features]);
            }
        }
        words
    }
}

impl Bounds {
    /// Number of unstable neurons of `sample` in each layer.
    pub fn unstable(&self, sample: usize) -> Vec<usize> {
        let count = |layer: &Layer| {
            let features = layer.lower.len() / self.batch;
            (sample * features..(sample + 1) * features).filter(|&i| layer.is_unstable(i)).count()
        };
        self.layers.iter().map(count).collect()
    }
}
