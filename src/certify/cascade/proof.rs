//! What a cascade proved, as a certificate.

use super::Proof;
use crate::certify::branch::{self, Node};
use crate::certify::certificate::{About, Certificate, Tree};
use crate::certify::network::ReluNetwork;
use crate::certify::property::Property;

impl Proof {
    /// The certificate of `property` on `network`.
    pub fn certificate(&self, network: &ReluNetwork, property: &Property, about: About) -> Certificate {
        let tree = |(tree, clause): (&branch::Tree, &Vec<_>)| self.tree(tree, 0, clause.len());
        Certificate {
            network: network.digest(),
            property: property.clone(),
            derivation: self.derivation.clone(),
            slopes: self.table.clone(),
            trees: self.trees.iter().zip(&property.clauses).map(tree).collect(),
            about,
        }
    }

    /// The part of a tree from `node` on.
    fn tree(&self, tree: &branch::Tree, node: usize, constraints: usize) -> Tree {
        match &tree.nodes[node] {
            Node::Open => unreachable!("a proof has no open domain"),
            Node::Leaf(leaf) => {
                let weights = (0..constraints).map(|c| f32::from(u8::from(c == leaf.constraint))).collect();
                let slopes = (!leaf.slopes.is_empty()).then(|| leaf.slopes.clone());
                Tree::leaf(weights, slopes, leaf.multipliers.clone())
            }
            &Node::Split { layer, neuron, active, inactive } => {
                Tree::split(layer, neuron, self.tree(tree, active, constraints), self.tree(tree, inactive, constraints))
            }
        }
    }
}
