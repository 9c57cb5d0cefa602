//! The L∞ ball around an image within `[0,1]`, as a box that contains it.

/// More than all errors of the f64 arithmetic in [`ball`]: ε, pixel / 255 and their difference are each off by at most half a
/// unit in the last place of a number below 1, 2⁻⁵⁴, and so are this correction and a decimal that the end is written as.
const F64_ERRORS: f64 = 1.0 / (1u64 << 51) as f64;

/// Lower and upper ends of `[max(p/255 − ε, 0), min(p/255 + ε, 1)]` for each pixel byte p, in the order of the image.
///
/// The ends are f32 numbers, rounded outward: the box contains the one that real numbers would give, by less than a unit in the
/// last place of f32 on each side, for any ε in `[0, 1]` that `epsilon` is the nearest f64 to. Most verifiers compute in f32; ends
/// of more digits would be rounded there, inward as often as outward.
pub fn ball(image: &[u8], epsilon: f64) -> (Vec<f32>, Vec<f32>) {
    image.iter().map(|&pixel| ends(pixel, epsilon)).unzip()
}

fn ends(pixel: u8, epsilon: f64) -> (f32, f32) {
    let center = f64::from(pixel) / 255.0;
    let lower = center - epsilon - F64_ERRORS;
    let upper = center + epsilon + F64_ERRORS;
    // 0 and 1 are exact, and no pixel lies beyond them.
    (rounded_down(lower.max(0.0)), -rounded_down(-upper.min(1.0)))
}

/// The greatest f32 that is not above `value`.
fn rounded_down(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `value` as numerator over 2^`bits`, exactly.
    fn numerator(value: f32, bits: i32) -> i128 {
        let scaled = f64::from(value) * 2f64.powi(bits);
        assert_eq!(scaled.fract(), 0.0, "{value} has more than {bits} bits");
        scaled as i128
    }

    /// How the interval from `lower` to `upper` lies to the real one, for ε = p/q: (room below, room above) in units of
    /// 1 / (255·q·2^bits), negative where it does not contain it.
    fn room(pixel: u8, (p, q): (i128, i128), (lower, upper): (f32, f32)) -> (i128, i128) {
        const BITS: i32 = 80;
        let one = 1i128 << BITS;
        // Before the scaling by 2^bits: at most 2·255·q.
        let [low, high] = [-1, 1].map(|sign| (i128::from(pixel) * q + sign * p * 255).clamp(0, 255 * q));
        assert!(255 * q < i128::MAX / one, "no overflow");
        (low * one - numerator(lower, BITS) * 255 * q, numerator(upper, BITS) * 255 * q - high * one)
    }

    const RADII: [(i128, i128); 8] = [(0, 1), (1, 255), (2, 255), (8, 255), (1, 10), (3, 10), (37, 1000), (1, 1)];

    #[test]
    fn the_box_contains_the_ball_and_hardly_more() {
        for (p, q) in RADII {
            for pixel in 0..=255 {
                let found = ends(pixel, p as f64 / q as f64);
                let (below, above) = room(pixel, (p, q), found);
                assert!(below >= 0 && above >= 0, "{p}/{q}, pixel {pixel}: {found:?}");
                assert!(0.0 <= found.0 && found.0 <= found.1 && found.1 <= 1.0, "{p}/{q}, pixel {pixel}: {found:?}");
                // One unit in the last place of 1 at most.
                let unit = 255 * q * (1i128 << (80 - 24));
                assert!(below <= unit && above <= unit, "{p}/{q}, pixel {pixel}: {found:?}");
            }
        }
    }

    #[test]
    fn rounding_to_nearest_would_be_noticed() {
        let nearest = |pixel: u8, epsilon: f64| {
            let center = f64::from(pixel) / 255.0;
            ((center - epsilon).max(0.0) as f32, (center + epsilon).min(1.0) as f32)
        };
        let outside = |(p, q): (i128, i128)| {
            (0..=255).any(|pixel| {
                let (below, above) = room(pixel, (p, q), nearest(pixel, p as f64 / q as f64));
                below < 0 || above < 0
            })
        };
        assert!(outside((1, 10)) && outside((2, 255)) && outside((0, 1)));
    }
}
