//! What the maps of sweeps are written in.

use std::marker::PhantomData;

use crate::ops::native::lanes::Simd;

/// Values and what can be done to them, each with the roundings of the [`Action`](super::super::program::Action) of the same name.
///
/// # Safety of the methods
/// As of [`Simd`], for values that are vectors.
pub(super) trait Algebra {
    type Value: Copy;

    unsafe fn add(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    unsafe fn sub(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    unsafe fn mul(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// scale · a + shift.
    unsafe fn affine(&mut self, scale: f32, shift: f32, a: Self::Value) -> Self::Value;
    unsafe fn square(&mut self, a: Self::Value) -> Self::Value;
    unsafe fn abs(&mut self, a: Self::Value) -> Self::Value;
    unsafe fn relu(&mut self, a: Self::Value) -> Self::Value;
    /// Center and radius of a box behind a ReLU.
    unsafe fn relu_box(&mut self, of: [Self::Value; 2]) -> [Self::Value; 2];
    /// Gradients for center and radius of a box before a ReLU from those behind it.
    unsafe fn slope_box(&mut self, of: [Self::Value; 2], grads: [Self::Value; 2]) -> [Self::Value; 2];
}

/// Vectors of an instruction set.
pub(super) struct Vectors<S: Simd> {
    all_but_sign: S::Vector,
    set: PhantomData<S>,
}

impl<S: Simd> Vectors<S> {
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn new() -> Vectors<S> {
        // SAFETY: the caller's duty.
        Vectors { all_but_sign: unsafe { S::all_but_sign() }, set: PhantomData }
    }
}

impl<S: Simd> Algebra for Vectors<S> {
    type Value = S::Vector;

    #[inline(always)]
    unsafe fn add(&mut self, a: S::Vector, b: S::Vector) -> S::Vector {
        // SAFETY: the caller's duty, here and below.
        unsafe { S::add(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(&mut self, a: S::Vector, b: S::Vector) -> S::Vector {
        unsafe { S::sub(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(&mut self, a: S::Vector, b: S::Vector) -> S::Vector {
        unsafe { S::mul(a, b) }
    }
    #[inline(always)]
    unsafe fn affine(&mut self, scale: f32, shift: f32, a: S::Vector) -> S::Vector {
        unsafe { S::add(S::mul(S::splat(scale), a), S::splat(shift)) }
    }
    #[inline(always)]
    unsafe fn square(&mut self, a: S::Vector) -> S::Vector {
        unsafe { S::mul(a, a) }
    }
    #[inline(always)]
    unsafe fn abs(&mut self, a: S::Vector) -> S::Vector {
        unsafe { S::and(a, self.all_but_sign) }
    }
    #[inline(always)]
    unsafe fn relu(&mut self, a: S::Vector) -> S::Vector {
        unsafe { S::relu(a) }
    }
    #[inline(always)]
    unsafe fn relu_box(&mut self, [m, r]: [S::Vector; 2]) -> [S::Vector; 2] {
        unsafe {
            let (l, u) = (S::relu(S::sub(m, r)), S::relu(S::add(m, r)));
            let half = S::splat(0.5);
            [S::mul(half, S::add(u, l)), S::mul(half, S::sub(u, l))]
        }
    }
    #[inline(always)]
    unsafe fn slope_box(&mut self, [m, r]: [S::Vector; 2], [grad_m, grad_r]: [S::Vector; 2]) -> [S::Vector; 2] {
        unsafe {
            let (l, u) = (S::sub(m, r), S::add(m, r));
            let half = S::splat(0.5);
            let grad_u = S::zero_unless_positive(S::mul(half, S::add(grad_m, grad_r)), u);
            let grad_l = S::zero_unless_positive(S::mul(half, S::sub(grad_m, grad_r)), l);
            [S::add(grad_u, grad_l), S::sub(grad_u, grad_l)]
        }
    }
}
