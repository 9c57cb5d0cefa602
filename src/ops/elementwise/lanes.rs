//! One step on one block of elements.

use super::kernels::Kernel;
use super::program::Action;
use crate::ops::binary::apply as binary;
use crate::ops::simd::vectorised;
use crate::ops::unary::apply as unary;
use crate::ops::{adam, relu, relu_interval};

/// Carries a kernel of one result out on a block. An argument has as many elements as the block, or one that stands for all
/// ([`Action::takes_one`] says which may).
pub(super) fn apply(kernel: Kernel, args: &[&[f32]; Kernel::MOST_ARGUMENTS], y: &mut [f32]) {
    let [a, b, c, d, e, _] = *args;
    let action = match kernel {
        Kernel::Step(action) => action,
        Kernel::MultiplyAdd { relu } => return multiply_add(relu, a, b, c, y),
        Kernel::ReluBox | Kernel::SlopeBox | Kernel::Adam(_) => unreachable!("these have more results"),
        Kernel::Replace { .. } => unreachable!("this one keeps what is there"),
    };
    match action {
        Action::Copy => copy(a, y),
        Action::Unary(kind) => unary(kind, a, y),
        Action::Binary(kind) => binary(kind, a, b, y),
        Action::Select if a.len() < y.len() => y.copy_from_slice(if a[0] > 0.0 { b } else { c }),
        Action::Select => choose(a, b, c, y),
        Action::Relu => relu::forward(a, y),
        Action::ReluCenter => relu_interval::center(a, b, y),
        Action::ReluRadius => relu_interval::radius(a, b, y),
        Action::SlopeCenter => relu_interval::slope_center(a, b, c, d, y),
        Action::SlopeRadius => relu_interval::slope_radius(a, b, c, d, y),
        Action::AddScaled { factor } => add_scaled(factor, a, b, y),
        Action::Mix { kept, added } => mix(kept, added, a, b, y),
        Action::MixSquare { kept, added } => mix_square(kept, added, a, b, y),
        Action::AdamStep { epsilon } => adam::moved(epsilon, d[0], e[0], a, b, c, y),
        Action::Cut { least, greatest } => {
            y.copy_from_slice(a);
            adam::cut(least, greatest, y);
        }
    }
}

fn copy(a: &[f32], y: &mut [f32]) {
    if a.len() < y.len() {
        y.fill(a[0]);
    } else {
        y.copy_from_slice(a);
    }
}

vectorised! {
    /// a · b + c with two roundings; b and c have as many elements as y or one.
    fn multiply_add(relu: bool, a: &[f32], b: &[f32], c: &[f32], y: &mut [f32]) {
        #[inline(always)]
        fn map(a: &[f32], b: &[f32], c: &[f32], y: &mut [f32], last: impl Fn(f32) -> f32) {
            let n = y.len();
            let a = &a[..n];
            match (b.len() == n, c.len() == n) {
                (false, false) => {
                    let (b, c) = (b[0], c[0]);
                    for i in 0..n {
                        y[i] = last(a[i] * b + c);
                    }
                }
                (false, true) => {
                    let (b, c) = (b[0], &c[..n]);
                    for i in 0..n {
                        y[i] = last(a[i] * b + c[i]);
                    }
                }
                (true, false) => {
                    let (b, c) = (&b[..n], c[0]);
                    for i in 0..n {
                        y[i] = last(a[i] * b[i] + c);
                    }
                }
                (true, true) => {
                    let (b, c) = (&b[..n], &c[..n]);
                    for i in 0..n {
                        y[i] = last(a[i] * b[i] + c[i]);
                    }
                }
            }
        }
        if relu {
            map(a, b, c, y, |x| if x < 0.0 { 0.0 } else { x });
        } else {
            map(a, b, c, y, |x| x);
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
