//! The backward pass: rows of coefficients from a node to the input, through a relaxation of every ReLU on the way.

use std::collections::BTreeMap;

use super::weights::{Placed, image};
use crate::certify::network::{Operation, ReluNetwork};
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops::{self, Conv2dSpec, Relaxation, Window};

/// Coefficients `[R,C,KH,KW]` of the rows at one node, each row's on a window of the node's value.
#[derive(Clone, Copy)]
pub(super) struct Coefficients {
    pub(super) value: Value,
    pub(super) window: Window,
}

/// What all steps of a pass share.
pub(super) struct Pass<'a> {
    pub(super) network: &'a ReluNetwork,
    pub(super) placed: &'a Placed,
    /// u32 `[R,4]`: sample, feature, i, j.
    pub(super) rows: Value,
    /// For each ReLU node, `[N,3,C,H,W]`.
    pub(super) bounds: &'a [Value],
    /// `[N,2,C,H,W]`.
    pub(super) region: Value,
    /// How each ReLU is relaxed; empty for the default everywhere.
    pub(super) relaxations: &'a [Relaxation],
}

/// What a pass leaves.
pub(super) struct Bounded {
    /// Least value of each row relative to its value at the middle of the box, `[R]`.
    pub(super) lower: Value,
    /// Coefficients at the output of each ReLU node that was met, by its number.
    pub(super) at_relu: BTreeMap<usize, Coefficients>,
}

