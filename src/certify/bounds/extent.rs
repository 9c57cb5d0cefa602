//! Where the rows of a backward pass begin, and what they have of each ReLU layer on their way.

use super::backward::{Bounded, Pass};
use super::rows::{ROWS, Shared};
use super::weights::Placed;
use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::ops::{ROW_WORDS, Relaxation, Window};
use crate::shape::{Shape, TensorType};

/// Input that takes what rows begin with.
pub(super) const GIVEN: &str = "given";

/// Where rows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// At linear functions of the outputs.
    Outputs,
    /// At single inputs of the ReLU with this number.
    Neurons(usize),
}

/// The coefficients of one ReLU layer in every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// `[C,KH,KW]`.
    pub(super) shape: [usize; 3],
    /// Where that lies.
    pub(super) window: Window,
}

impl Extent {
    /// Number of coefficients of a row.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The neuron of an `[H,W]` image that element `element` of a row stands for, if the row began at `start`; `None` outside.
    pub(super) fn neuron(&self, start: [usize; 2], element: usize, image: [usize; 2]) -> Option<usize> {
        let [_, height, width] = self.shape;
        let at = self.window.corner(start);
        let y = usize::try_from(at[0] + (element / width % height) as isize).ok().filter(|&y| y < image[0])?;
        let x = usize::try_from(at[1] + (element % width) as isize).ok().filter(|&x| x < image[1])?;
        Some((element / (height * width) * image[0] + y) * image[1] + x)
    }

    /// The other way round: where a row that began at `start` has its coefficient of `neuron`, if it has one.
    pub(super) fn element(&self, start: [usize; 2], neuron: usize, image: [usize; 2]) -> Option<usize> {
        let [_, height, width] = self.shape;
        let at = self.window.corner(start);
        let (y, x) = ((neuron / image[1] % image[0]) as isize, (neuron % image[1]) as isize);
        let y = usize::try_from(y - at[0]).ok().filter(|&y| y < height)?;
        let x = usize::try_from(x - at[1]).ok().filter(|&x| x < width)?;
        Some((neuron / (image[0] * image[1]) * height + y) * width + x)
    }
}

/// What each layer's relaxation has of rows that begin at `origin`, whatever the number of rows; `None` where no row comes.
pub(super) fn extents(shared: &Shared<'_>, origin: Origin) -> Result<Vec<Option<Extent>>> {
    let mut g = Graph::new();
    let begun = Begun::new(&mut g, shared, origin, 1)?;
    let found = begun.finish(&mut g, &[])?;
    let extent = |number: usize| {
        found.at_relu.get(&number).map(|at| {
            let shape = g.shape(at.value);
            Extent { shape: [shape[1], shape[2], shape[3]], window: at.window }
        })
    };
    Ok((0..shared.network.relus().len()).map(extent).collect())
}

/// A graph with everything that a pass needs but the relaxations.
pub(super) struct Begun<'a> {
    shared: &'a Shared<'a>,
    origin: Origin,
    placed: Placed,
    rows: Value,
    given: Value,
    bounds: Vec<Value>,
    region: Value,
}

impl<'a> Begun<'a> {
    pub(super) fn new(g: &mut Graph, shared: &'a Shared<'a>, origin: Origin, rows: usize) -> Result<Begun<'a>> {
        let placed = Placed::new(g, shared.network)?;
        let records = g.input(ROWS, TensorType::u32([rows, ROW_WORDS]))?;
        let given = match origin {
            Origin::Outputs => Shape::from([rows, shared.network.outputs()]),
            Origin::Neurons(_) => Shape::from([rows]),
        };
        let given = g.input(GIVEN, TensorType::f32(given))?;
        let (bounds, region) = shared.states(g)?;
        Ok(Begun { shared, origin, placed, rows: records, given, bounds, region })
    }

    pub(super) fn finish(&self, g: &mut Graph, relaxations: &[Relaxation]) -> Result<Bounded> {
        let Begun { shared, rows, region, .. } = *self;
        let pass =
            Pass { network: shared.network, placed: &self.placed, rows, bounds: &self.bounds, region, relaxations };
        match self.origin {
            Origin::Outputs => pass.outputs(g, self.given),
            Origin::Neurons(number) => pass.neurons(g, shared.relu_input(number), self.given),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_neurons_are_inverse() {
        let window = Window { stride: [2, 1], offset: [-1, -2] };
        let extent = Extent { shape: [3, 4, 5], window };
        let (image, mut outside) = ([7, 6], 0);
        for start in [[0, 0], [1, 3], [3, 5]] {
            let mut met = [false; 3 * 7 * 6];
            for element in 0..extent.elements() {
                let Some(neuron) = extent.neuron(start, element, image) else {
                    outside += 1;
                    continue;
                };
                assert_eq!(extent.element(start, neuron, image), Some(element));
                met[neuron] = true;
            }
            for neuron in (0..met.len()).filter(|&n| !met[n]) {
                assert_eq!(extent.element(start, neuron, image), None);
            }
        }
        assert!(outside > 0);
        let whole = Extent { shape: [3, 7, 6], window: Window::WHOLE };
        assert!((0..whole.elements()).all(|e| whole.neuron([4, 4], e, image) == Some(e)));
    }
}
