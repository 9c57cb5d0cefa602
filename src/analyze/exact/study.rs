//! One network at one point: what is true on a box, what interval bounds say, and the polygons of it all.

use std::sync::Arc;

use serde::Serialize;

use super::attacked::Attacked;
use super::decide::{adversarial_share, decisions, least_margin, ranges};
use super::polygon::{Line, Point, Polygon};
use super::regions::Regions;
use crate::certify::network::ReluNetwork;
use crate::certify::proof::{Objective, Prover, Region};
use crate::error::Result;

/// What a network does on a box of inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoxNumbers {
    /// Lower corner.
    pub lower: Point,
    /// Upper corner.
    pub upper: Point,
    /// Area.
    pub area: f64,
    /// Number of parts on which the network is one affine map.
    pub regions: usize,
    /// Share of the area that has another class than the label.
    pub adversarial: f64,
    /// Least margin z_label − max z_other over the box.
    pub exact_margin: f64,
    /// Where it is.
    pub worst: Point,
    /// Lower bound of that margin by interval arithmetic, with the last layer merged into it; rounded outward.
    pub interval_margin: f64,
    /// Each hidden layer behind its ReLU, and the outputs.
    pub layers: Vec<LayerNumbers>,
}

/// How far a layer's elements reach, as means over its elements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerNumbers {
    /// Elements.
    pub elements: usize,
    /// Mean width of what the elements take on.
    pub exact_width: f64,
    /// Mean width of their interval bounds.
    pub interval_width: f64,
}

impl LayerNumbers {
    /// How many times wider the bounds are; 1 where nothing moves.
    pub fn growth(&self) -> f64 {
        if self.exact_width > 0.0 { self.interval_width / self.exact_width } else { 1.0 }
    }
}

/// A layer's image in two of its elements; the outputs' in the difference of two, the margin, and their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Hidden layer, from 0; their number for the outputs.
    pub layer: usize,
    /// The elements shown.
    pub shown: [usize; 2],
    /// Image of the ε box.
    pub ball: Vec<Vec<Point>>,
    /// Image of its adversarial part.
    pub adversarial: Vec<Vec<Point>>,
    /// Image of the small box.
    pub small: Vec<Vec<Point>>,
    /// What interval bounds leave of the plane, for the ε box.
    pub ball_bounds: Vec<Point>,
    /// The same for the small box.
    pub small_bounds: Vec<Point>,
    /// Image of the point.
    pub natural: Point,
    /// Image of the attacked point.
    pub attacked: Point,
}

/// The polygons of the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Linear regions of the whole square, by class.
    pub square: Vec<Vec<Vec<Point>>>,
    /// Linear regions around the ε box, by class.
    pub window: Vec<Vec<Vec<Point>>>,
    /// Parts of the ε box with another class.
    pub adversarial: Vec<Vec<Point>>,
}

/// One network at one point.
#[derive(Clone, Debug, Serialize)]
pub struct Study {
    /// Its class.
    pub class: usize,
    /// Its margin.
    pub margin: f64,
    /// Where the attack came to.
    pub attacked: Point,
    /// The margin there.
    pub attacked_margin: f64,
    /// The ε box.
    pub ball: BoxNumbers,
    /// The small box.
    pub small: BoxNumbers,
    /// Linear regions of the whole square.
    pub square_regions: usize,
    /// For the pictures.
    #[serde(skip)]
    pub inputs: Inputs,
    /// For the pictures.
    #[serde(skip)]
    pub images: Vec<Image>,
}

/// How far the picture goes beyond the ε box, relative to ε.
const WINDOW: f64 = 1.6;

/// The ε box of a point, cut with the square.
pub fn ball(point: Point, epsilon: f64) -> (Point, Point) {
    let reach = |by: f64| ((point.0 + by).clamp(0.0, 1.0), (point.1 + by).clamp(0.0, 1.0));
    (reach(-epsilon), reach(epsilon))
}

