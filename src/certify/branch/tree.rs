//! The tree of splits that a search leaves: what its certificate is made of.

use crate::certify::proof::Split;

/// One domain of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Not proved.
    Open,
    /// Cut at a neuron.
    Split {
        /// ReLU layer.
        layer: usize,
        /// Neuron in row-major order.
        neuron: usize,
        /// Index of the part where its input is ≥ 0.
        active: usize,
        /// Index of the part where its input is ≤ 0.
        inactive: usize,
    },
    /// The bounds are derived again under the splits that lead here.
    Refine {
        /// Index of the same domain with those bounds.
        below: usize,
    },
    /// Proved.
    Leaf(Leaf),
}

/// What proves a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// One for each constraint of the clause, ≥ 0: Σ weight · (coefficients · y − bound) is positive there.
    pub weights: Vec<f32>,
    /// Slopes of the neurons of the search's table; empty: the default ones.
    pub slopes: Vec<f32>,
    /// Multipliers, one for each split from the root on.
    pub multipliers: Vec<f32>,
    /// The bound that the native prover found.
    pub lower: f64,
}

impl Leaf {
    /// The weights of constraint number `constraint` of `constraints` by itself.
    pub fn only(constraint: usize, constraints: usize) -> Vec<f32> {
        (0..constraints).map(|c| f32::from(u8::from(c == constraint))).collect()
    }
}

/// Splits of one clause; node 0 is the root.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Nodes; children come after their parents.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// A root that is not proved.
    pub fn new() -> Tree {
        Tree { nodes: vec![Node::Open] }
    }

    /// Cuts `node` at a neuron; returns the indices of both parts, the active one first.
    pub(super) fn split(&mut self, node: usize, layer: usize, neuron: usize) -> [usize; 2] {
        let [active, inactive] = [self.nodes.len(), self.nodes.len() + 1];
        self.nodes[node] = Node::Split { layer, neuron, active, inactive };
        self.nodes.extend([Node::Open, Node::Open]);
        [active, inactive]
    }

    /// Derives the bounds of `node` again; returns the index of what has them.
    pub(super) fn refine(&mut self, node: usize) -> usize {
        let below = self.nodes.len();
        self.nodes[node] = Node::Refine { below };
        self.nodes.push(Node::Open);
        below
    }

    /// Whether nothing is open.
    pub fn is_proved(&self) -> bool {
        !self.nodes.contains(&Node::Open)
    }

    /// The leaves with the splits that lead to them.
    pub fn leaves(&self) -> Vec<(Vec<Split>, &Leaf)> {
        let mut found = Vec::new();
        let mut stack = vec![(0, Vec::new())];
        while let Some((node, path)) = stack.pop() {
            match &self.nodes[node] {
                Node::Open => {}
                Node::Leaf(leaf) => found.push((path, leaf)),
                &Node::Refine { below } => stack.push((below, path)),
                &Node::Split { layer, neuron, active, inactive } => {
                    for (child, is_active) in [(inactive, false), (active, true)] {
                        let mut path = path.clone();
                        path.push(Split { layer, neuron, active: is_active });
                        stack.push((child, path));
                    }
                }
            }
        }
        found
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

/// The trees of the clauses under search.
pub(super) struct Trees {
    all: Vec<(usize, Tree)>,
    /// Σ 2^−splits of the leaves: 1 for each clause that is proved.
    closed: f64,
}

impl Trees {
    pub(super) fn new(clauses: impl Iterator<Item = usize>) -> Trees {
        Trees { all: clauses.map(|clause| (clause, Tree::new())).collect(), closed: 0.0 }
    }

    pub(super) fn of(&mut self, clause: usize) -> &mut Tree {
        &mut self.all.iter_mut().find(|(c, _)| *c == clause).expect("a tree for every clause").1
    }

    /// Closes a node that so many splits lead to.
    pub(super) fn close(&mut self, clause: usize, node: usize, splits: usize, leaf: Leaf) {
        self.of(clause).nodes[node] = Node::Leaf(leaf);
        self.closed += 0.5_f64.powi(splits.min(1000) as i32);
    }

    /// What is proved of all clauses, 0 to 1, a split counting as two halves.
    pub(super) fn share(&self) -> f64 {
        self.closed / self.all.len() as f64
    }

    pub(super) fn are_proved(&self) -> bool {
        self.all.iter().all(|(_, tree)| tree.is_proved())
    }

    pub(super) fn into_inner(self) -> Vec<(usize, Tree)> {
        self.all
    }
}
