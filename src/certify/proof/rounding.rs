//! Bounds of rounding errors in f64 that hold under any order of summation, with fused multiply-adds or without.

/// Unit roundoff of f64 to nearest: |fl(x ∘ y) − x ∘ y| ≤ u · |fl(x ∘ y)| and ≤ u · |x ∘ y|, underflow apart.
pub(super) const UNIT: f64 = f64::EPSILON / 2.0;

/// What underflow can add in all places of a step together: a product loses at most 2⁻¹⁰⁷⁵, and there are fewer than 2³⁰ of them
/// (`prover::MOST`); the rest is room.
pub(super) const UNDERFLOW: f64 = f64::from_bits((1023 - 1000) << 52);

/// Factor by which every sum of error terms is enlarged. A sum of fewer than 2³¹ non-negative products loses less than the part
/// γ ≤ 2⁻²¹·⁹ of its value by its own rounding; 2⁻²⁰ is more than 1/(1 − γ) − 1.
pub(super) const INFLATE: f64 = 1.0 + 1.0 / (1u64 << 20) as f64;

/// γ_n = n·u / (1 − n·u) (Higham 2002, lemma 3.1), rounded up; `n` gets 16 more for the few operations around a sum.
pub(super) fn gamma(terms: usize) -> f64 {
    let nu = (terms + 16) as f64 * UNIT;
    nu / (1.0 - nu) * INFLATE
}

/// A sound end of an interval from a value that may be NaN: nothing is known then.
pub(super) fn or_infinite(value: f64, infinity: f64) -> f64 {
    if value.is_nan() { infinity } else { value }
}
