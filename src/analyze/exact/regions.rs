//! The parts of a box of two inputs on which a network is one affine map, by exact enumeration.
//!
//! Every neuron's input is an affine map on each part on which all neurons before it keep their sign. Its zero line cuts such a
//! part in at most two, both convex; layer by layer that leaves polygons on which the whole network is affine (Montúfar et al. 2014
//! call them linear regions). "Exact" is up to the rounding of f64: corners are off by some 1e-15 of the box.

use super::polygon::{Line, Point, Polygon};
use crate::certify::network::ReluNetwork;
use crate::error::{Error, Result};

/// More parts than this are not a picture any more.
const MOST: usize = 100_000;

/// A convex part of the box on which the network is affine up to some node.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Where: inputs as a user feeds them.
    pub polygon: Polygon,
    /// For each ReLU layer that is decided, which of its neurons are passed on.
    active: Vec<Vec<bool>>,
}

/// A network of two inputs on a box, in parts.
#[derive(Debug)]
pub struct Regions<'a> {
    network: &'a ReluNetwork,
    /// Indices of the ReLU nodes.
    relus: Vec<usize>,
    /// The box.
    pub whole: Polygon,
    /// The parts up to each ReLU layer and, last, of the whole network: what the first `k` layers leave affine is in `stages[k]`.
    pub stages: Vec<Vec<Cell>>,
    /// The map of each output, for each part of the whole network.
    outputs: Vec<Vec<Line>>,
}

/// Refuses a network whose inputs are not the two coordinates of a plane, or that tells no classes apart.
///
/// # Errors
/// [`Error::Config`] with the number of inputs or outputs.
pub fn check(network: &ReluNetwork) -> Result<()> {
    match (network.input().elements(), network.outputs()) {
        (2, 2..) => Ok(()),
        (2, k) => Err(Error::Config(format!("a network of {k} class: expected two classes or more"))),
        (n, _) => Err(Error::Config(format!(
            "a network of {n} inputs: expected 2, the coordinates of a plane (train one with --dataset plane)"
        ))),
    }
}

impl<'a> Regions<'a> {
    /// The parts of the box from `lower` to `upper` (raw inputs).
    ///
    /// # Errors
    /// [`Error::Config`] if the network has other than two inputs or fewer than two outputs, or falls into more than 100 000 parts.
    pub fn new(network: &'a ReluNetwork, lower: Point, upper: Point) -> Result<Regions<'a>> {
        check(network)?;
        let whole = Polygon::rectangle(lower, upper);
        let first = vec![Cell { polygon: whole.clone(), active: Vec::new() }];
        let mut regions = Regions { network, relus: network.relus(), whole, stages: vec![first], outputs: Vec::new() };
        for layer in 0..regions.relus.len() {
            let before = network.nodes()[regions.relus[layer]].inputs[0];
            let mut next = Vec::new();
            for cell in &regions.stages[layer] {
                next.extend(cut(cell, &regions.lines(cell, before)));
                if next.len() > MOST {
                    let message =
                        format!("more than {MOST} linear regions: expected a smaller network or a smaller box");
                    return Err(Error::Config(message));
                }
            }
            regions.stages.push(next);
        }
        regions.outputs = regions.cells().iter().map(|cell| regions.lines(cell, network.output())).collect();
        Ok(regions)
    }

    /// The parts of the whole network.
    pub fn cells(&self) -> &[Cell] {
        &self.stages[self.relus.len()]
    }

    /// The parts of the whole network, each with the maps of the outputs.
    pub fn mapped(&self) -> impl Iterator<Item = (&Cell, &[Line])> {
        self.cells().iter().zip(self.outputs.iter().map(Vec::as_slice))
    }

    /// The map of each element of `node` on `cell`, whose stage must not end before the node.
    ///
    /// # Panics
    /// If it ends before.
    pub fn lines(&self, cell: &Cell, node: usize) -> Vec<Line> {
        let decided = self.relus.iter().filter(|&&relu| relu <= node).count();
        assert!(cell.active.len() >= decided, "a part of an earlier layer");
        // Behind the last decided layer nothing is asked for.
        let masked = |layer: usize, z: &[f64]| match cell.active.get(layer) {
            Some(active) => z.iter().zip(active).map(|(&z, &active)| if active { z } else { 0.0 }).collect(),
            None => vec![0.0; z.len()],
        };
        let entry = self.network.entry();
        let scale = |axis: usize| entry.map_or(1.0, |entry| entry.scale[axis]);
        let value = |entered: Vec<f64>, biases: bool| self.network.propagate(entered, biases, masked).swap_remove(node);
        let offsets = value(entry.map_or(vec![0.0; 2], |entry| entry.shift.clone()), true);
        let (across, along) = (value(vec![scale(0), 0.0], false), value(vec![0.0, scale(1)], false));
        let slopes = across.into_iter().zip(along);
        slopes.zip(offsets).map(|(slope, offset)| Line { slope, offset }).collect()
    }

    /// Index of the ReLU node of layer `layer`, from 0.
    pub fn relu(&self, layer: usize) -> usize {
        self.relus[layer]
    }

    /// Number of ReLU layers.
    pub fn layers(&self) -> usize {
        self.relus.len()
    }

    /// Index of the network's output.
    pub fn output(&self) -> usize {
        self.network.output()
    }

    /// Parts and their maps up to ReLU layer `layer`, behind it; those of the output where it is the number of layers.
    pub fn images(&self, layer: usize) -> Vec<(&Polygon, Vec<Line>)> {
        let last = layer == self.layers();
        let (stage, node) = if last { (layer, self.output()) } else { (layer + 1, self.relus[layer]) };
        self.stages[stage].iter().map(|cell| (&cell.polygon, self.lines(cell, node))).collect()
    }
}

/// The parts of `cell` on which none of `lines`, the inputs of the next ReLU layer, changes its sign.
fn cut(cell: &Cell, lines: &[Line]) -> Vec<Cell> {
    let mut parts = vec![(cell.polygon.clone(), Vec::with_capacity(lines.len()))];
    for line in lines {
        let mut next = Vec::with_capacity(parts.len());
        for (polygon, active) in parts {
            let (below, above) = polygon.split(line);
            let with = |polygon: Polygon, is: bool| {
                let mut active: Vec<bool> = active.clone();
                active.push(is);
                (polygon, active)
            };
            next.extend(below.map(|polygon| with(polygon, false)));
            next.extend(above.map(|polygon| with(polygon, true)));
        }
        parts = next;
    }
    let decided = |(polygon, last): (Polygon, Vec<bool>)| {
        let mut active = cell.active.clone();
        active.push(last);
        Cell { polygon, active }
    };
    parts.into_iter().map(decided).collect()
}
