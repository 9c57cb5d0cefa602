//! From the f32 iterates of a device to f64 points of a box.

use crate::certify::property::Property;

/// The ends of an interval, moved inward by what rounding may have moved them outward: two ulps, as for
/// [`Property::ball`]. Ends of 0 and 1 are where boxes are cut and stay, as does a single point; the middle is left of what is narrower.
fn inset(lower: f64, upper: f64) -> (f64, f64) {
    if lower == upper {
        return (lower, upper);
    }
    let is_cut = |end: f64| end == 0.0 || end == 1.0;
    let a = if is_cut(lower) { lower } else { lower.next_up().next_up() };
    let b = if is_cut(upper) { upper } else { upper.next_down().next_down() };
    if a <= b {
        return (a, b);
    }
    let middle = (0.5 * (lower + upper)).clamp(lower, upper);
    (middle, middle)
}

/// The least f32 ≥ v.
fn above(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) < v { near.next_up() } else { near }
}

/// The greatest f32 ≤ v.
fn below(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) > v { near.next_down() } else { near }
}

/// Points of the box that an iterate stands for, in the order in which they are tried: one of f32 numbers where the box holds
/// any, then the one that has the box's very ends where the iterate has them as f32.
pub(super) fn candidates(property: &Property, iterate: &[f32]) -> Vec<Vec<f64>> {
    let ends = || property.lower.iter().copied().zip(property.upper.iter().copied());
    let in_f32 = |(&x, (lower, upper)): (&f32, (f64, f64))| {
        let (a, b) = inset(lower, upper);
        let (first, last) = (above(a), below(b));
        // A box without any f32 number.
        if first > last { f64::from(x).clamp(a, b) } else { f64::from(x.clamp(first, last)) }
    };
    let in_f64 = |(&x, (lower, upper)): (&f32, (f64, f64))| {
        let (a, b) = inset(lower, upper);
        match x {
            x if x <= lower as f32 => a,
            x if x >= upper as f32 => b,
            x => f64::from(x).clamp(a, b),
        }
    };
    let first: Vec<f64> = iterate.iter().zip(ends()).map(in_f32).collect();
    let second: Vec<f64> = iterate.iter().zip(ends()).map(in_f64).collect();
    if first == second { vec![first] } else { vec![first, second] }
}

/// Whether x lies in the ε ball of an image and in `[0, 1]`, over the real numbers.
pub fn in_ball(x: &[f64], image: &[f32], epsilon: f64) -> bool {
    let near = |(&x, &p): (&f64, &f32)| {
        let (a, b) = if x >= f64::from(p) { (x, f64::from(p)) } else { (f64::from(p), x) };
        // a − b = distance + rest exactly (Knuth's two-sum); rounding is monotone, so only a tie has to look at the rest.
        let distance = a - b;
        let part = distance - a;
        let rest = (a - (distance - part)) + (-b - part);
        (0.0..=1.0).contains(&x) && (distance < epsilon || (distance == epsilon && rest <= 0.0))
    };
    x.len() == image.len() && x.iter().zip(image).all(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(lower: f64, upper: f64) -> Property {
        Property { lower: vec![lower], upper: vec![upper], clauses: Vec::new() }
    }

    #[test]
    fn candidates_lie_in_the_box() {
        for (lower, upper) in
            [(0.1, 0.3), (0.0, 1.0), (0.2, 0.2), (0.1, 0.1f64.next_up()), (-3.0, 1e-9), (0.3, 0.3 + 1e-12)]
        {
            for x in [lower as f32, upper as f32, (0.5 * (lower + upper)) as f32, -5.0, 5.0] {
                for point in candidates(&boxed(lower, upper), &[x]) {
                    assert!(lower <= point[0] && point[0] <= upper, "{x} in [{lower}, {upper}]: {point:?}");
                }
            }
        }
        let corners = candidates(&boxed(0.1, 0.3), &[0.1]);
        assert_eq!(corners[0][0], f64::from(corners[0][0] as f32));
        assert_eq!(corners[1][0], 0.1f64.next_up().next_up());
        assert_eq!(candidates(&boxed(0.0, 1.0), &[1.0]), [[1.0]]);
    }

    #[test]
    fn balls_are_cut_exactly() {
        let p = 0.7f32;
        let end = f64::from(p) + 0.1;
        assert!(in_ball(&[f64::from(p)], &[p], 0.0) && in_ball(&[0.75], &[p], 0.1));
        // The difference of p and the next f64 rounds to 0 against nothing: any step beyond ε is seen.
        assert!(!in_ball(&[end.next_up().next_up()], &[p], 0.1));
        assert!(in_ball(&[end.next_down().next_down()], &[p], 0.1));
        assert!(!in_ball(&[1.0f64.next_up()], &[1.0], 0.5) && !in_ball(&[-1e-300], &[0.0], 0.5));
        assert!(!in_ball(&[f64::NAN], &[p], 0.5) && !in_ball(&[0.7, 0.7], &[p], 0.5));
        // 1 − 2⁻⁶⁰ is exactly less than 1, and 1 + 2⁻⁶⁰ more; both round to it.
        assert!(in_ball(&[1.0], &[2f32.powi(-60)], 1.0));
        let (lower, upper) = Property::ball(&[p, 0.0, 1.0, 0.05], 0.1);
        let property = Property { lower, upper, clauses: Vec::new() };
        for x in [[0.0; 4], [1.0; 4], [0.5; 4]] {
            for point in candidates(&property, &x) {
                assert!(in_ball(&point, &[p, 0.0, 1.0, 0.05], 0.1), "{point:?}");
            }
        }
    }
}
