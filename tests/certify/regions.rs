//! The truth about networks of two inputs: the box is cut into the polygons on which the network is affine, along the line of every
//! neuron, and an affine function is least at a corner. No linear programs, no bounds, no code of the verifier.

use smallbox::certify::network::{Operation, ReluNetwork};
use smallbox::certify::property::{Constraint, Property};

use super::oracle;

/// Corners in order around a convex polygon.
type Polygon = Vec<[f64; 2]>;

/// constant + slopes · x for each element of a value: three vectors.
type Affine = [Vec<f64>; 3];

/// An affine piece of a network.
pub struct Piece {
    pub corners: Polygon,
    pub outputs: Affine,
    /// Whether each neuron of each ReLU layer is active.
    pub active: Vec<Vec<bool>>,
}

fn at(affine: &Affine, element: usize, [x, y]: [f64; 2]) -> f64 {
    affine[0][element] + affine[1][element] * x + affine[2][element] * y
}

/// Beyond this a corner is on one side of a line.
const WIDTH: f64 = 1e-12;

/// The part of a polygon where `value`, affine, is ≥ 0; empty if only its border is.
fn cut(polygon: &[[f64; 2]], value: impl Fn([f64; 2]) -> f64) -> Polygon {
    let mut part = Vec::new();
    if polygon.iter().all(|&corner| value(corner) <= WIDTH) {
        return part;
    }
    for (i, &from) in polygon.iter().enumerate() {
        let to = polygon[(i + 1) % polygon.len()];
        let (a, b) = (value(from), value(to));
        if a >= 0.0 {
            part.push(from);
        }
        if (a > 0.0 && b < 0.0) || (a < 0.0 && b > 0.0) {
            let t = a / (a - b);
            part.push([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]);
        }
    }
    part
}

struct Walk<'a> {
    network: &'a ReluNetwork,
    values: Vec<Affine>,
    active: Vec<Vec<bool>>,
    pieces: Vec<Piece>,
}

impl Walk<'_> {
    fn node(&mut self, index: usize, polygon: Polygon) {
        if index == self.network.nodes().len() {
            let outputs = self.values.last().expect("an input").clone();
            self.pieces.push(Piece { corners: polygon, outputs, active: self.active.clone() });
            return;
        }
        let node = &self.network.nodes()[index];
        let of = |values: &[Affine], i: usize| values[node.inputs[i]].clone();
        let value: Affine = match &node.operation {
            Operation::Input => {
                let entry = |i: usize| self.network.entry().map_or((1.0, 0.0), |e| (e.scale[i], e.shift[i]));
                let ((s0, t0), (s1, t1)) = (entry(0), entry(1));
                [vec![t0, t1], vec![s0, 0.0], vec![0.0, s1]]
            }
            Operation::Relu => {
                self.active.push(Vec::new());
                let z = of(&self.values, 0);
                let zero = vec![0.0; z[0].len()];
                self.neuron(index, &z, [zero.clone(), zero.clone(), zero], polygon);
                self.active.pop();
                return;
            }
            Operation::Add => {
                let (a, b) = (of(&self.values, 0), of(&self.values, 1));
                [0, 1, 2].map(|part| a[part].iter().zip(&b[part]).map(|(a, b)| a + b).collect())
            }
            Operation::Linear(_) | Operation::Conv2d(..) => {
                let x = of(&self.values, 0);
                [0, 1, 2].map(|part| oracle::map(self.network, index, &x[part], part == 0))
            }
        };
        self.values.push(value);
        self.node(index + 1, polygon);
        self.values.pop();
    }

    /// From the first neuron on that has no sign yet.
    fn neuron(&mut self, index: usize, z: &Affine, output: Affine, polygon: Polygon) {
        let neuron = self.active.last().expect("a layer").len();
        if neuron == z[0].len() {
            self.values.push(output);
            self.node(index + 1, polygon);
            self.values.pop();
            return;
        }
        let value = |corner| at(z, neuron, corner);
        let sides = if polygon.iter().all(|&corner| value(corner) >= -WIDTH) {
            vec![(true, polygon)]
        } else if polygon.iter().all(|&corner| value(corner) <= WIDTH) {
            vec![(false, polygon)]
        } else {
            vec![(true, cut(&polygon, value)), (false, cut(&polygon, |corner| -value(corner)))]
        };
        for (active, part) in sides {
            if part.is_empty() {
                continue;
            }
            let mut output = output.clone();
            if active {
                (0..3).for_each(|k| output[k][neuron] = z[k][neuron]);
            }
            self.active.last_mut().expect("a layer").push(active);
            self.neuron(index, z, output, part);
            self.active.last_mut().expect("a layer").pop();
        }
    }
}

/// All affine pieces of a network of two inputs over a box.
pub fn pieces(network: &ReluNetwork, property: &Property) -> Vec<Piece> {
    assert_eq!(network.input().elements(), 2);
    let (l, u) = (&property.lower, &property.upper);
    let corners = vec![[l[0], l[1]], [u[0], l[1]], [u[0], u[1]], [l[0], u[1]]];
    let mut walk = Walk { network, values: Vec::new(), active: Vec::new(), pieces: Vec::new() };
    walk.node(0, corners);
    walk.pieces
}

/// Least value over one piece of the greatest coefficients · y − bound of a clause, and the greatest |value| at its corners.
pub fn least_of(piece: &Piece, clause: &[Constraint]) -> (f64, f64) {
    let value = |constraint: &Constraint, corner: [f64; 2]| {
        let y = (0..constraint.coefficients.len()).map(|k| constraint.coefficients[k] * at(&piece.outputs, k, corner));
        y.sum::<f64>() - constraint.bound
    };
    let (mut least, mut size) = (f64::INFINITY, 0.0f64);
    for (k, greatest) in clause.iter().enumerate() {
        // Where this constraint has the greatest value.
        let mut part = piece.corners.clone();
        for (_, other) in clause.iter().enumerate().filter(|&(o, _)| o != k) {
            if part.iter().any(|&corner| value(greatest, corner) < value(other, corner)) {
                part = cut(&part, |corner| value(greatest, corner) - value(other, corner));
            }
        }
        for &corner in &part {
            least = least.min(value(greatest, corner));
        }
        for &corner in &piece.corners {
            size = size.max(value(greatest, corner).abs());
        }
    }
    (least, size)
}

/// Least value of a property over its box, of all clauses, and the greatest |value| at any corner of a piece. The claim holds iff
/// the least value is positive.
pub fn least(network: &ReluNetwork, property: &Property) -> (f64, f64) {
    let pieces = pieces(network, property);
    let of = |clause: &Vec<Constraint>| pieces.iter().map(|piece| least_of(piece, clause)).collect::<Vec<_>>();
    let all = property.clauses.iter().flat_map(of);
    all.fold((f64::INFINITY, 0.0), |(least, size), (l, s)| (least.min(l), s.max(size)))
}
