//! What a cascade proved, as a certificate.

use super::Proof;
use crate::certify::branch::{self, Node};
use crate::certify::certificate::{About, Certificate, Tree};
use crate::certify::network::ReluNetwork;
use crate::certify::property::Property;

impl Proof {
    /// The certificate of `property` on `network`.
    pub fn certificate(&self, network: &ReluNetwork, property: &Property, about: About) -> Certificate {
        Certificate {
            network: network.digest(),
            property: property.clone(),
            derivation: self.derivation.clone(),
            slopes: self.table.clone(),
            trees: self.trees.iter().map(|tree| self.tree(tree, 0)).collect(),
            about,
        }
    }

    /// The part of a tree from `node` on.
    fn tree(&self, tree: &branch::Tree, node: usize) -> Tree {
        match &tree.nodes[node] {
            Node::Open => unreachable!("a proof has no open domain"),
            Node::Leaf(leaf) => {
                let slopes = (!leaf.slopes.is_empty()).then(|| leaf.slopes.clone());
                Tree::leaf(leaf.weights.clone(), slopes, leaf.multipliers.clone())
            }
            &Node::Refine { below } => Tree::refine(self.tree(tree, below)),
            &Node::Split { layer, neuron, active, inactive } => {
                Tree::split(layer, neuron, self.tree(tree, active), self.tree(tree, inactive))
            }
        }
    }
}
