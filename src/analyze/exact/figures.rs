//! The pictures: the square, and the way of a box through each network.

use super::polygon::Point;
use super::study::{Image, Study};
use super::{Exact, Model};
use crate::figure::{Axis, Chart, Dot, Figure, Mark, Series};

// Looks: 7 colours in turn, solid outlines where the number is a multiple of 5, one of four markers.
/// Classes: light blue, orange, green, pink.
const CLASSES: [usize; 4] = [5, 4, 2, 3];
/// The ε box and its images: blue.
const BALL: usize = 0;
/// Adversarial examples: vermilion.
const ADVERSARIAL: usize = 1;
/// The small box and its images: green.
const SMALL: usize = 30;
/// Interval bounds of both: the same colours, dashed.
const BALL_BOUNDS: usize = 21;
const SMALL_BOUNDS: usize = 16;
/// The point: a disc in the colour of the text.
const NATURAL: usize = 20;
/// The attacked point: a vermilion diamond.
const ATTACKED: usize = 15;
/// Where the margin is 0: dashes in the colour of the text.
const BOUNDARY: usize = 6;

/// Points of each class in the same order: blue, vermilion, green, pink.
const DOTS: [usize; 4] = [0, 1, 2, 3];
/// Half the side of a point of the dataset.
const DOT: f64 = 0.007;

/// Relative to the whole image, what is thinner is a line.
const FLAT: f64 = 1e-9;

/// Of deeper networks, the first and the last hidden layers.
const MOST_HIDDEN: usize = 2;

fn rectangle((lower, upper): (Point, Point)) -> Mark {
    Mark::Outlines(vec![vec![lower, (upper.0, lower.1), upper, (lower.0, upper.1)]])
}

/// Areas by class, those that there are.
fn classes(areas: &[Vec<Vec<Point>>]) -> Vec<Series> {
    let of = |(class, polygons): (usize, &Vec<Vec<Point>>)| {
        let style = CLASSES[class % CLASSES.len()] + class / CLASSES.len() * CLASSES.len();
        Series::new(&format!("classified as {class}"), style, Mark::Areas(polygons.clone()))
    };
    areas.iter().enumerate().filter(|(_, polygons)| !polygons.is_empty()).map(of).collect()
}

fn areas(name: &str, style: usize, polygons: &[Vec<Point>]) -> Option<Series> {
    (!polygons.is_empty()).then(|| Series::new(name, style, Mark::Areas(polygons.to_vec())))
}

fn dot(name: &str, style: usize, (x, y): Point) -> Series {
    Series::new(name, style, Mark::Dots(vec![Dot::at(x, y)]))
}

fn points(natural: Point, attacked: Point) -> [Series; 2] {
    [dot("the point", NATURAL, natural), dot("where PGD came to", ATTACKED, attacked)]
}

/// An axis of the square between the ends of what is shown.
fn side(name: &str, low: f64, high: f64) -> Axis {
    Axis::linear(name, "").within(low, high)
}

impl Exact {
    /// The pictures.
    pub fn figures(&self) -> Vec<Figure> {
        vec![self.square(), self.layers()]
    }

    /// The whole square, a chart for each network.
    fn square(&self) -> Figure {
        let dots = self.dots();
        let chart = |model: &Model| {
            let Study { inputs, ball, .. } = &model.study;
            let mut series = classes(&inputs.square);
            series.extend(dots.iter().cloned());
            series.push(Series::new("ε box", BALL, rectangle((ball.lower, ball.upper))));
            series.push(dot("the point", NATURAL, self.point));
            let (x, y) = (side("x", 0.0, 1.0), side("y", 0.0, 1.0));
            Chart { title: model.model.clone(), x, y, equal_axes: true, series }
        };
        Figure {
            name: "square".into(),
            caption: "What each network answers on the whole square of inputs, and points of the dataset. Every polygon is a linear region: the network is one affine \
                      map there. The ε box is what an attacker may reach from the point that the other pictures follow."
                .into(),
            columns: self.models.len().min(4),
            charts: self.models.iter().map(chart).collect(),
        }
    }

    /// Points of the dataset, by class.
    fn dots(&self) -> Vec<Series> {
        let classes = self.models.first().map_or(0, |model| model.study.inputs.square.len());
        let of = |class: usize| {
            let places = self.dotted.iter().filter(|place| place.label == class).map(|place| place.point);
            let polygon = |(x, y): Point| vec![(x - DOT, y), (x, y - DOT), (x + DOT, y), (x, y + DOT)];
            areas(
                &format!("points of class {class}"),
                DOTS[class % DOTS.len()],
                &places.map(polygon).collect::<Vec<_>>(),
            )
        };
        (0..classes).filter_map(of).collect()
    }

