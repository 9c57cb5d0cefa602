//! Boxes of inputs as devices take them.

use crate::certify::network::ReluNetwork;

/// A batch of boxes, behind whatever scales the network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Boxes {
    /// Number of boxes.
    pub count: usize,
    /// Middles, `[N,…input]` row by row.
    pub center: Vec<f32>,
    /// Half widths.
    pub radius: Vec<f32>,
}

impl Boxes {
    /// The boxes `lower`..`upper` of raw inputs, as many as `(lower, upper)` pairs, mapped by the network's entry.
    ///
    /// # Panics
    /// If an end has another number of elements than the network's input.
    pub fn new(network: &ReluNetwork, ends: &[(&[f64], &[f64])]) -> Boxes {
        let n = network.input().elements();
        let (mut center, mut radius) = (Vec::new(), Vec::new());
        for (lower, upper) in ends {
            assert!(lower.len() == n && upper.len() == n, "a box of {n} inputs");
            for i in 0..n {
                let (scale, shift) = network.entry().map_or((1.0, 0.0), |e| (e.scale[i], e.shift[i]));
                let (a, b) = (scale * lower[i] + shift, scale * upper[i] + shift);
                center.push((0.5 * (a + b)) as f32);
                radius.push((0.5 * (a - b).abs()) as f32);
            }
        }
        Boxes { count: ends.len(), center, radius }
    }

    /// Ends relative to the middle, sample by sample, as the ops take them: `[N,2,…]`.
    pub(super) fn packed(&self) -> Vec<f32> {
        let n = self.center.len() / self.count;
        let mut words = Vec::with_capacity(2 * self.center.len());
        for radius in self.radius.chunks(n) {
            words.extend(radius.iter().map(|r| -r));
            words.extend_from_slice(radius);
        }
        words
    }
}
