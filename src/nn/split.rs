//! Where a network is cut in two, and how much of a batch the second part holds.

use super::{Layer, Network};
use crate::error::{Error, Result};
use crate::shape::Shape;

impl Network {
    /// The layer at which the last `relus` ReLUs begin: the first behind the ReLU before them, or behind the flattening that
    /// follows it. What comes before is the extractor of TAPS, the rest its classifier (Mao et al. 2023).
    ///
    /// Both parts must have a ReLU: without one the classifier is linear and its bounds are exact anyway.
    pub fn split_layer(&self, relus: usize) -> Result<usize> {
        let positions: Vec<usize> = (0..self.layers.len()).filter(|&i| self.layers[i] == Layer::Relu).collect();
        if relus == 0 || relus >= positions.len() {
            let most = positions.len().saturating_sub(1);
            let right = if most == 0 { "a network with two ReLUs at least".into() } else { format!("1 to {most}") };
            let message =
                format!("taps_split = {relus}: {} has {} ReLUs, expected {right}", self.name, positions.len());
            return Err(Error::Config(message));
        }
        let behind = positions[positions.len() - 1 - relus] + 1;
        Ok(behind + usize::from(self.layers[behind] == Layer::Flatten))
    }

    /// Most elements of one sample between any two layers from `layer` on, what enters it included.
    pub fn widest_from(&self, layer: usize) -> usize {
        let mut shape: Shape = self.input.into();
        let mut widest = 0;
        for (i, l) in self.layers.iter().enumerate() {
            if i >= layer {
                widest = widest.max(shape.elements());
            }
            (shape, _) = l.map_shape(&shape).expect("the layers fit together since the network was made");
        }
        widest.max(shape.elements())
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture;
    use super::*;

    fn cnn7() -> Network {
        architecture("cnn7", [3, 32, 32], 10, &[0.5; 3], &[0.2; 3]).unwrap()
    }

    /// The authors count layers from the normalisation on, as do ours.
    #[test]
    fn splits_of_the_seven_layer_network_are_the_authors() {
        let network = cnn7();
        assert_eq!(network.layers().len(), 21);
        for (relus, layer) in [(1, 17), (2, 13), (3, 10), (5, 4)] {
            assert_eq!(network.split_layer(relus).unwrap(), layer, "{relus} ReLUs in the classifier");
        }
    }

    #[test]
    fn a_split_outside_the_network_is_refused() {
        for relus in [0, 6, 7] {
            let error = cnn7().split_layer(relus).unwrap_err();
            assert!(matches!(&error, Error::Config(m) if m.contains("expected 1 to 5")), "{error}");
        }
        let linear = Network::new("line", [1, 1, 1], 2, vec![Layer::Flatten, Layer::Linear { outputs: 2 }]).unwrap();
        assert!(linear.split_layer(1).unwrap_err().to_string().contains("two ReLUs"));
    }

    #[test]
    fn the_widest_place_is_behind_the_split() {
        let network = cnn7();
        assert_eq!(network.widest_from(0), 64 * 32 * 32);
        assert_eq!(network.widest_from(17), 128 * 16 * 16);
        assert_eq!(network.widest_from(18), 512);
        assert_eq!(network.widest_from(20), 512);
    }
}
