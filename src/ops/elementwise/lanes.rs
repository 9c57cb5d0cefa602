//! One step on one block of elements.

use super::program::{Action, MOST_ARGUMENTS};
use crate::ops::binary::apply as binary;
use crate::ops::simd::vectorised;
use crate::ops::unary::apply as unary;
use crate::ops::{adam, relu, relu_interval};

/// An argument of a step for a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane<'a> {
    /// As many elements as the block has.
    Each(&'a [f32]),
    /// One number for all of them.
    One(f32),
}

impl<'a> Lane<'a> {
    fn each(self) -> &'a [f32] {
        match self {
            Lane::Each(x) => x,
            Lane::One(_) => unreachable!("`Action::takes_one` says which arguments may be one number"),
        }
    }

    fn one(self) -> f32 {
        match self {
            Lane::One(x) => x,
            Lane::Each(x) => x[0],
        }
    }

    /// As a slice that either has all elements or one.
    fn slice(&self) -> &[f32] {
        match self {
            Lane::Each(x) => x,
            Lane::One(x) => std::slice::from_ref(x),
        }
    }
}

/// Carries `action` out on a block.
pub(super) fn apply(action: Action, args: &[Lane<'_>; MOST_ARGUMENTS], y: &mut [f32]) {
    let [a, b, c, d, e] = *args;
    match action {
        Action::Copy => match a {
            Lane::Each(a) => y.copy_from_slice(a),
            Lane::One(a) => y.fill(a),
        },
        Action::Unary(kind) => unary(kind, a.each(), y),
        Action::Binary(kind) => binary(kind, a.slice(), b.slice(), y),
        Action::Select => match a {
            Lane::Each(a) => choose(a, b.each(), c.each(), y),
            Lane::One(a) => y.copy_from_slice(if a > 0.0 { b.each() } else { c.each() }),
        },
        Action::Relu => relu::forward(a.each(), y),
        Action::ReluCenter => relu_interval::center(a.each(), b.each(), y),
        Action::ReluRadius => relu_interval::radius(a.each(), b.each(), y),
        Action::SlopeCenter => relu_interval::slope_center(a.each(), b.each(), c.each(), d.each(), y),
        Action::SlopeRadius => relu_interval::slope_radius(a.each(), b.each(), c.each(), d.each(), y),
        Action::AddScaled { factor } => add_scaled(factor, a.each(), b.each(), y),
        Action::Mix { kept, added } => mix(kept, added, a.each(), b.each(), y),
        Action::MixSquare { kept, added } => mix_square(kept, added, a.each(), b.each(), y),
        Action::AdamStep { epsilon } => {
            adam::moved(epsilon, d.one(), e.one(), a.each(), b.each(), c.each(), y);
        }
        Action::Cut { least, greatest } => {
            y.copy_from_slice(a.each());
            adam::cut(least, greatest, y);
        }
    }
}

vectorised! {
    fn choose(cond: &[f32], a: &[f32], b: &[f32], y: &mut [f32]) {
        for (y, ((&cond, &a), &b)) in y.iter_mut().zip(cond.iter().zip(a).zip(b)) {
            *y = if cond > 0.0 { a } else { b };
        }
    }
}

vectorised! {
    fn add_scaled(factor: f32, a: &[f32], b: &[f32], y: &mut [f32]) {
        for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
            *y = a + factor * b;
        }
    }
}

vectorised! {
    fn mix(kept: f32, added: f32, a: &[f32], b: &[f32], y: &mut [f32]) {
        for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
            *y = kept * a + added * b;
        }
    }
}

vectorised! {
    fn mix_square(kept: f32, added: f32, a: &[f32], b: &[f32], y: &mut [f32]) {
        for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
            *y = kept * a + added * (b * b);
        }
    }
}
