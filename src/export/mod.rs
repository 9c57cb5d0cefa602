//! A trained network for other programs: as ONNX operators, and the box around an image that its properties are about.

mod ball;
mod fold;
mod network;

pub use ball::ball;
pub use network::onnx_graph;
