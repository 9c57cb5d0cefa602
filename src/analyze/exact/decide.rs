//! Which class a network gives where, and by how much.

use super::polygon::{Line, Point, Polygon};
use super::regions::{Cell, Regions};

/// A convex part of a box with one class and one affine map.
#[derive(Clone, Debug)]
pub struct Decided<'a> {
    /// Where.
    pub polygon: Polygon,
    /// The class of the greatest output.
    pub class: usize,
    /// The linear region that it is a part of.
    pub cell: &'a Cell,
}

/// The parts of every linear region that have one class.
pub fn decisions<'a>(regions: &'a Regions<'_>) -> Vec<Decided<'a>> {
    let mut parts = Vec::new();
    for (cell, outputs) in regions.mapped() {
        for (class, line) in outputs.iter().enumerate() {
            let others = outputs.iter().enumerate().filter(|&(other, _)| other != class);
            let mut left = Some(cell.polygon.clone());
            for (other, rival) in others {
                let ahead = line.minus(rival);
                // Of equal maps the first class counts.
                let tied = ahead.slope == (0.0, 0.0) && ahead.offset == 0.0;
                left = if tied { left.filter(|_| class < other) } else { left.and_then(|p| p.split(&ahead).1) };
            }
            parts.extend(left.map(|polygon| Decided { polygon, class, cell }));
        }
    }
    parts
}

/// Share of the box's area with another class than `label`; 0 of a box without area.
pub fn adversarial_share(regions: &Regions<'_>, label: usize) -> f64 {
    let area = regions.whole.area();
    let wrong = decisions(regions).into_iter().filter(|part| part.class != label);
    if area > 0.0 { wrong.fold(0.0, |sum, part| sum + part.polygon.area()) / area } else { 0.0 }
}

/// The least margin over a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Least {
    /// min over the box of z_label − z_rival.
    pub margin: f64,
    /// A corner of a linear region where it is reached.
    pub at: Point,
    /// The other class that is nearest there.
    pub rival: usize,
}

/// The least margin z_label − max z_other over the whole box: margins are affine on every linear region, so it lies at a corner of one.
pub fn least_margin(regions: &Regions<'_>, label: usize) -> Least {
    let mut least = Least { margin: f64::INFINITY, at: regions.whole.corners()[0], rival: usize::from(label == 0) };
    for (cell, outputs) in regions.mapped() {
        let rivals = outputs.iter().enumerate().filter(|&(class, _)| class != label);
        for (rival, line) in rivals {
            let margin = outputs[label].minus(line);
            for &at in cell.polygon.corners() {
                let value = margin.at(at);
                if value < least.margin {
                    least = Least { margin: value, at, rival };
                }
            }
        }
    }
    least
}

/// Least and greatest value of each of the elements whose maps on convex parts are given.
pub fn ranges(images: &[(&Polygon, Vec<Line>)]) -> Vec<(f64, f64)> {
    let elements = images.first().map_or(0, |(_, lines)| lines.len());
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); elements];
    for (polygon, lines) in images {
        for (range, line) in ranges.iter_mut().zip(lines) {
            for &corner in polygon.corners() {
                let value = line.at(corner);
                *range = (range.0.min(value), range.1.max(value));
            }
        }
    }
    ranges
}
