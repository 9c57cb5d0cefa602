//! Branch-and-bound over the signs of ReLU inputs (β-CROWN, Wang et al. 2021; branching De Palma et al. 2021).
//!
//! A domain is a part of a box: the points where some neurons have a given sign. While a domain's lower bound is not positive it is
//! cut in two at a neuron, and the parts are bounded anew on the device, many at once, starting from their parent's slopes and
//! multipliers. A domain is closed only when the native prover confirms its bound; so devices decide how fast the search
//! is and never what it proves. The bounds of the neurons are those of the whole box; a second search, which takes turns with that
//! one, derives them again in every domain. A domain in which every neuron is split is decided by [`exact`](super::exact).

mod bounder;
mod domain;
mod fixed;
mod last;
mod refining;
mod score;
mod search;
mod tree;

pub use domain::{Neurons, Root};
pub use score::Branching;
pub use search::{Found, Search, Settings, Statistics, Stopped, Strategy, Task};
pub use tree::{Leaf, Node, Tree};
