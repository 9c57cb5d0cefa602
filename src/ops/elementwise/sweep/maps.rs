//! What sweeps compute of each element.

use super::super::program::Program;
use super::algebra::Algebra;
use super::run::call;
use crate::kernel::NativeCall;

/// What is made of an element: of `E` operands that have it and of `F` factors, which are one number for a channel or for all elements, `R`
/// results and `T` terms of sums.
pub(super) trait Map<const E: usize, const F: usize, const R: usize, const T: usize>: 'static {
    /// # Safety
    /// As [`Algebra`].
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        each: [A::Value; E],
        factors: [A::Value; F],
    ) -> ([A::Value; R], [A::Value; T]);
}

/// All of them.
pub(super) const ALL: &[fn(&Program) -> Option<NativeCall>] = &[
    call::<ScaleShift, _, _, _, _>,
    call::<ScaleShiftRelu, _, _, _, _>,
    call::<ScaleShiftReluBox, _, _, _, _>,
    call::<ScaleShiftReluBoxBackward, _, _, _, _>,
    call::<ScaleBackward, _, _, _, _>,
    call::<ScaleShiftBackward, _, _, _, _>,
    call::<ScaleShiftSums, _, _, _, _>,
    call::<StatisticsBackward, _, _, _, _>,
    call::<Moments, _, _, _, _>,
    call::<Sum, _, _, _, _>,
    call::<ScaleAndMagnitudes, _, _, _, _>,
];

/// y = s · x + t: batch norm.
struct ScaleShift;

impl Map<1, 2, 1, 0> for ScaleShift {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [x]: [A::Value; 1],
        [s, t]: [A::Value; 2],
    ) -> ([A::Value; 1], [A::Value; 0]) {
        // SAFETY: the caller's duty, here and below.
        unsafe {
            let scaled = a.mul(x, s);
            ([a.add(scaled, t)], [])
        }
    }
}

/// y = max(s · x + t, 0).
struct ScaleShiftRelu;

impl Map<1, 2, 1, 0> for ScaleShiftRelu {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(a: &mut A, x: [A::Value; 1], factors: [A::Value; 2]) -> ([A::Value; 1], [A::Value; 0]) {
        unsafe {
            let ([y], []) = ScaleShift::apply(a, x, factors);
            ([a.relu(y)], [])
        }
    }
}

/// The box (s · m + t, |s| · r) behind a ReLU, of a box (m, r).
struct ScaleShiftReluBox;

impl Map<2, 3, 2, 0> for ScaleShiftReluBox {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [m, r]: [A::Value; 2],
        [s, t, magnitude]: [A::Value; 3],
    ) -> ([A::Value; 2], [A::Value; 0]) {
        unsafe {
            let ([center], []) = ScaleShift::apply(a, [m], [s, t]);
            let radius = a.mul(r, magnitude);
            (a.relu_box([center, radius]), [])
        }
    }
}

/// Gradients of that for m, r, s, t and |s|; where the ReLU lets them pass is seen from the box behind it.
struct ScaleShiftReluBoxBackward;

impl Map<4, 3, 2, 3> for ScaleShiftReluBoxBackward {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [m, r, grad_center, grad_radius]: [A::Value; 4],
        [s, t, magnitude]: [A::Value; 3],
    ) -> ([A::Value; 2], [A::Value; 3]) {
        unsafe {
            let (behind, []) = ScaleShiftReluBox::apply(a, [m, r], [s, t, magnitude]);
            let [grad_center, grad_radius] = a.slope_box(behind, [grad_center, grad_radius]);
            let ([grad_m], [grad_s]) = ScaleBackward::apply(a, [grad_center, m], [s]);
            let ([grad_r], [grad_magnitude]) = ScaleBackward::apply(a, [grad_radius, r], [magnitude]);
            ([grad_m, grad_r], [grad_s, grad_center, grad_magnitude])
        }
    }
}

/// Gradients of s · x for x and s.
struct ScaleBackward;

impl Map<2, 1, 1, 1> for ScaleBackward {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [grad, x]: [A::Value; 2],
        [s]: [A::Value; 1],
    ) -> ([A::Value; 1], [A::Value; 1]) {
        unsafe { ([a.mul(grad, s)], [a.mul(grad, x)]) }
    }
}

/// Gradients of s · x + t for x, s and t.
struct ScaleShiftBackward;

impl Map<2, 1, 1, 2> for ScaleShiftBackward {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(a: &mut A, of: [A::Value; 2], s: [A::Value; 1]) -> ([A::Value; 1], [A::Value; 2]) {
        unsafe {
            let (grad_x, [grad_s]) = ScaleBackward::apply(a, of, s);
            (grad_x, [grad_s, of[0]])
        }
    }
}

/// Those for s and t alone.
struct ScaleShiftSums;

impl Map<2, 0, 0, 2> for ScaleShiftSums {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [grad, x]: [A::Value; 2],
        []: [A::Value; 0],
    ) -> ([A::Value; 0], [A::Value; 2]) {
        unsafe { ([], [a.mul(grad, x), grad]) }
    }
}

/// The gradient for x of s · x + t, where s and t come from the mean and the variance of x, and those from [`Moments`].
struct StatisticsBackward;

impl Map<2, 4, 1, 0> for StatisticsBackward {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [x, grad]: [A::Value; 2],
        [pivot, s, of_square, of_difference]: [A::Value; 4],
    ) -> ([A::Value; 1], [A::Value; 0]) {
        unsafe {
            let centered = a.sub(x, pivot);
            let twice = a.affine(2.0, 0.0, centered);
            let through_square = a.mul(twice, of_square);
            let through_statistics = a.add(through_square, of_difference);
            let direct = a.mul(grad, s);
            ([a.add(direct, through_statistics)], [])
        }
    }
}

/// Σ (x − pivot) and Σ (x − pivot)²: what mean and variance are made of.
struct Moments;

impl Map<1, 1, 0, 2> for Moments {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(
        a: &mut A,
        [x]: [A::Value; 1],
        [pivot]: [A::Value; 1],
    ) -> ([A::Value; 0], [A::Value; 2]) {
        unsafe {
            let centered = a.sub(x, pivot);
            ([], [centered, a.square(centered)])
        }
    }
}

/// Σ x: a mean.
struct Sum;

impl Map<1, 0, 0, 1> for Sum {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(_: &mut A, x: [A::Value; 1], []: [A::Value; 0]) -> ([A::Value; 0], [A::Value; 1]) {
        ([], x)
    }
}

/// y = s · x and Σ |x|: weights that are scaled and penalised.
struct ScaleAndMagnitudes;

impl Map<1, 1, 1, 1> for ScaleAndMagnitudes {
    #[inline(always)]
    unsafe fn apply<A: Algebra>(a: &mut A, [x]: [A::Value; 1], [s]: [A::Value; 1]) -> ([A::Value; 1], [A::Value; 1]) {
        unsafe { ([a.mul(x, s)], [a.abs(x)]) }
    }
}