    /// The way of the box through the layers, a row for each network.
    fn layers(&self) -> Figure {
        let most = self.models.iter().map(|model| shown(&model.study).len()).max().unwrap_or(0);
        let mut charts = Vec::new();
        for model in &self.models {
            charts.push(self.inputs(model));
            let mut images: Vec<Chart> = shown(&model.study).into_iter().map(|i| self.image(model, i)).collect();
            // Rows of networks with fewer layers end as the others do, with the outputs.
            while images.len() < most {
                images.insert(0, self.inputs(model));
            }
            charts.extend(images);
        }
        Figure {
            name: "layers".into(),
            caption: "A row for each network, from left to right the way of the ε box through it. Filled: everything that the points of the box become, \
                      exactly, polygon by polygon. Outlined: what interval bounds (IBP) leave possible, for the ε box and for SABR's small box around \
                      the point where PGD came to. Left of the black dashes the other class wins."
                .into(),
            columns: most + 1,
            charts,
        }
    }

    /// The surroundings of the ε box.
    fn inputs(&self, model: &Model) -> Chart {
        let Study { inputs, ball, small, attacked, .. } = &model.study;
        let mut series = classes(&inputs.window);
        series.extend(areas("adversarial examples", ADVERSARIAL, &inputs.adversarial));
        series.push(Series::new("ε box", BALL, rectangle((ball.lower, ball.upper))));
        series.push(Series::new("small box", SMALL, rectangle((small.lower, small.upper))));
        series.extend(points(self.point, *attacked));
        let reach = |at: f64| ((at - 1.6 * self.epsilon).max(0.0), (at + 1.6 * self.epsilon).min(1.0));
        let (x, y) = (reach(self.point.0), reach(self.point.1));
        Chart {
            title: format!("{}: inputs", model.model),
            x: side("x", x.0, x.1),
            y: side("y", y.0, y.1),
            equal_axes: true,
            series,
        }
    }

    /// The images of a layer.
    fn image(&self, model: &Model, image: &Image) -> Chart {
        let last = image.layer + 1 == model.study.ball.layers.len();
        let mut series = Vec::new();
        series.extend(areas("image of the ε box", BALL, &image.ball));
        series.extend(folded("ε box, folded flat", BALL, &image.ball));
        series.extend(areas("adversarial examples", ADVERSARIAL, &image.adversarial));
        series.extend(areas("image of the small box", SMALL, &image.small));
        series.extend(folded("small box, folded flat", SMALL, &image.small));
        series.push(Series::new("ε box by IBP", BALL_BOUNDS, Mark::Outlines(vec![image.ball_bounds.clone()])));
        series.push(Series::new("small box by IBP", SMALL_BOUNDS, Mark::Outlines(vec![image.small_bounds.clone()])));
        if last {
            let ends = extent(std::slice::from_ref(&image.ball_bounds))
                .map_or([0.0, 1.0], |(lower, upper)| [lower.1, upper.1]);
            series.push(Series::new("margin 0", BOUNDARY, Mark::Line(ends.map(|y| (0.0, y)).to_vec())));
        }
        series.extend(points(image.natural, image.attacked));
        let [i, j] = image.shown;
        let (title, x, y) = if last {
            (format!("{}: outputs", model.model), format!("margin: output {i} − {j}"), format!("output {i} + {j}"))
        } else {
            let layer = image.layer + 1;
            (format!("{}: hidden layer {layer}", model.model), format!("neuron {i}"), format!("neuron {j}"))
        };
        Chart { title, x: Axis::linear(&x, ""), y: Axis::linear(&y, ""), equal_axes: false, series }
    }
}

/// Least and greatest coordinates.
fn extent(polygons: &[Vec<Point>]) -> Option<(Point, Point)> {
    let corners = polygons.iter().flatten();
    corners.fold(None, |ends, &(x, y)| {
        let (lower, upper) = ends.unwrap_or(((x, y), (x, y)));
        Some(((x.min(lower.0), y.min(lower.1)), (x.max(upper.0), y.max(upper.1))))
    })
}

/// Polygons that a layer folds to lines, which no area shows; those that are more than a point.
fn folded(name: &str, style: usize, polygons: &[Vec<Point>]) -> Option<Series> {
    let (lower, upper) = extent(polygons)?;
    let thin = FLAT * (upper.0 - lower.0).max(upper.1 - lower.1);
    let flat = |corners: &&Vec<Point>| {
        extent(std::slice::from_ref(*corners)).is_some_and(|(lower, upper)| {
            let (width, height) = (upper.0 - lower.0, upper.1 - lower.1);
            width.min(height) <= thin && width.max(height) > thin
        })
    };
    let flat: Vec<Vec<Point>> = polygons.iter().filter(flat).cloned().collect();
    (!flat.is_empty()).then(|| Series::new(name, style, Mark::Outlines(flat)))
}

/// The layers that are drawn.
fn shown(study: &Study) -> Vec<&Image> {
    let images = &study.images;
    let hidden = images.len().saturating_sub(1);
    let left_out = |i: usize| hidden > MOST_HIDDEN && i > 0 && i + 1 < hidden;
    images.iter().enumerate().filter(|&(i, _)| !left_out(i)).map(|(_, image)| image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_folded_flat_is_drawn_as_lines() {
        let triangle = vec![(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)];
        let (line, dot) = (vec![(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)], vec![(0.0, 1.0); 3]);
        let series = folded("flat", BALL, &[triangle.clone(), line.clone(), dot]).expect("a line");
        assert_eq!(series.mark, Mark::Outlines(vec![line]));
        assert_eq!(folded("flat", BALL, &[triangle]), None);
    }
}
