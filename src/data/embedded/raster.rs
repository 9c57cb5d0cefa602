//! Antialiased drawing of strokes as line segments with round ends.
//!
//! Only operations that IEEE 754 rounds exactly (+ − × ÷ √, comparisons) and in a fixed order, so that every machine
//! draws the same pixels.

/// A point in pixel coordinates: x to the right, y down, the centre of the top left pixel at (0, 0).
pub(super) type Point = (f32, f32);

/// Width in pixels of the ramp from ink to paper at the edge of a stroke.
const EDGE: f32 = 1.0;

/// The ink of one picture as squared distances, so that overlapping segments of a stroke don't darken each other.
#[derive(Debug)]
pub(super) struct Canvas<const SIDE: usize> {
    /// Squared distance from each pixel's centre to the nearest segment drawn, row-major.
    nearest: Vec<f32>,
}

impl<const SIDE: usize> Canvas<SIDE> {
    pub(super) fn new() -> Self {
        Canvas { nearest: vec![f32::INFINITY; SIDE * SIDE] }
    }

    /// Forgets what was drawn.
    pub(super) fn clear(&mut self) {
        self.nearest.fill(f32::INFINITY);
    }

    /// Adds the segment from `a` to `b` for pens up to `half_width` pixels thick to each side.
    pub(super) fn segment(&mut self, a: Point, b: Point, half_width: f32) {
        let reach = half_width + EDGE;
        let columns = Self::pixels(a.0.min(b.0) - reach, a.0.max(b.0) + reach);
        let rows = Self::pixels(a.1.min(b.1) - reach, a.1.max(b.1) + reach);
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length2 = dx * dx + dy * dy;
        for row in rows {
            for column in columns.clone() {
                let (px, py) = (column as f32 - a.0, row as f32 - a.1);
                // Where along the segment its point nearest to the pixel lies, 0..1.
                let t = if length2 > 0.0 { ((px * dx + py * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
                let (ex, ey) = (px - t * dx, py - t * dy);
                let distance2 = ex * ex + ey * ey;
                let nearest = &mut self.nearest[row * SIDE + column];
                if distance2 < *nearest {
                    *nearest = distance2;
                }
            }
        }
    }

    /// Coverage (0 = paper, 1 = ink) of every pixel by a pen of `half_width` pixels to each side: a linear ramp of
    /// [`EDGE`] pixels across the outline.
    pub(super) fn coverage(&self, half_width: f32) -> impl Iterator<Item = f32> + '_ {
        self.nearest.iter().map(move |distance2| ((half_width - distance2.sqrt()) / EDGE + 0.5).clamp(0.0, 1.0))
    }

    /// The pixel indices of one axis within `from..=to`, cut to the picture.
    fn pixels(from: f32, to: f32) -> std::ops::Range<usize> {
        // `as` cuts negative numbers to 0; one more at the end makes the range half-open.
        let start = (from.max(0.0) as usize).min(SIDE);
        let end = ((to + 1.0).max(0.0) as usize).min(SIDE);
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(a: Point, b: Point, half_width: f32) -> Vec<f32> {
        let mut canvas = Canvas::<9>::new();
        canvas.segment(a, b, half_width);
        canvas.coverage(half_width).collect()
    }

    #[test]
    fn a_horizontal_stroke_covers_its_rows() {
        let pixels = drawn((2.0, 4.0), (6.0, 4.0), 1.0);
        let column = |x: usize| (0..9).map(|y| pixels[y * 9 + x]).collect::<Vec<_>>();
        // Pixel centres at distance 0, 1, 2 of the axis: inside, on the outline, outside.
        assert_eq!(column(4), [0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0]);
        assert_eq!(column(7)[4], 0.5, "round end");
        assert_eq!(column(8), [0.0; 9]);
    }

    #[test]
    fn overlapping_segments_do_not_add_up() {
        let mut canvas = Canvas::<9>::new();
        canvas.segment((2.0, 4.0), (6.0, 4.0), 1.0);
        canvas.segment((2.0, 4.0), (6.0, 4.0), 1.0);
        let twice: Vec<f32> = canvas.coverage(1.0).collect();
        assert_eq!(twice, drawn((2.0, 4.0), (6.0, 4.0), 1.0));
        canvas.clear();
        assert!(canvas.coverage(1.0).all(|c| c == 0.0));
    }

    #[test]
    fn a_stroke_outside_the_picture_leaves_it_white() {
        for (a, b) in [((-9.0, -9.0), (-5.0, 20.0)), ((30.0, 4.0), (40.0, 4.0)), ((4.0, -20.0), (4.0, -8.0))] {
            assert!(drawn(a, b, 1.5).iter().all(|&c| c == 0.0), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_dot_is_a_segment_of_no_length() {
        let pixels = drawn((4.0, 4.0), (4.0, 4.0), 1.0);
        assert_eq!(pixels[4 * 9 + 4], 1.0);
        assert_eq!(pixels[4 * 9 + 5], 0.5);
        assert_eq!(pixels[0], 0.0);
    }
}
