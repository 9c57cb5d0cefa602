//! Convex polygons of the plane.

/// A place in the plane.
pub type Point = (f64, f64);

/// Parts of less than this share of the polygon that they are cut from are rounding, and stay with the rest.
const SLIVER: f64 = 1e-12;

/// A convex polygon by its corners, counter-clockwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    corners: Vec<Point>,
}

/// x ↦ slope · x + offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Change for each unit of either coordinate.
    pub slope: Point,
    /// Value at the origin.
    pub offset: f64,
}

impl Line {
    /// Value at a place.
    pub fn at(&self, (x, y): Point) -> f64 {
        self.slope.0 * x + self.slope.1 * y + self.offset
    }

    /// The sum of two.
    pub fn plus(&self, other: &Line) -> Line {
        let slope = (self.slope.0 + other.slope.0, self.slope.1 + other.slope.1);
        Line { slope, offset: self.offset + other.offset }
    }

    /// The difference of two.
    pub fn minus(&self, other: &Line) -> Line {
        let slope = (self.slope.0 - other.slope.0, self.slope.1 - other.slope.1);
        Line { slope, offset: self.offset - other.offset }
    }
}

impl Polygon {
    /// The rectangle between two corners.
    pub fn rectangle(lower: Point, upper: Point) -> Polygon {
        Polygon { corners: vec![lower, (upper.0, lower.1), upper, (lower.0, upper.1)] }
    }

    /// The corners, counter-clockwise.
    pub fn corners(&self) -> &[Point] {
        &self.corners
    }

    /// Area (Gauss's formula about the first corner).
    pub fn area(&self) -> f64 {
        let (x0, y0) = self.corners[0];
        let doubled = |pair: &[Point]| {
            let [(ax, ay), (bx, by)] = [pair[0], pair[1]].map(|(x, y)| (x - x0, y - y0));
            ax * by - bx * ay
        };
        0.5 * self.corners.windows(2).map(doubled).sum::<f64>()
    }

    /// Middle of the corners, which lies within.
    pub fn middle(&self) -> Point {
        let n = self.corners.len() as f64;
        let (x, y) = self.corners.iter().fold((0.0, 0.0), |(x, y), corner| (x + corner.0, y + corner.1));
        (x / n, y / n)
    }

    /// Whether a place lies within or at most `slack` beyond an edge.
    pub fn contains(&self, (x, y): Point, slack: f64) -> bool {
        let next = self.corners.iter().cycle().skip(1);
        self.corners.iter().zip(next).all(|(&(ax, ay), &(bx, by))| {
            let (dx, dy) = (bx - ax, by - ay);
            // Distance to the left of the edge, times its length.
            dx * (y - ay) - dy * (x - ax) >= -slack * dx.hypot(dy)
        })
    }

    /// The parts on which `line` is at most and at least 0; one alone where the other would have no area but by rounding.
    pub fn split(&self, line: &Line) -> (Option<Polygon>, Option<Polygon>) {
        let values: Vec<f64> = self.corners.iter().map(|&corner| line.at(corner)).collect();
        if values.iter().all(|&v| v >= 0.0) {
            return (None, Some(self.clone()));
        }
        if values.iter().all(|&v| v <= 0.0) {
            return (Some(self.clone()), None);
        }
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for (i, (&corner, &value)) in self.corners.iter().zip(&values).enumerate() {
            if value <= 0.0 {
                below.push(corner);
            }
            if value >= 0.0 {
                above.push(corner);
            }
            let j = (i + 1) % self.corners.len();
            if value * values[j] < 0.0 {
                let (t, next) = (value / (value - values[j]), self.corners[j]);
                let crossing = (corner.0 + t * (next.0 - corner.0), corner.1 + t * (next.1 - corner.1));
                below.push(crossing);
                above.push(crossing);
            }
        }
        let least = SLIVER * self.area();
        let part = |corners: Vec<Point>| Some(Polygon { corners }).filter(|p| p.corners.len() > 2 && p.area() > least);
        match (part(below), part(above)) {
            (None, Some(_)) => (None, Some(self.clone())),
            (Some(_), None) => (Some(self.clone()), None),
            parts => parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Polygon {
        Polygon::rectangle((0.0, 0.0), (1.0, 1.0))
    }

    #[test]
    fn halves_have_the_areas_of_geometry() {
        // Below x + y = 1/2: a triangle of 1/8.
        let line = Line { slope: (1.0, 1.0), offset: -0.5 };
        let (Some(below), Some(above)) = square().split(&line) else { panic!("two parts") };
        assert_eq!((below.area(), above.area()), (0.125, 0.875));
        assert_eq!((below.corners().len(), above.corners().len()), (3, 5));
        assert!(below.contains((0.1, 0.1), 0.0) && !below.contains((0.5, 0.5), 0.0));
        assert!(above.contains((0.5, 0.5), 0.0) && above.contains((0.25, 0.25), 1e-12));
        assert!(!above.contains((0.24, 0.25), 1e-12) && above.contains((0.24, 0.25), 0.01));
        assert!(above.contains(above.middle(), 0.0));
    }

    #[test]
    fn what_is_only_touched_stays_whole() {
        let along = Line { slope: (1.0, 0.0), offset: 0.0 };
        assert_eq!(square().split(&along), (None, Some(square())));
        let opposite = Line { slope: (1.0, 1.0), offset: -2.0 };
        assert_eq!(square().split(&opposite), (Some(square()), None));
        // A cut of rounding's width is none.
        let grazing = Line { slope: (1.0, 1.0), offset: -1e-9 };
        assert_eq!(square().split(&grazing), (None, Some(square())));
        // Through two corners: two triangles without a corner too many.
        let diagonal = Line { slope: (1.0, -1.0), offset: 0.0 };
        let (Some(below), Some(above)) = square().split(&diagonal) else { panic!("two parts") };
        assert_eq!([below.corners().len(), above.corners().len()], [3, 3]);
        assert_eq!([below.area(), above.area()], [0.5, 0.5]);
    }
}