impl Pass<'_> {
    /// Bounds rows that begin at single neurons of `node`: the rows' records name them, `signs` `[R]` says whether the neuron (1) or its
    /// negative (−1) is bounded from below.
    pub(super) fn neurons(&self, g: &mut Graph, node: usize, signs: Value) -> Result<Bounded> {
        let rows = g.shape(self.rows)[0];
        let described = &self.network.nodes()[node];
        let signs = g.reshape(signs, [rows, 1, 1, 1])?;
        let mut pending = BTreeMap::new();
        match &described.operation {
            // A kernel with gaps needs gaps in the window: the general way below spreads it.
            Operation::Conv2d(_, spec) if spec.dilation == [1; 2] => {
                let picked = ops::gather_rows(g, self.placed.of(node).0, self.rows)?;
                let value = ops::mul(g, picked, signs)?;
                let before = Coefficients { value, window: Window::START.before(*spec) };
                let before = self.cut(g, described.inputs[0], before)?;
                self.meet(g, &mut pending, described.inputs[0], before)?;
                return self.finish(g, pending);
            }
            Operation::Linear(_) => {
                let picked = ops::gather_rows(g, self.placed.of(node).0, self.rows)?;
                let [c, h, w] = image(&self.network.nodes()[described.inputs[0]].shape);
                let picked = g.reshape(picked, [rows, c, h, w])?;
                let value = ops::mul(g, picked, signs)?;
                self.meet(g, &mut pending, described.inputs[0], Coefficients { value, window: Window::WHOLE })?;
                return self.finish(g, pending);
            }
            _ => {}
        }
        // Rows of the identity, one for each channel, at the neuron's own place.
        let [channels, height, width] = image(&described.shape);
        let identity: Vec<f32> =
            (0..channels * channels).map(|i| f32::from(u8::from(i / channels == i % channels))).collect();
        let identity = g.constant(&identity, [channels, channels, 1, 1])?;
        let picked = ops::gather_rows(g, identity, self.rows)?;
        let value = ops::mul(g, picked, signs)?;
        let window = if [height, width] == [1, 1] { Window::WHOLE } else { Window::START };
        pending.insert(node, Coefficients { value, window });
        self.finish(g, pending)
    }

    /// Bounds rows with the given coefficients `[R,K]` at the output.
    pub(super) fn outputs(&self, g: &mut Graph, coefficients: Value) -> Result<Bounded> {
        let output = self.network.output();
        let [c, h, w] = image(&self.network.nodes()[output].shape);
        let value = g.reshape(coefficients, [g.shape(coefficients)[0], c, h, w])?;
        self.finish(g, BTreeMap::from([(output, Coefficients { value, window: Window::WHOLE })]))
    }

    /// From the last of the pending nodes to the input.
    fn finish(&self, g: &mut Graph, mut pending: BTreeMap<usize, Coefficients>) -> Result<Bounded> {
        let relus = self.network.relus();
        let mut constant: Option<Value> = None;
        let mut at_relu = BTreeMap::new();
        while let Some((index, at)) = pending.pop_last() {
            let node = &self.network.nodes()[index];
            match &node.operation {
                Operation::Input => {
                    let least = ops::concretize(g, at.value, self.region, self.rows, at.window)?;
                    let lower = sum(g, constant, least)?;
                    return Ok(Bounded { lower, at_relu });
                }
                Operation::Relu => {
                    let number = relus.binary_search(&index).expect("the list of ReLU nodes");
                    at_relu.insert(number, at);
                    let relaxation = self.relaxations.get(number).copied().unwrap_or_default();
                    let bounds = self.bounds[number];
                    let (value, summands) =
                        ops::relu_relaxation(g, at.value, bounds, self.rows, relaxation, at.window)?;
                    constant = Some(sum(g, constant, summands)?);
                    self.meet(g, &mut pending, node.inputs[0], Coefficients { value, window: at.window })?;
                }
                Operation::Add => {
                    for &input in &node.inputs {
                        self.meet(g, &mut pending, input, at)?;
                    }
                }
                Operation::Linear(weights) => {
                    let rows = g.shape(at.value)[0];
                    let flat = g.reshape(at.value, [rows, weights.shape[0]])?;
                    let back = ops::linear_backward_input(g, flat, self.placed.of(index).0)?;
                    let [c, h, w] = image(&self.network.nodes()[node.inputs[0]].shape);
                    let value = g.reshape(back, [rows, c, h, w])?;
                    self.meet(g, &mut pending, node.inputs[0], Coefficients { value, window: Window::WHOLE })?;
                }
                Operation::Conv2d(_, spec) => {
                    let before = self.before_conv(g, index, at, *spec)?;
                    self.meet(g, &mut pending, node.inputs[0], before)?;
                }
            }
        }
        unreachable!("every path ends at the input")
    }

    /// Coefficients before the convolution `index`: of windows as long as those are smaller than the image.
    fn before_conv(&self, g: &mut Graph, index: usize, at: Coefficients, spec: Conv2dSpec) -> Result<Coefficients> {
        let node = &self.network.nodes()[index];
        let (weight, _) = self.placed.of(index);
        let [_, height, width] = image(&node.shape);
        let [_, before_height, before_width] = image(&self.network.nodes()[node.inputs[0]].shape);
        let extent = [g.shape(at.value)[2], g.shape(at.value)[3]];
        let kernel = [g.shape(weight)[2], g.shape(weight)[3]];
        let grown = |axis: usize| (extent[axis] - 1) * spec.stride[axis] + spec.dilation[axis] * (kernel[axis] - 1) + 1;
        let grown = [grown(0), grown(1)];
        let small = extent[0] * extent[1] < height * width && grown[0] * grown[1] < before_height * before_width;
        if at.window != Window::WHOLE && small {
            let unpadded = Conv2dSpec { padding: [0; 2], ..spec };
            let value = ops::conv2d_backward_input(g, at.value, weight, unpadded, grown)?;
            return self.cut(g, node.inputs[0], Coefficients { value, window: at.window.before(spec) });
        }
        let whole = self.whole(g, at, [height, width])?;
        let value = ops::conv2d_backward_input(g, whole, weight, spec, [before_height, before_width])?;
        Ok(Coefficients { value, window: Window::WHOLE })
    }

    /// Coefficients that a convolution left at `node`, without what lies in its padding: a ReLU or the input drops that anyway.
    fn cut(&self, g: &mut Graph, node: usize, at: Coefficients) -> Result<Coefficients> {
        let described = &self.network.nodes()[node];
        if matches!(described.operation, Operation::Relu | Operation::Input) {
            return Ok(at);
        }
        let [_, height, width] = image(&described.shape);
        Ok(Coefficients { value: self.whole(g, at, [height, width])?, window: Window::WHOLE })
    }

    /// The same coefficients on the whole of an image.
    fn whole(&self, g: &mut Graph, at: Coefficients, extent: [usize; 2]) -> Result<Value> {
        if at.window == Window::WHOLE {
            return Ok(at.value);
        }
        ops::embed_window(g, at.value, self.rows, at.window, extent)
    }

    /// Adds coefficients to those that stand at `node` already.
    fn meet(
        &self,
        g: &mut Graph,
        pending: &mut BTreeMap<usize, Coefficients>,
        node: usize,
        new: Coefficients,
    ) -> Result<()> {
        let met = match pending.get(&node).copied() {
            None => new,
            Some(old) if old.window == new.window && g.shape(old.value) == g.shape(new.value) => {
                Coefficients { value: ops::add(g, old.value, new.value)?, window: old.window }
            }
            Some(old) => {
                let [_, height, width] = image(&self.network.nodes()[node].shape);
                let (a, b) = (self.whole(g, old, [height, width])?, self.whole(g, new, [height, width])?);
                Coefficients { value: ops::add(g, a, b)?, window: Window::WHOLE }
            }
        };
        pending.insert(node, met);
        Ok(())
    }
}

/// a + b, where a may be missing.
fn sum(g: &mut Graph, a: Option<Value>, b: Value) -> Result<Value> {
    match a {
        Some(a) => ops::add(g, a, b),
        None => Ok(b),
    }
}
