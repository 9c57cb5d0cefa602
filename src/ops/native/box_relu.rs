//! ReLU of a box, or its gradient, where a kernel has just written it; see [`crate::ops::relu_interval`].

use super::lanes::Simd;
use super::workers::Shared;

/// What the radii of a box go through with its centers, when both are written and still close.
#[derive(Clone, Copy)]
pub(crate) struct BoxRelu<'a> {
    /// The centers, or their gradients, at the places of the radii.
    centers: Shared,
    /// Center and radius behind the ReLU if it is the gradient that is wanted.
    behind: Option<[&'a [f32]; 2]>,
}

impl<'a> BoxRelu<'a> {
    /// For the radii that belong to `centers`: the ReLU or, from the box `behind` that (center and radius), the gradient of it.
    pub(super) fn new(centers: Shared, behind: Option<[&'a [f32]; 2]>) -> Self {
        BoxRelu { centers, behind }
    }

    /// Does it in place, for `n` neighbouring elements from element `at` of the output on.
    ///
    /// # Safety
    /// As [`Simd`]; the elements of both outputs are the caller's own, and `radii` is where they begin in the second.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, radii: *mut f32, at: usize, n: usize) {
        let behind = self.behind.map(|both| both.map(|x| x[at..at + n].as_ptr()));
        for i in (0..n).step_by(S::LANES) {
            let count = S::LANES.min(n - i);
            // SAFETY: the caller's duty; i + count ≤ n.
            unsafe {
                let (centers, radii, half) = (self.centers.at(at + i), radii.add(i), S::splat(0.5));
                let (c, r) = (S::load_up_to(centers, count), S::load_up_to(radii, count));
                let (lower, upper) = (S::sub(c, r), S::add(c, r));
                let (center, radius) = match behind {
                    None => {
                        let (lower, upper) = (S::relu(lower), S::relu(upper));
                        (S::mul(half, S::add(upper, lower)), S::mul(half, S::sub(upper, lower)))
                    }
                    Some(behind) => {
                        let [m, r] = behind.map(|x| S::load_up_to(x.add(i), count));
                        let lower = S::zero_unless_positive(S::mul(half, lower), S::sub(m, r));
                        let upper = S::zero_unless_positive(S::mul(half, upper), S::add(m, r));
                        (S::add(upper, lower), S::sub(upper, lower))
                    }
                };
                S::store_up_to(centers, center, count);
                S::store_up_to(radii, radius, count);
            }
        }
    }
}