/// Class (the first of the greatest output) and margin of `label` at a point.
pub fn classify(network: &ReluNetwork, (x, y): Point, label: usize) -> (usize, f64) {
    let outputs = network.evaluate(&[x, y]);
    let class = (1..outputs.len()).fold(0, |best, i| if outputs[i] > outputs[best] { i } else { best });
    let others = outputs.iter().enumerate().filter(|&(i, _)| i != label);
    let rival = others.map(|(_, &z)| z).fold(f64::NEG_INFINITY, f64::max);
    (class, outputs[label] - rival)
}

/// The interval bounds of a box.
fn interval(prover: &Arc<Prover>, lower: Point, upper: Point) -> Result<Region> {
    Region::interval(prover, &[lower.0, lower.1], &[upper.0, upper.1])
}

/// The interval bound of the margin of `label` over the box from `lower` to `upper`.
///
/// # Errors
/// [`crate::error::Error::Config`] for a network of other than two inputs.
pub fn interval_margin(prover: &Arc<Prover>, (lower, upper): (Point, Point), label: usize) -> Result<f64> {
    let objective = |other: usize| {
        let mut coefficients = vec![0.0; prover.outputs()];
        (coefficients[label], coefficients[other]) = (1.0, -1.0);
        Objective::exact(coefficients, 0.0)
    };
    let others: Vec<Objective> = (0..prover.outputs()).filter(|&class| class != label).map(objective).collect();
    let margins = interval(prover, lower, upper)?.interval_lower_bounds(&others)?;
    Ok(margins.into_iter().fold(f64::INFINITY, f64::min))
}

/// Bounds of a layer's elements behind the ReLU, or of the outputs.
fn bounds(region: &Region, layer: usize) -> Vec<(f64, f64)> {
    let hidden = layer < region.prover().layers();
    let (lower, upper) = if hidden { region.bounds(layer) } else { region.outputs() };
    let cut = |v: f64| if hidden { v.max(0.0) } else { v };
    lower.into_iter().zip(upper).map(|(l, u)| (cut(l), cut(u))).collect()
}

fn mean_width(ranges: &[(f64, f64)]) -> f64 {
    ranges.iter().map(|(low, high)| high - low).sum::<f64>() / ranges.len() as f64
}

/// Numbers of a box with corners `lower` and `upper`.
fn numbers(regions: &Regions<'_>, region: &Region, (lower, upper): (Point, Point), label: usize) -> Result<BoxNumbers> {
    let least = least_margin(regions, label);
    let layers = (0..=regions.layers()).map(|layer| {
        let exact = ranges(&regions.images(layer));
        let (exact_width, interval_width) = (mean_width(&exact), mean_width(&bounds(region, layer)));
        LayerNumbers { elements: exact.len(), exact_width, interval_width }
    });
    Ok(BoxNumbers {
        lower,
        upper,
        area: regions.whole.area(),
        regions: regions.cells().len(),
        adversarial: adversarial_share(regions, label),
        exact_margin: least.margin,
        worst: least.at,
        interval_margin: interval_margin(region.prover(), (lower, upper), label)?,
        layers: layers.collect(),
    })
}

/// A polygon under the maps of two elements, or under their difference and sum.
fn image(polygon: &Polygon, lines: &[Line], [i, j]: [usize; 2], turned: bool) -> Vec<Point> {
    let (a, b) = (&lines[i], &lines[j]);
    let (x, y) = if turned { (a.minus(b), a.plus(b)) } else { (*a, *b) };
    polygon.corners().iter().map(|&corner| (x.at(corner), y.at(corner))).collect()
}

/// Interval bounds of z_a − z_b and z_a + z_b, with the last layer merged into both.
fn difference_and_sum(region: &Region, [a, b]: [usize; 2]) -> Result<[(f64, f64); 2]> {
    let objective = |of_a: f64, of_b: f64| {
        let mut coefficients = vec![0.0; region.prover().outputs()];
        (coefficients[a], coefficients[b]) = (of_a, of_b);
        Objective::exact(coefficients, 0.0)
    };
    let signs = [(1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0)];
    let least = region.interval_lower_bounds(&signs.map(|(a, b)| objective(a, b)))?;
    Ok([(least[0], -least[1]), (least[2], -least[3])])
}

/// The two elements of the greatest width, in order; the greatest first where they are as wide.
fn widest(ranges: &[(f64, f64)]) -> [usize; 2] {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by(|&a, &b| (ranges[b].1 - ranges[b].0).total_cmp(&(ranges[a].1 - ranges[a].0)));
    [order[0].min(order[1]), order[0].max(order[1])]
}

/// By class, the parts of a box.
fn by_class(regions: &Regions<'_>, classes: usize) -> Vec<Vec<Vec<Point>>> {
    let mut sorted = vec![Vec::new(); classes];
    for part in decisions(regions) {
        sorted[part.class].push(part.polygon.corners().to_vec());
    }
    sorted
}

impl Study {
    /// `network` at `point`, whose class is `label`, in its ε box and in the small box around the attacked point.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] for a network of other than two inputs, or of too many linear regions.
    pub fn new(
        network: &ReluNetwork,
        prover: &Arc<Prover>,
        (point, label): (Point, usize),
        epsilon: f64,
        attacked: &Attacked,
    ) -> Result<Study> {
        let classes = network.outputs();
        let ends = ball(point, epsilon);
        let small_ends = (attacked.lower, attacked.upper);
        let in_ball = Regions::new(network, ends.0, ends.1)?;
        let in_small = Regions::new(network, attacked.lower, attacked.upper)?;
        let bounds_of_ball = interval(prover, ends.0, ends.1)?;
        let bounds_of_small = interval(prover, attacked.lower, attacked.upper)?;
        let square = Regions::new(network, (0.0, 0.0), (1.0, 1.0))?;
        let window_ends = ball(point, WINDOW * epsilon);
        let window = Regions::new(network, window_ends.0, window_ends.1)?;

        let decided = decisions(&in_ball);
        let wrong: Vec<_> = decided.iter().filter(|part| part.class != label).collect();
        let rival = least_margin(&in_ball, label).rival;
        let (at_point, at_attacked) = (
            network.evaluate_nodes(&[point.0, point.1]),
            network.evaluate_nodes(&[attacked.point.0, attacked.point.1]),
        );
        let mut drawn = Vec::new();
        for layer in 0..=in_ball.layers() {
            let last = layer == in_ball.layers();
            let node = if last { in_ball.output() } else { in_ball.relu(layer) };
            let parts = in_ball.images(layer);
            let exact = ranges(&parts);
            if exact.len() < 2 {
                continue;
            }
            let shown = if last { [label, rival] } else { widest(&exact) };
            let place = |values: &[Vec<f64>]| {
                let (a, b) = (values[node][shown[0]], values[node][shown[1]]);
                if last { (a - b, a + b) } else { (a, b) }
            };
            let adversarial =
                wrong.iter().map(|part| image(&part.polygon, &in_ball.lines(part.cell, node), shown, last));
            let images = |parts: &[(&Polygon, Vec<Line>)]| -> Vec<Vec<Point>> {
                parts.iter().map(|(polygon, lines)| image(polygon, lines, shown, last)).collect()
            };
            let left = |region: &Region| -> Result<Vec<Point>> {
                let ends = match last {
                    true => difference_and_sum(region, shown)?,
                    false => shown.map(|i| bounds(region, layer)[i]),
                };
                let rectangle = Polygon::rectangle((ends[0].0, ends[1].0), (ends[0].1, ends[1].1));
                Ok(rectangle.corners().to_vec())
            };
            drawn.push(Image {
                layer,
                shown,
                ball: images(&parts),
                adversarial: adversarial.collect(),
                small: images(&in_small.images(layer)),
                ball_bounds: left(&bounds_of_ball)?,
                small_bounds: left(&bounds_of_small)?,
                natural: place(&at_point),
                attacked: place(&at_attacked),
            });
        }
        let (class, margin) = classify(network, point, label);
        Ok(Study {
            class,
            margin,
            attacked: attacked.point,
            attacked_margin: classify(network, attacked.point, label).1,
            ball: numbers(&in_ball, &bounds_of_ball, ends, label)?,
            small: numbers(&in_small, &bounds_of_small, small_ends, label)?,
            square_regions: square.cells().len(),
            inputs: Inputs {
                square: by_class(&square, classes),
                window: by_class(&window, classes),
                adversarial: wrong.iter().map(|part| part.polygon.corners().to_vec()).collect(),
            },
            images: drawn,
        })
    }
}
